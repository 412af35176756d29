//! Configuration files.

use std::fmt::Write as _;

use crate::machine::PUBLIC_PORTS;

/// The token of every scene.
pub(crate) const TOKEN: &str = "secret";

/// How clients reach the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transport {
    pub(crate) name: &'static str,
    pub(crate) mux: bool,
    pub(crate) tls: bool,
}

impl Transport {
    pub(crate) const PLAIN: Self = Self { name: "plain", mux: false, tls: false };
    pub(crate) const TLS: Self = Self { name: "TLS", mux: false, tls: true };
    pub(crate) const MUX: Self = Self { name: "mux", mux: true, tls: false };
    pub(crate) const DEFAULT: Self = Self { name: "TLS + mux", mux: true, tls: true };
}

/// frps on `port`.
pub(crate) fn server(transport: Transport, port: u16) -> String {
    format!(
        "bindAddr = \"127.0.0.1\"\nbindPort = {port}\nauth.token = \"{TOKEN}\"\ntransport.tcpMux = {}\n\
         log.disablePrintColor = true\nallowPorts = [{{ start = {}, end = {} }}]\n",
        transport.mux,
        PUBLIC_PORTS.start(),
        PUBLIC_PORTS.end()
    )
}

/// A tcp proxy: the port of its service, and its public port (0: the server chooses).
pub(crate) type Proxy = (u16, u16);

/// frpc with proxies to a server on `port`.
pub(crate) fn client(transport: Transport, port: u16, proxies: impl Iterator<Item = Proxy>) -> String {
    let mut text = format!(
        "serverAddr = \"127.0.0.1\"\nserverPort = {port}\nauth.token = \"{TOKEN}\"\ntransport.tcpMux = {}\n\
         transport.tls.enable = {}\nlog.disablePrintColor = true\n",
        transport.mux, transport.tls
    );
    for (number, (service, remote)) in proxies.enumerate() {
        let _ = write!(
            text,
            "[[proxies]]\nname = \"p{number}\"\ntype = \"tcp\"\nlocalPort = {service}\nremotePort = {remote}\n"
        );
    }
    text
}
