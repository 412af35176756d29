//! `transport.wireProtocol = "v2"`, with whichever server and client the environment chose: every type of proxy, and the
//! life of a session. Version 2 has no INI spelling, and came with v0.69.0.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use frp_test_support::kind::{Access, Doors, Kind};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role};
use frp_test_support::relay::Relay;
use frp_test_support::service::Service;
use frp_test_support::{ports, skipped, traffic};
use tempfile::TempDir;

const KEY: &str = "a key";

/// Whether the chosen programs know version 2; says so if not.
fn known() -> bool {
    let old = [Role::Frps, Role::Frpc].map(Maker::from_env).into_iter().find(|maker| match maker {
        Maker::Ours => false,
        Maker::Original(release) => {
            let minor = release.split('.').nth(1).and_then(|number| number.parse::<u32>().ok());
            minor.is_none_or(|minor| minor < 69)
        }
    });
    if let Some(old) = &old {
        skipped(&format!("{old:?} has no wire version 2"));
    }
    old.is_none()
}

/// A server and clients with their files.
struct World {
    folder: TempDir,
    frps: Process,
    port: u16,
}

impl World {
    async fn start(mux: bool, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = ports::free();
        let text = format!(
            "bindAddr = \"127.0.0.1\"\nbindPort = {port}\nauth.token = \"secret\"\nlog.level = \"debug\"\n\
             transport.tcpMux = {mux}\n{more}"
        );
        fs::write(folder.path().join("frps.toml"), text)?;
        let frps = Self::frps(&folder).await?;
        Ok(Self { folder, frps, port })
    }

    async fn frps(folder: &TempDir) -> Result<Process> {
        let executable = Maker::from_env(Role::Frps).executable(Role::Frps)?;
        let mut frps = Process::start(&executable, &["-c", "frps.toml"], folder.path())?;
        frps.line("frps started successfully").await?;
        Ok(frps)
    }

    fn frpc(&self, name: &str, text: &str) -> Result<Process> {
        let file = format!("{name}.toml");
        fs::write(self.folder.path().join(&file), text)?;
        let executable = Maker::from_env(Role::Frpc).executable(Role::Frpc)?;
        Process::start(&executable, &["-c", &file], self.folder.path())
    }
}

fn common(port: u16, mux: bool) -> String {
    format!(
        "serverAddr = \"127.0.0.1\"\nserverPort = {port}\nauth.token = \"secret\"\nlog.level = \"debug\"\n\
         transport.wireProtocol = \"v2\"\ntransport.tcpMux = {mux}\n"
    )
}

/// The section of a proxy, without the end of its options.
fn proxy(kind: Kind, local: u16, remote: u16) -> String {
    let name = kind.name();
    let more = match kind {
        Kind::Tcp | Kind::Udp => format!("remotePort = {remote}\n"),
        Kind::Stcp | Kind::Sudp => format!("secretKey = \"{KEY}\"\n"),
        Kind::Http | Kind::Https => format!("customDomains = [\"{name}.site.test\"]\n"),
        Kind::Tcpmux => format!("customDomains = [\"{name}.site.test\"]\nmultiplexer = \"httpconnect\"\n"),
    };
    format!("[[proxies]]\nname = \"{name}\"\ntype = \"{name}\"\nlocalPort = {local}\n{more}")
}

async fn every_type(mux: bool, layered: bool) -> Result<()> {
    if !known() {
        return Ok(());
    }
    let doors = Doors::free();
    let Doors { http, https, tcpmux } = doors;
    let ports =
        format!("vhostHTTPPort = {http}\nvhostHTTPSPort = {https}\ntcpmuxHTTPConnectPort = {tcpmux}\n");
    let world = World::start(mux, &ports).await?;
    let layers = format!("transport.useEncryption = {layered}\ntransport.useCompression = {layered}\n");
    let (mut owner, mut visitor) = (common(world.port, mux), common(world.port, mux));
    let (mut services, mut accesses) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let service = kind.service().await?;
        let name = kind.name();
        let access = match kind {
            Kind::Http => http,
            Kind::Https => https,
            Kind::Tcpmux => tcpmux,
            Kind::Tcp | Kind::Udp | Kind::Stcp | Kind::Sudp => ports::free(),
        };
        owner.push_str(&proxy(kind, service.port(), access));
        owner.push_str(&layers);
        if kind.by_visitor() {
            let _ = write!(
                visitor,
                "[[visitors]]\nname = \"v-{name}\"\ntype = \"{name}\"\nserverName = \"{name}\"\nsecretKey = \"{KEY}\"\n\
                 bindPort = {access}\n{layers}"
            );
        }
        accesses.push(Access::new(kind, access, &format!("{name}.site.test")));
        services.push(service);
    }
    let mut owner = world.frpc("owner", &owner)?;
    owner.lines("start proxy success", Kind::ALL.len()).await?;
    let mut visitor = world.frpc("visitor", &visitor)?;
    visitor.lines("start visitor success", 2).await?;
    for access in accesses {
        let name = access.kind.name();
        access.serves().await.with_context(|| format!("{name} is not reached"))?;
        access.echo(b"a request").await.with_context(|| format!("{name}, a request"))?;
        let length = if access.kind.datagrams() { 128 << 10 } else { 4 << 20 };
        access.bulk(length).await.with_context(|| format!("{name}, bulk"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_proxy() -> Result<()> {
    every_type(true, false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_proxy_encrypted_and_compressed_without_mux() -> Result<()> {
    every_type(false, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_ends_the_client() -> Result<()> {
    if !known() {
        return Ok(());
    }
    let world = World::start(true, "").await?;
    let text = common(world.port, true).replace("\"secret\"", "\"guess\"");
    let mut stranger = world.frpc("stranger", &text)?;
    stranger.line("token in login doesn't match token from configuration").await?;
    ensure!(stranger.wait().await?.code() == Some(1), "a refused first login exits with 1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_is_killed_and_serves_again_once_it_is_back() -> Result<()> {
    if !known() {
        return Ok(());
    }
    for mux in [true, false] {
        let echo = Service::echo().await?;
        let mut world = World::start(mux, "").await?;
        let remote = ports::free();
        let text = common(world.port, mux) + &proxy(Kind::Tcp, echo.port(), remote);
        let mut frpc = world.frpc("owner", &text)?;
        frpc.line("start proxy success").await?;
        traffic::echo(remote, b"before").await?;

        world.frps.kill().await?;
        world.frps = World::frps(&world.folder).await?;
        frpc.lines("start proxy success", 2).await?;
        traffic::echo(remote, b"after the server's end").await?;

        frpc.kill().await?;
        world.frps.line("client exit success").await?;
        frpc = world.frpc("owner", &text)?;
        frpc.line("start proxy success").await?;
        traffic::echo(remote, b"after the client's end").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_holed_connection_is_replaced() -> Result<()> {
    if !known() {
        return Ok(());
    }
    for mux in [true, false] {
        let echo = Service::echo().await?;
        let mut world = World::start(mux, "").await?;
        let relay = Relay::to(world.port).await?;
        let remote = ports::free();
        let text = format!(
            "{}transport.heartbeatInterval = 1\ntransport.heartbeatTimeout = 3\n{}",
            common(relay.port(), mux),
            proxy(Kind::Tcp, echo.port(), remote)
        );
        let mut frpc = world.frpc("owner", &text)?;
        frpc.line("start proxy success").await?;
        traffic::echo(remote, b"before").await?;
        relay.swallow_open_connections();
        frpc.lines("start proxy success", 2).await.context("log in again with the same run id")?;
        world.frps.line("replaced by client").await?;
        traffic::echo(remote, b"after").await?;
    }
    Ok(())
}
