//! Groups and health checks over the types that share a port, with whichever server and client the environment chose.
//! For tcp see `lifecycle.rs`.

use std::fs;

use anyhow::{Context, Result, ensure};
use frp_test_support::http::{self, Connection};
use frp_test_support::kind::{Access, Doors, Kind};
use frp_test_support::process::Process;
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel, client_ini, start_program};
use frp_test_support::{tls, traffic, within};
use tokio::io::AsyncWriteExt;
use tokio::time::{Duration, interval};

const SETTING: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };
const HOST: &str = "shared.site.test";

/// A service of a type's users that says its name to each of them.
async fn named(kind: Kind, name: &'static str) -> Result<Service> {
    match kind {
        Kind::Http => Service::site(name).await,
        Kind::Https => {
            Service::tcp(move |peer| async move {
                let Ok(mut stream) = tls::accept(peer).await else { return };
                let _ = stream.write_all(name.as_bytes()).await;
                let _ = stream.shutdown().await;
            })
            .await
        }
        _ => Service::greeting(name).await,
    }
}

/// The name that a user is told.
async fn who(access: &Access) -> Result<String> {
    let name = match access.kind {
        Kind::Http => {
            let answer = http::get(access.port, &access.host, "/name", "").await?;
            ensure!(answer.status() == 200, "{:?}", answer.head);
            answer.body
        }
        Kind::Tcpmux => {
            // The greeting may come in the same breath as the answer to CONNECT.
            let mut connection = Connection::open(access.port).await?;
            connection.send(access.connect_request("").as_bytes()).await?;
            let head = connection.head().await?.context("no answer to CONNECT")?;
            ensure!(head.status() == 200, "{head:?}");
            let (mut stream, mut name) = connection.into_parts();
            name.extend(traffic::read_to_end(&mut stream).await?);
            name
        }
        _ => traffic::read_to_end(&mut access.stream().await?).await?,
    };
    Ok(String::from_utf8(name)?)
}

/// Asks until the answer is as wanted.
async fn until(what: &str, access: &Access, wanted: impl Fn(&Result<String>) -> bool) -> Result<()> {
    within(what, async {
        let mut pause = interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if wanted(&who(access).await) {
                return;
            }
        }
    })
    .await
}

/// A second client of the tunnel's server.
fn second_client(tunnel: &Tunnel, proxies: &[Proxy]) -> Result<Process> {
    let folder = tunnel.folder().join("second");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("frpc.ini"), client_ini(SETTING, tunnel.port, "", proxies))?;
    start_program(Role::Frpc, &folder)
}

/// Kills a client and waits until the server has noticed.
async fn noticed_death(frpc: &mut Process, frps: &mut Process) -> Result<()> {
    const GONE: &str = "client exit success";
    let before = frps.count(GONE);
    frpc.kill().await?;
    frps.lines(GONE, before + 1).await.map(drop)
}

async fn a_group_shares_and_survives(kind: Kind) -> Result<()> {
    if !kind.built() {
        return Ok(());
    }
    let (one, two) = (named(kind, "one").await?, named(kind, "two").await?);
    let group = "group = g\ngroup_key = k";
    let doors = Doors::free();
    let first = kind.proxy("first", one.port(), HOST).with(group);
    let second = kind.proxy("second", two.port(), HOST).with(group);
    let access = Access::new(kind, doors.of(kind, &first), HOST);
    let mut tunnel = Tunnel::start_with(SETTING, &[first], &doors.ini(), "").await?;
    ensure!(who(&access).await? == "one", "the only member");
    let mut other = second_client(&tunnel, std::slice::from_ref(&second))?;
    other.line("start proxy success").await?;

    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(who(&access).await?);
    }
    let ones = answers.iter().filter(|answer| *answer == "one").count();
    let twos = answers.iter().filter(|answer| *answer == "two").count();
    ensure!(ones + twos == 10 && ones.abs_diff(twos) <= 1, "not in turn: {answers:?}");

    // Strangers to the group do not come in.
    for (lines, why) in
        [("group = g\ngroup_key = guess", "group auth failed"), ("", "router config conflict")]
    {
        let folder = tunnel.folder().join("stranger");
        fs::create_dir_all(&folder)?;
        let proxy = kind.proxy("stranger", two.port(), HOST).with(lines);
        fs::write(folder.join("frpc.ini"), client_ini(SETTING, tunnel.port, "", &[proxy]))?;
        let mut stranger = start_program(Role::Frpc, &folder)?;
        let line = stranger.line("start error").await?;
        ensure!(line.ends_with(why), "{line}");
        noticed_death(&mut stranger, &mut tunnel.frps).await?;
    }

    noticed_death(&mut other, &mut tunnel.frps).await?;
    for _ in 0..6 {
        let name = who(&access).await?;
        ensure!(name == "one", "{name:?} of the member that has gone");
    }
    // And again with the roles exchanged: the first member is not special.
    let mut other = second_client(&tunnel, std::slice::from_ref(&second))?;
    other.line("start proxy success").await?;
    noticed_death(&mut tunnel.frpc, &mut tunnel.frps).await?;
    for _ in 0..6 {
        ensure!(who(&access).await? == "two", "the member that is left");
    }
    Ok(())
}

async fn a_sick_member_is_passed_over(kind: Kind) -> Result<()> {
    if !kind.built() {
        return Ok(());
    }
    let (one, two) = (named(kind, "one").await?, named(kind, "two").await?);
    let check = "group = g\ngroup_key = k\nhealth_check_type = tcp\nhealth_check_interval_s = 1\n\
                 health_check_timeout_s = 1\nhealth_check_max_failed = 1";
    let doors = Doors::free();
    let proxies = [("first", &one), ("second", &two)]
        .map(|(name, service)| kind.proxy(name, service.port(), HOST).with(check));
    let access = Access::new(kind, doors.of(kind, &proxies[0]), HOST);
    let mut tunnel = Tunnel::start_with(SETTING, &proxies, &doors.ini(), "").await?;
    for name in ["one", "two"] {
        until(name, &access, |answer| answer.as_ref().is_ok_and(|answer| answer == name)).await?;
    }
    drop(two);
    tunnel.frpc.line("[second] health check failed").await?;
    // The server learns it after the client has.
    tunnel.frps.line("proxy closing").await?;
    for _ in 0..6 {
        ensure!(who(&access).await? == "one", "a user met the sick member");
    }
    Ok(())
}

macro_rules! kinds {
    ($($name:ident: $kind:ident,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_group_goes_on_when_one_of_its_members_dies() -> Result<()> {
                a_group_shares_and_survives(Kind::$kind).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_member_without_its_service_is_passed_over() -> Result<()> {
                a_sick_member_is_passed_over(Kind::$kind).await
            }
        }
    )*};
}

kinds! {
    http_: Http,
    https: Https,
    tcpmux: Tcpmux,
}

/// Without a group a sick proxy is not offered at all, and is again when its service is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_is_offered_while_it_is_well() -> Result<()> {
    if !Kind::Http.built() {
        return Ok(());
    }
    let well = tokio::sync::watch::channel(true);
    let (switch, state) = well;
    let service = Service::tcp(move |peer| {
        let state = state.clone();
        async move {
            let mut connection = Connection::new(peer);
            while let Ok(Some(_)) = connection.head().await {
                let status = if *state.borrow() { "200 OK" } else { "500 No" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\none");
                if connection.send(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await?;
    let check = "health_check_type = http\nhealth_check_url = /health\nhealth_check_interval_s = 1\n\
                 health_check_timeout_s = 1\nhealth_check_max_failed = 1";
    let doors = Doors::free();
    let proxy = Kind::Http.proxy("site", service.port(), HOST).with(check);
    let mut tunnel = Tunnel::start_with(SETTING, &[proxy], &doors.ini(), "").await?;
    let access = Access::new(Kind::Http, doors.http, HOST);
    until("the first answer", &access, Result::is_ok).await?;
    switch.send_replace(false);
    tunnel.frpc.line("health check failed").await?;
    let gone =
        |answer: &Result<String>| answer.as_ref().is_err_and(|error| error.to_string().contains("404"));
    until("the proxy to go", &access, gone).await?;
    switch.send_replace(true);
    until("the proxy to come back", &access, Result::is_ok).await
}
