//! An frps and an frpc with their configuration, started and ready.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::ports;
use crate::process::Process;
use crate::programs::{Maker, Role};

/// The transport settings that the matrix of tests runs through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setting {
    /// TLS between frpc and frps.
    pub tls: bool,
    /// One multiplexed connection.
    pub mux: bool,
    /// `use_encryption` of every proxy.
    pub encryption: bool,
    /// `use_compression` of every proxy.
    pub compression: bool,
}

impl Setting {
    /// Every setting that the tests run through, with its name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("plain", Self::new(false, false, false, false)),
        ("tls", Self::new(true, false, false, false)),
        ("mux", Self::new(false, true, false, false)),
        ("tls+mux", Self::new(true, true, false, false)),
        ("encryption", Self::new(false, true, true, false)),
        ("compression", Self::new(false, true, false, true)),
        ("encryption+compression", Self::new(false, true, true, true)),
    ];

    const fn new(tls: bool, mux: bool, encryption: bool, compression: bool) -> Self {
        Self { tls, mux, encryption, compression }
    }
}

/// One proxy of a tunnel.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// Port of the service on 127.0.0.1.
    pub local: u16,
    /// Public port on 127.0.0.1; 0 for a proxy that has none of its own.
    pub remote: u16,
    /// Further lines of its section, `key = value` in INI spelling.
    pub extra: String,
}

impl Proxy {
    /// A proxy with a free public port.
    #[must_use]
    pub fn new(kind: &'static str, name: &str, local: u16) -> Self {
        Self { name: name.to_owned(), kind, local, remote: ports::free(), extra: String::new() }
    }

    /// A proxy without a public port of its own.
    #[must_use]
    pub fn portless(kind: &'static str, name: &str, local: u16) -> Self {
        Self { name: name.to_owned(), kind, local, remote: 0, extra: String::new() }
    }

    /// The same with further lines in its section.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self.extra.push('\n');
        self
    }
}

/// The users' end of a stcp or sudp proxy.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Its name.
    pub name: String,
    /// `stcp` or `sudp`.
    pub kind: &'static str,
    /// The proxy's name.
    pub server: String,
    /// The proxy's key.
    pub key: String,
    /// Where users connect on 127.0.0.1.
    pub port: u16,
    /// Further lines of its section.
    pub extra: String,
}

impl Visitor {
    /// A visitor with a free port.
    #[must_use]
    pub fn new(kind: &'static str, name: &str, server: &str, key: &str) -> Self {
        let [name, server, key] = [name, server, key].map(str::to_owned);
        Self { name, kind, server, key, port: ports::free(), extra: String::new() }
    }

    /// The same with further lines in its section.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.extra.push_str(lines);
        self.extra.push('\n');
        self
    }
}

/// A server and a client, each the one that the environment chose. The configuration is INI, which every release of
/// the original reads.
#[derive(Debug)]
pub struct Tunnel {
    /// The server.
    pub frps: Process,
    /// The client.
    pub frpc: Process,
    /// The server's bindPort.
    pub port: u16,
    folder: TempDir,
}

impl Tunnel {
    /// Starts both and waits until every proxy is announced as started.
    ///
    /// # Errors
    /// One of them does not come up; the error holds its output.
    pub async fn start(setting: Setting, proxies: &[Proxy]) -> Result<Self> {
        Self::start_with(setting, proxies, "", "").await
    }

    /// As [`Self::start`], with further lines in the `[common]` sections of the server and the client.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(setting: Setting, proxies: &[Proxy], server: &str, client: &str) -> Result<Self> {
        Self::start_in(setting, proxies, server, client, &[]).await
    }

    /// As [`Self::start_with`], with further variables in the environment of the client's first start.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_in(
        setting: Setting,
        proxies: &[Proxy],
        server: &str,
        client: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = ports::free();
        fs::write(folder.path().join("frps.ini"), server_ini(setting, port, server))?;
        fs::write(folder.path().join("frpc.ini"), client_ini(setting, port, client, proxies))?;
        let frps = start_frps(folder.path()).await?;
        let frpc = start_program_in(Role::Frpc, folder.path(), environment)?;
        let mut tunnel = Self { frps, frpc, port, folder };
        tunnel.ready(proxies.len()).await?;
        Ok(tunnel)
    }

    /// Waits until `count` proxies have been started since the client's start.
    ///
    /// # Errors
    /// They were not.
    pub async fn ready(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            self.frpc.line("login to server success").await?;
        } else {
            self.frpc.lines("start proxy success", count).await?;
        }
        Ok(())
    }

    /// Where the configuration files lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server outright and starts it anew on the same port.
    ///
    /// # Errors
    /// It does not come up again.
    pub async fn restart_frps(&mut self) -> Result<()> {
        self.frps.kill().await?;
        self.frps = start_frps(self.folder.path()).await?;
        Ok(())
    }

    /// Kills the client outright and starts it anew.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn restart_frpc(&mut self) -> Result<()> {
        let gone = self.frps.count(CLIENT_GONE);
        self.frpc.kill().await?;
        // Until then its proxies have their names.
        self.frps.lines(CLIENT_GONE, gone + 1).await?;
        self.frpc = start_program(Role::Frpc, self.folder.path())?;
        Ok(())
    }
}

/// What a server says when it has noticed.
const CLIENT_GONE: &str = "client exit success";

async fn start_frps(folder: &Path) -> Result<Process> {
    let mut frps = start_program(Role::Frps, folder)?;
    frps.line("frps started successfully").await?;
    Ok(frps)
}

/// Starts the chosen program of `role` with `<role>.ini` of `folder`.
///
/// # Errors
/// It cannot be started.
pub fn start_program(role: Role, folder: &Path) -> Result<Process> {
    start_program_in(role, folder, &[])
}

fn start_program_in(role: Role, folder: &Path, environment: &[(&str, &str)]) -> Result<Process> {
    let executable = Maker::from_env(role).executable(role)?;
    Process::start_in(&executable, &["-c", &format!("{}.ini", role.name())], folder, environment)
}

/// The server's configuration of a tunnel.
#[must_use]
pub fn server_ini(setting: Setting, port: u16, extra: &str) -> String {
    format!(
        "[common]\nbind_addr = 127.0.0.1\nbind_port = {port}\ntoken = secret\ntcp_mux = {}\nlog_level = debug\n\
         disable_log_color = true\n{extra}\n",
        setting.mux
    )
}

/// The client's configuration of a tunnel.
#[must_use]
pub fn client_ini(setting: Setting, port: u16, extra: &str, proxies: &[Proxy]) -> String {
    let mut text = common_ini(setting, port, extra);
    for proxy in proxies {
        let Proxy { name, kind, local, remote, extra } = proxy;
        let public = if *remote == 0 { String::new() } else { format!("remote_port = {remote}\n") };
        let _ = write!(
            text,
            "[{name}]\ntype = {kind}\nlocal_ip = 127.0.0.1\nlocal_port = {local}\n{public}\
             use_encryption = {}\nuse_compression = {}\n{extra}\n",
            setting.encryption, setting.compression
        );
    }
    text
}

/// The configuration of a client that holds visitors.
#[must_use]
pub fn visitor_ini(setting: Setting, port: u16, extra: &str, visitors: &[Visitor]) -> String {
    let mut text = common_ini(setting, port, extra);
    for visitor in visitors {
        let Visitor { name, kind, server, key, port, extra } = visitor;
        let _ = write!(
            text,
            "[{name}]\ntype = {kind}\nrole = visitor\nserver_name = {server}\nsk = {key}\n\
             bind_addr = 127.0.0.1\nbind_port = {port}\nuse_encryption = {}\nuse_compression = {}\n{extra}\n",
            setting.encryption, setting.compression
        );
    }
    text
}

fn common_ini(setting: Setting, port: u16, extra: &str) -> String {
    format!(
        "[common]\nserver_addr = 127.0.0.1\nserver_port = {port}\ntoken = secret\ntcp_mux = {}\ntls_enable = {}\n\
         log_level = debug\ndisable_log_color = true\n{extra}\n",
        setting.mux, setting.tls
    )
}
