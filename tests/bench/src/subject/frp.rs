//! frps and frpc, ours or the original's.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use frp_test_support::programs::{Maker, Role};
use frp_test_support::way::{Outcome, Pair, Transport, Way, Wire};

use super::{Ends, Plan, Ready, loopback, write};
use crate::child::Launch;
use crate::load::{handshakes, vhost};
use crate::mode::Mode;
use crate::tools;

/// The variable that names the folder of the original's releases.
const REFERENCE: &str = "FRP_REF";

/// Where the server listens for clients, and where its client comes to it: there, or at the line between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doors {
    pub(super) server: u16,
    pub(super) client: u16,
}

/// Both programs.
#[derive(Debug)]
pub(crate) struct Frp {
    frps: PathBuf,
    frpc: PathBuf,
    pub(crate) version: String,
}

impl Frp {
    /// Ours, built by cargo with the profile of this command.
    pub(crate) fn ours() -> Result<Self> {
        let of = |role| Maker::Ours.executable(role);
        let (frps, frpc) = (of(Role::Frps)?, of(Role::Frpc)?);
        Ok(Self { version: tools::version(&frps, &["--version"]), frps, frpc })
    }

    /// The newest release of the original in the folder that the environment names.
    pub(crate) fn original() -> Result<Self> {
        let folder = PathBuf::from(env::var_os(REFERENCE).context("FRP_REF names no folder")?);
        let releases = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        let newest = releases
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| ["frps", "frpc"].iter().all(|program| folder.join(name).join(program).is_file()))
            .filter_map(|name| Some((release(&name)?, name)))
            .max()
            .context("FRP_REF holds no vX.Y.Z/frps with frpc beside it")?
            .1;
        let of = |program| folder.join(&newest).join(program);
        Ok(Self { frps: of("frps"), frpc: of("frpc"), version: newest.trim_start_matches('v').to_owned() })
    }

    pub(super) fn plan(
        &self,
        folder: &Path,
        mode: Mode,
        ends: Ends,
        doors: Doors,
        ready: Ready,
        log: &str,
    ) -> Result<Plan> {
        let Way { transport, wire, tls, mux } = mode.way();
        let port = doors.server;
        let common = format!(
            "auth.token = \"bench\"\ntransport.tcpMux = {mux}\nlog.level = \"{log}\"\nlog.disablePrintColor = true\n"
        );
        let extra = match transport {
            Transport::Kcp => format!("kcpBindPort = {port}\n"),
            Transport::Quic => format!("quicBindPort = {port}\n"),
            Transport::Tcp | Transport::Websocket | Transport::Wss => String::new(),
        };
        // Older releases do not know the key.
        let version = if wire == Wire::V2 { "transport.wireProtocol = \"v2\"\n" } else { "" };
        let public = ends.public;
        let host = |host| format!("customDomains = [\"{host}\"]");
        let (door, kind, place) = match ready {
            Ready::Answers | Ready::Listens => (String::new(), "tcp", format!("remotePort = {public}")),
            Ready::Returns => (String::new(), "udp", format!("remotePort = {public}")),
            Ready::Serves => (format!("vhostHTTPPort = {public}\n"), "http", host(vhost::HOST)),
            Ready::Handshakes => (format!("vhostHTTPSPort = {public}\n"), "https", host(handshakes::HOST)),
        };
        let server = format!("bindAddr = \"127.0.0.1\"\nbindPort = {port}\n{extra}{door}{common}");
        let client = format!(
            "serverAddr = \"127.0.0.1\"\nserverPort = {}\n{common}transport.protocol = \"{}\"\n{version}\
             transport.tls.enable = {tls}\n\n\
             [[proxies]]\nname = \"bench\"\ntype = \"{kind}\"\nlocalIP = \"127.0.0.1\"\nlocalPort = {}\n\
             {place}\ntransport.useEncryption = {}\ntransport.useCompression = {}\n",
            doors.client,
            transport.name(),
            ends.service,
            mode.layered(),
            mode.layered()
        );
        Ok(Plan {
            first: Launch::new(&self.frps, &["-c", &write(folder, "frps.toml", &server)?]),
            listens: loopback(port),
            second: Launch::new(&self.frpc, &["-c", &write(folder, "frpc.toml", &client)?]),
        })
    }
}

/// Whether the newest release of the original goes that way with itself.
pub(super) fn original_goes(way: Way) -> bool {
    // What is no release number counts as the newest.
    let newest = || Maker::Original("newest".to_owned());
    Pair { frps: newest(), frpc: newest() }.outcome(way) == Outcome::Serves
}

/// The numbers of a release folder's name, `vX.Y.Z`.
fn release(name: &str) -> Option<Vec<u32>> {
    name.strip_prefix('v')?.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        assert!(release("v0.70.1") > release("v0.9.12"));
        assert_eq!(release("ours"), None);
        assert_eq!(release("v0.x"), None);
    }
}
