//! An frps and an frpc on a way.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::{Pair, Way, Wire};
use crate::impairment::{Conditions, Impairment};
use crate::process::Process;
use crate::programs::{Maker, Role};
use crate::{ports, traffic, within};

/// What is common to "frps started successfully" and "start frps success", as old releases say.
const STARTED: &str = "frps s";

/// A proxy of a scene.
#[derive(Debug, Clone)]
pub struct Carried {
    /// `tcp` or `udp`.
    pub kind: &'static str,
    /// Port of the service on 127.0.0.1.
    pub local: u16,
    /// Public port on 127.0.0.1.
    pub remote: u16,
    /// With encryption and compression.
    pub layered: bool,
}

impl Carried {
    /// A plain proxy with a free public port.
    #[must_use]
    pub fn new(kind: &'static str, local: u16) -> Self {
        Self { kind, local, remote: ports::free(), layered: false }
    }

    /// One with encryption and compression.
    #[must_use]
    pub fn layered(kind: &'static str, local: u16) -> Self {
        Self { layered: true, ..Self::new(kind, local) }
    }
}

/// What a scene is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The way.
    pub way: Way,
    /// Whose programs.
    pub pair: Pair,
    /// The proxies.
    pub proxies: Vec<Carried>,
    /// Keepalives and heartbeats every second, and 3 to 4 seconds without an answer end a connection.
    pub brisk: bool,
    /// `transport.tcpMuxConnections`, of our client only.
    pub connections: u32,
    /// A line between the two that does this.
    pub line: Option<Conditions>,
}

impl Plan {
    /// With defaults, and nothing between the programs.
    #[must_use]
    pub fn new(way: Way, pair: &Pair, proxies: &[Carried]) -> Self {
        Self { way, pair: pair.clone(), proxies: proxies.to_vec(), brisk: false, connections: 1, line: None }
    }

    /// Starts the server, then the client. Nothing is waited for but the server's listeners.
    ///
    /// # Errors
    /// One of them cannot be started, or the server does not come up.
    pub async fn start(self) -> Result<Scene> {
        let folder = tempfile::tempdir()?;
        let port = ports::free();
        let transport = self.way.transport;
        let line = self.line.map(|conditions| transport.impaired(port, conditions)).transpose()?;
        let client_port = line.as_ref().map_or(port, Impairment::port);
        fs::write(folder.path().join(self.file(Role::Frps)), self.server(port))?;
        fs::write(folder.path().join(self.file(Role::Frpc)), self.client(client_port))?;
        let mut frps = self.program(Role::Frps, folder.path())?;
        frps.line(STARTED).await?;
        let frpc = self.program(Role::Frpc, folder.path())?;
        Ok(Scene { frps, frpc, line, port, plan: self, folder })
    }

    fn program(&self, role: Role, folder: &Path) -> Result<Process> {
        let executable = self.maker(role).executable(role)?;
        Process::start(&executable, &["-c", &self.file(role)], folder)
    }

    fn maker(&self, role: Role) -> &Maker {
        match role {
            Role::Frps => &self.pair.frps,
            Role::Frpc => &self.pair.frpc,
        }
    }

    /// INI, which every release reads; but it has no key for the wire version, which the client needs.
    fn ini(&self, role: Role) -> bool {
        role == Role::Frps || self.way.wire == Wire::V1
    }

    fn file(&self, role: Role) -> String {
        format!("{}.{}", role.name(), if self.ini(role) { "ini" } else { "toml" })
    }

    fn server(&self, port: u16) -> String {
        let Way { transport, mux, .. } = self.way;
        let mut lines = Lines::new(self.ini(Role::Frps));
        lines.text(["bind_addr", "bindAddr"], "127.0.0.1");
        lines.value(["bind_port", "bindPort"], port);
        if let Some((ini, toml)) = transport.port_key() {
            lines.value([ini, toml], port);
        }
        lines.text(["token", "auth.token"], "secret");
        lines.value(["tcp_mux", "transport.tcpMux"], mux);
        lines.log();
        if self.brisk {
            lines.value(["heartbeat_timeout", "transport.heartbeatTimeout"], 3);
            lines.value(["tcp_mux_keepalive_interval", "transport.tcpMuxKeepaliveInterval"], 1);
            lines.brisk_quic();
        }
        lines.text
    }

    fn client(&self, port: u16) -> String {
        let Way { transport, wire, tls, mux } = self.way;
        let mut lines = Lines::new(self.ini(Role::Frpc));
        lines.text(["server_addr", "serverAddr"], "127.0.0.1");
        lines.value(["server_port", "serverPort"], port);
        lines.text(["token", "auth.token"], "secret");
        lines.text(["protocol", "transport.protocol"], transport.name());
        if !self.ini(Role::Frpc) {
            lines.text(["", "transport.wireProtocol"], wire.name());
        }
        lines.value(["tcp_mux", "transport.tcpMux"], mux);
        lines.value(["tls_enable", "transport.tls.enable"], tls);
        if self.pair.marks_tls() {
            lines.value(["disable_custom_tls_first_byte", "transport.tls.disableCustomTLSFirstByte"], false);
        }
        lines.log();
        if self.brisk {
            lines.value(["heartbeat_interval", "transport.heartbeatInterval"], 1);
            lines.value(["heartbeat_timeout", "transport.heartbeatTimeout"], 3);
            lines.value(["tcp_mux_keepalive_interval", "transport.tcpMuxKeepaliveInterval"], 1);
            lines.brisk_quic();
        }
        if self.connections > 1 {
            lines.value(["tcp_mux_connections", "transport.tcpMuxConnections"], self.connections);
        }
        for (number, proxy) in self.proxies.iter().enumerate() {
            lines.proxy(number, proxy);
        }
        lines.text
    }
}

/// A configuration in INI or TOML; every key is given in both spellings.
struct Lines {
    ini: bool,
    text: String,
}

impl Lines {
    fn new(ini: bool) -> Self {
        Self { ini, text: if ini { "[common]\n".to_owned() } else { String::new() } }
    }

    fn value(&mut self, [ini, toml]: [&str; 2], value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{} = {value}", if self.ini { ini } else { toml });
    }

    fn text(&mut self, keys: [&str; 2], value: &str) {
        let quote = if self.ini { "" } else { "\"" };
        self.value(keys, format_args!("{quote}{value}{quote}"));
    }

    fn log(&mut self) {
        self.text(["log_level", "log.level"], "debug");
        self.value(["disable_log_color", "log.disablePrintColor"], true);
    }

    fn brisk_quic(&mut self) {
        self.value(["quic_keepalive_period", "transport.quic.keepalivePeriod"], 1);
        self.value(["quic_max_idle_timeout", "transport.quic.maxIdleTimeout"], 3);
    }

    fn proxy(&mut self, number: usize, proxy: &Carried) {
        let name = format!("proxy{number}");
        if self.ini {
            let _ = writeln!(self.text, "[{name}]");
        } else {
            self.text.push_str("[[proxies]]\n");
            self.text(["", "name"], &name);
        }
        self.text(["type", "type"], proxy.kind);
        self.text(["local_ip", "localIP"], "127.0.0.1");
        self.value(["local_port", "localPort"], proxy.local);
        self.value(["remote_port", "remotePort"], proxy.remote);
        self.value(["use_encryption", "transport.useEncryption"], proxy.layered);
        self.value(["use_compression", "transport.useCompression"], proxy.layered);
    }
}

/// Running programs on a way.
#[derive(Debug)]
pub struct Scene {
    /// The server.
    pub frps: Process,
    /// The client.
    pub frpc: Process,
    /// The line between them, where the plan had one.
    pub line: Option<Impairment>,
    /// The server's bindPort.
    pub port: u16,
    plan: Plan,
    folder: TempDir,
}

impl Scene {
    /// Waits until the client has told of all its proxies that they were started so many times.
    ///
    /// # Errors
    /// They were not.
    pub async fn ready(&mut self, times: usize) -> Result<()> {
        self.frpc.lines("start proxy success", self.plan.proxies.len() * times).await.map(drop)
    }

    /// Kills the server outright and starts it anew.
    ///
    /// # Errors
    /// It does not come up again.
    pub async fn restart_frps(&mut self) -> Result<()> {
        self.frps.kill().await?;
        self.frps = self.plan.program(Role::Frps, self.folder.path())?;
        self.frps.line(STARTED).await.map(drop)
    }

    /// Kills the client outright, waits until the server has noticed, and starts it anew.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn restart_frpc(&mut self) -> Result<()> {
        const GONE: &str = "client exit success";
        let gone = self.frps.count(GONE);
        self.frpc.kill().await?;
        self.frps.lines(GONE, gone + 1).await?;
        self.frpc = self.plan.program(Role::Frpc, self.folder.path())?;
        Ok(())
    }

    /// Ends the client as its user would, and waits until nobody listens on a public port of its any more.
    ///
    /// # Errors
    /// It does not end, or its proxies stay.
    pub async fn stop_frpc(&mut self) -> Result<()> {
        self.frpc.signal(rustix::process::Signal::TERM)?;
        let status = self.frpc.wait().await?;
        ensure!(self.plan.pair.frpc != Maker::Ours || status.success(), "frpc: {status}");
        for proxy in self.plan.proxies.iter().filter(|proxy| proxy.kind == "tcp") {
            let closed = async {
                let mut pause = interval(Duration::from_millis(20));
                while TcpStream::connect(("127.0.0.1", proxy.remote)).await.is_ok() {
                    pause.tick().await;
                }
            };
            let closed = within("the public port to close", closed).await;
            closed.with_context(|| self.outputs())?;
        }
        Ok(())
    }

    /// Ends the server as its user would.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop_frps(&mut self) -> Result<()> {
        self.frps.signal(rustix::process::Signal::TERM)?;
        let status = self.frps.wait().await?;
        ensure!(self.plan.pair.frps != Maker::Ours || status.success(), "frps: {status}");
        Ok(())
    }

    /// What both have printed.
    #[must_use]
    pub fn outputs(&self) -> String {
        format!("frps:\n{}\nfrpc:\n{}", self.frps.output().join("\n"), self.frpc.output().join("\n"))
    }
}

/// Waits until an echo service is reached through a public port, again or for the first time.
///
/// # Errors
/// It never was within `limit`.
pub async fn serves_within(port: u16, limit: Duration) -> Result<()> {
    let serves = async {
        let mut pause = interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            // A try may meet a connection whose other end has just gone.
            let tried = timeout(Duration::from_secs(5), async {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                traffic::echo_on(&mut stream, b"are you there?").await
            });
            if matches!(tried.await, Ok(Ok(()))) {
                return;
            }
        }
    };
    timeout(limit, serves).await.with_context(|| format!("not served within {limit:?}"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use frp_config::load::{Environment, LoadOptions, load_client, load_server};

    use super::super::Transport;
    use super::*;

    fn read<T, E: Debug>(
        folder: &Path,
        name: &str,
        text: &str,
        load: impl Fn(&str, &LoadOptions) -> Result<T, E>,
    ) -> T {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        let (environment, base_dir) = (Environment::default(), folder.to_owned());
        load(&path.to_string_lossy(), &LoadOptions { strict: true, environment, base_dir }).unwrap()
    }

    #[test]
    fn both_formats_say_what_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        for way in Way::all() {
            let proxies = [Carried::new("tcp", 1), Carried::layered("udp", 2)];
            let mut plan = Plan::new(way, &Pair::ours(), &proxies);
            plan.brisk = true;
            plan.connections = 3;
            let client = read(folder.path(), &plan.file(Role::Frpc), &plan.client(7), load_client);
            let transport = &client.common.transport;
            let Way { transport: protocol, wire, tls, mux } = way;
            assert_eq!(
                (transport.protocol.as_str(), transport.wire_protocol.as_str()),
                (protocol.name(), wire.name())
            );
            assert_eq!(
                (transport.tcp_mux(), transport.tcp_mux_connections(), client.common.server_port),
                (mux, 3, 7)
            );
            assert_eq!((transport.tls.enable, transport.heartbeat_interval), (Some(tls), 1), "{way}");
            let layered: Vec<bool> =
                client.proxies.iter().map(|proxy| proxy.base().transport.use_encryption).collect();
            assert_eq!(layered, [false, true], "{way}");

            let server = read(folder.path(), &plan.file(Role::Frps), &plan.server(8), load_server).config;
            assert_eq!((server.bind_port, server.transport.heartbeat_timeout), (8, 3), "{way}");
            let ports = (server.kcp_bind_port, server.quic_bind_port);
            let wanted = match protocol {
                Transport::Kcp => (8, 0),
                Transport::Quic => (0, 8),
                Transport::Tcp | Transport::Websocket | Transport::Wss => (0, 0),
            };
            assert_eq!(ports, wanted, "{way}");
        }
    }
}
