//! Every type of proxy × {plain, encryption, compression, both}, with whichever server and client the environment
//! chose: one connection, many at once, bulk, wrong keys and passwords, unknown hosts, restarts of either side.

use std::fs;

use anyhow::{Context, Result, ensure};
use frp_test_support::http::{self, Connection};
use frp_test_support::kind::{Access, Doors, Kind};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role, is_old};
use frp_test_support::tunnel::{Setting, Tunnel, Visitor, client_ini, start_program, visitor_ini};
use frp_test_support::{skipped, tls, traffic};
use tokio::task::JoinSet;

/// Bytes each way of a bulk transfer over streams; it has to be more than all buffers on the way.
const BULK: u64 = 8 << 20;
/// The same over datagrams, which go one at a time.
const BULK_DATAGRAMS: u64 = 512 << 10;
/// Users at once.
const USERS: u8 = 50;

const KEY: &str = "a key";
const HOST: &str = "good.site.test";
const LOCKED: &str = "locked.site.test";

/// A tunnel with a proxy of one type, with what is forbidden beside it, and whoever visits it.
struct Scene {
    access: Access,
    locked: Access,
    tunnel: Tunnel,
    visitors: Option<Visitors>,
    setting: Setting,
}

/// A client that holds visitors: one with the right key, one with a wrong one, one for a proxy that is not there.
struct Visitors {
    frpc: Process,
    wrong: Access,
    nobody: Access,
}

impl Scene {
    async fn start(kind: Kind, setting: Setting, service: u16) -> Result<Self> {
        let doors = Doors::free();
        let mut good = kind.proxy("good", service, HOST);
        let mut proxies = Vec::new();
        match kind {
            Kind::Tcp => good = good.with(&format!("group = g\ngroup_key = {KEY}")),
            Kind::Stcp | Kind::Sudp => good = good.with(&format!("sk = {KEY}")),
            Kind::Http | Kind::Tcpmux => {
                let lock = "http_user = me\nhttp_pwd = pass";
                proxies.push(kind.proxy("locked", service, LOCKED).with(lock));
            }
            Kind::Udp | Kind::Https => {}
        }
        let mut access = Access::new(kind, doors.of(kind, &good), HOST);
        let locked = Access::new(kind, access.port, LOCKED);
        proxies.push(good);
        let tunnel = Tunnel::start_with(setting, &proxies, &doors.ini(), "").await?;
        let mut visitors = None;
        if kind.by_visitor() {
            let made = Visitors::start(kind, setting, &tunnel).await?;
            access.port = made.0;
            visitors = Some(made.1);
        }
        Ok(Self { access, locked, tunnel, visitors, setting })
    }
}

impl Visitors {
    /// The port of the right one, and the rest.
    async fn start(kind: Kind, setting: Setting, tunnel: &Tunnel) -> Result<(u16, Self)> {
        let name = kind.name();
        let right = Visitor::new(name, "right", "good", KEY);
        let wrong = Visitor::new(name, "wrong", "good", "another key");
        let nobody = Visitor::new(name, "nobody", "absent", KEY);
        let all = [right, wrong, nobody];
        let frpc = second_client(tunnel, &visitor_ini(setting, tunnel.port, "", &all))?;
        let [right, wrong, nobody] = all.map(|visitor| Access::new(kind, visitor.port, ""));
        let mut made = Self { frpc, wrong, nobody };
        made.frpc.lines("start visitor success", 3).await?;
        Ok((right.port, made))
    }
}

/// A second client of the tunnel's server.
fn second_client(tunnel: &Tunnel, ini: &str) -> Result<Process> {
    let folder = tunnel.folder().join("second");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("frpc.ini"), ini)?;
    start_program(Role::Frpc, &folder)
}

async fn cell(kind: Kind, encryption: bool, compression: bool) -> Result<()> {
    if !kind.built() {
        return Ok(());
    }
    let service = kind.service().await?;
    let setting = Setting { tls: true, mux: true, encryption, compression };
    let mut scene = Scene::start(kind, setting, service.port()).await?;
    let access = scene.access.clone();
    access.serves().await.context("the first connection")?;

    access.echo(b"one connection").await.context("one connection")?;
    let mut users = JoinSet::new();
    for user in 0..USERS {
        let access = access.clone();
        users.spawn(async move { access.echo(&[user; 1000]).await });
    }
    while let Some(user) = users.join_next().await {
        user?.context("many at once")?;
    }
    access.bulk(if kind.datagrams() { BULK_DATAGRAMS } else { BULK }).await.context("bulk")?;

    wrong_key(&mut scene).await.context("a wrong key")?;
    unknown(&mut scene).await.context("an unknown name")?;
    access.serves().await.context("after those")?;

    scene.tunnel.restart_frps().await?;
    access.serves().await.context("after a restart of frps")?;
    scene.tunnel.restart_frpc().await?;
    access.serves().await.context("after a restart of frpc")?;
    if let Some(visitors) = &mut scene.visitors {
        visitors.frpc.kill().await?;
        let (port, visitors) = Visitors::start(kind, setting, &scene.tunnel).await?;
        scene.visitors = Some(visitors);
        Access { port, ..access }.serves().await.context("after a restart of the visitor's frpc")?;
    }
    Ok(())
}

/// What guards a proxy of this type is tried with a wrong key, and where that is not done elsewhere with the right one.
/// A udp or https proxy has no key of its own.
async fn wrong_key(scene: &mut Scene) -> Result<()> {
    match scene.access.kind {
        Kind::Udp | Kind::Https => {}
        Kind::Tcp => {
            let mut rival = Kind::Tcp.proxy("rival", 1, "").with("group = g\ngroup_key = another key");
            rival.remote = scene.access.port;
            let ini = client_ini(scene.setting, scene.tunnel.port, "", &[rival]);
            let mut rival = second_client(&scene.tunnel, &ini)?;
            rival.line("group auth failed").await?;
            rival.kill().await?;
        }
        Kind::Http => {
            for (credentials, status) in [
                (String::new(), 401),
                (http::basic("Authorization", "me", "guess"), 401),
                (http::basic("Authorization", "me", "pass"), 200),
            ] {
                let answer = http::get(scene.locked.port, LOCKED, "/name", &credentials).await?;
                ensure!(answer.status() == status, "{:?} with {credentials:?}", answer.head);
                ensure!(status != 200 || answer.body == b"site", "another page");
            }
        }
        Kind::Tcpmux => {
            if is_old(Role::Frps) || is_old(Role::Frpc) {
                skipped("old releases know no passwords of tcpmux proxies");
                return Ok(());
            }
            for (credentials, fine) in [
                (String::new(), false),
                (http::basic("Proxy-Authorization", "me", "guess"), false),
                (http::basic("Proxy-Authorization", "me", "pass"), true),
            ] {
                let mut connection = Connection::open(scene.locked.port).await?;
                connection.send(scene.locked.connect_request(&credentials).as_bytes()).await?;
                let mut head = connection.head().await?.context("no answer")?;
                if head.status() == 200 && !fine && Maker::from_env(Role::Frps) != Maker::Ours {
                    // The original says 200 before it looks at the password.
                    head = connection.head().await?.context("no refusal")?;
                }
                ensure!(head.status() == if fine { 200 } else { 407 }, "{head:?} with {credentials:?}");
                if fine {
                    traffic::echo_on(connection.stream(), b"within").await?;
                } else {
                    let rest = traffic::read_to_end(connection.stream()).await?;
                    ensure!(rest.is_empty(), "more after the refusal");
                }
            }
        }
        Kind::Stcp | Kind::Sudp => {
            let visitors = scene.visitors.as_mut().context("visitors")?;
            refused(&mut visitors.frpc, &visitors.wrong, "visitor connection of [good] auth failed").await?;
        }
    }
    Ok(())
}

/// A name that leads nowhere. A port leads somewhere or is none.
async fn unknown(scene: &mut Scene) -> Result<()> {
    const NOBODY: &str = "nobody.site.test";
    let port = scene.access.port;
    match scene.access.kind {
        Kind::Tcp | Kind::Udp => {}
        Kind::Http => {
            let answer = http::get(port, NOBODY, "/name", "").await?;
            ensure!(answer.status() == 404 && answer.whole, "{:?}", answer.head);
        }
        Kind::Https => {
            let refused = tls::connect(traffic::connect(port).await?, NOBODY).await.err();
            let text = format!("{:#}", refused.context("a stranger's name was served")?);
            // Old releases answer with a page, as if they had been asked in the clear.
            ensure!(text.contains("UnrecognisedName") || is_old(Role::Frps), "{text}");
        }
        Kind::Tcpmux => {
            let mut connection = Connection::open(port).await?;
            let request = Access::new(Kind::Tcpmux, port, NOBODY).connect_request("");
            connection.send(request.as_bytes()).await?;
            let answer = connection.answer("CONNECT").await?.context("no answer")?;
            ensure!(answer.status() == 404 && answer.whole, "{:?}", answer.head);
            ensure!(connection.head().await?.is_none(), "the connection must end");
        }
        Kind::Stcp | Kind::Sudp => {
            let visitors = scene.visitors.as_mut().context("visitors")?;
            let text = "custom listener for [absent] doesn't exist";
            refused(&mut visitors.frpc, &visitors.nobody, text).await?;
        }
    }
    Ok(())
}

/// A user of that visitor gets nothing, and the visitor says why.
async fn refused(frpc: &mut Process, access: &Access, why: &str) -> Result<()> {
    if access.kind.datagrams() {
        let user = traffic::udp_user(access.port).await?;
        user.send(b"a datagram").await?;
    } else {
        let mut user = traffic::connect(access.port).await?;
        let got = traffic::read_to_end(&mut user).await?;
        ensure!(got.is_empty(), "{} bytes came", got.len());
    }
    frpc.line(why).await.map(drop)
}

macro_rules! cells {
    ($($name:ident: $kind:ident,)*) => {$(
        mod $name {
            use super::*;

            const KIND: Kind = Kind::$kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn plain() -> Result<()> {
                cell(KIND, false, false).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn encryption() -> Result<()> {
                cell(KIND, true, false).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn compression() -> Result<()> {
                cell(KIND, false, true).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn both() -> Result<()> {
                cell(KIND, true, true).await
            }
        }
    )*};
}

cells! {
    tcp: Tcp,
    udp: Udp,
    http_: Http,
    https: Https,
    tcpmux: Tcpmux,
    stcp: Stcp,
    sudp: Sudp,
}
