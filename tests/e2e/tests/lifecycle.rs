//! Logins, refusals, restarts and lost connections, with whichever server and client the environment chose.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role, is_old};
use frp_test_support::relay::Relay;
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel, client_ini, server_ini, start_program};
use frp_test_support::way::serves_within;
use frp_test_support::{ports, skipped, traffic, within};
use tokio::io::AsyncReadExt;

/// The default setting of both programs.
const DEFAULT: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };

/// A second client of the tunnel's server, with its own configuration.
fn second_client(folder: &std::path::Path, ini: &str) -> Result<Process> {
    let folder = folder.join("second");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("frpc.ini"), ini)?;
    start_program(Role::Frpc, &folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_ends_the_client() -> Result<()> {
    let tunnel = Tunnel::start(DEFAULT, &[]).await?;
    let ini = client_ini(DEFAULT, tunnel.port, "", &[]).replace("token = secret", "token = guessed");
    let mut stranger = second_client(tunnel.folder(), &ini)?;
    stranger.line("token in login doesn't match token from configuration").await?;
    let status = stranger.wait().await?;
    if Maker::from_env(Role::Frpc) == Maker::Original("v0.51.3".to_owned()) {
        skipped("frpc of v0.51.3 exits with 0 after a refused first login");
        return Ok(());
    }
    ensure!(status.code() == Some(1), "a refused first login exits with 1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_serves_again_once_it_is_back() -> Result<()> {
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let mut tunnel = Tunnel::start(DEFAULT, std::slice::from_ref(&proxy)).await?;
    traffic::echo(proxy.remote, b"before").await?;
    tunnel.restart_frps().await?;
    tunnel.frpc.lines("start proxy success", 2).await?;
    traffic::echo(proxy.remote, b"after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_serves_again_once_it_is_back() -> Result<()> {
    let echo = Service::echo().await?;
    let udp = Service::udp_echo().await?;
    let proxies = [Proxy::new("tcp", "echo", echo.port()), Proxy::new("udp", "udp", udp.port())];
    let mut tunnel = Tunnel::start(DEFAULT, &proxies).await?;
    traffic::echo(proxies[0].remote, b"before").await?;
    tunnel.restart_frpc().await?;
    tunnel.ready(2).await?;
    traffic::echo(proxies[0].remote, b"after").await?;
    traffic::udp_echo(proxies[1].remote, b"after").await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_proxies_say_why_and_leave_the_others_alone() -> Result<()> {
    let echo = Service::echo().await?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let mut good = Proxy::new("tcp", "good", echo.port());
    let mut busy = Proxy::new("tcp", "busy", echo.port());
    busy.remote = taken.local_addr()?.port();
    let mut forbidden = Proxy::new("tcp", "forbidden", echo.port());
    let mut same_port = Proxy::new("udp", "same-port", echo.port());
    // Three neighbouring ports cannot be had for sure, so the list names single ones.
    let allowed = [good.remote, busy.remote, same_port.remote].map(|port| port.to_string()).join(",");
    good = good.with("");
    forbidden = forbidden.with("");
    same_port = same_port.with("");
    let folder = tempfile::tempdir()?;
    let port = ports::free();
    let server = server_ini(DEFAULT, port, &format!("allow_ports = {allowed}\nproxy_bind_addr = 127.0.0.1"));
    fs::write(folder.path().join("frps.ini"), server)?;
    let mut frps = start_program(Role::Frps, folder.path())?;
    frps.line("frps started successfully").await?;
    let proxies = [good.clone(), busy, forbidden, same_port];
    fs::write(folder.path().join("frpc.ini"), client_ini(DEFAULT, port, "", &proxies))?;
    let mut frpc = start_program(Role::Frpc, folder.path())?;
    frpc.lines("start proxy success", 2).await?;
    let line = frpc.line("[busy] start error").await?;
    ensure!(line.ends_with("port unavailable"), "{line}");
    let line = frpc.line("[forbidden] start error").await?;
    ensure!(line.ends_with("port not allowed"), "{line}");
    traffic::echo(good.remote, b"still there").await?;

    let mut rival = second_client(folder.path(), &client_ini(DEFAULT, port, "", &[good.clone()]))?;
    let line = rival.line("[good] start error").await?;
    // Old releases look at the port first.
    ensure!(line.ends_with("proxy [good] already exists") || is_old(Role::Frps), "{line}");
    rival.kill().await?;
    let mut renamed = good.clone();
    renamed.name = "other".to_owned();
    let mut rival = second_client(folder.path(), &client_ini(DEFAULT, port, "", &[renamed]))?;
    let line = rival.line("[other] start error").await?;
    ensure!(line.ends_with("port already used"), "{line}");
    traffic::echo(good.remote, b"still there").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_when_one_of_its_members_dies() -> Result<()> {
    let one = Service::greeting("one").await?;
    let two = Service::greeting("two").await?;
    let group = "group = g\ngroup_key = k";
    let first = Proxy::new("tcp", "first", one.port()).with(group);
    let mut second = Proxy::new("tcp", "second", two.port()).with(group);
    second.remote = first.remote;
    let tunnel = Tunnel::start(DEFAULT, std::slice::from_ref(&first)).await?;
    let ini = client_ini(DEFAULT, tunnel.port, "", std::slice::from_ref(&second));
    let mut frpc = second_client(tunnel.folder(), &ini)?;
    frpc.line("start proxy success").await?;

    let mut answers = Vec::new();
    for _ in 0..10 {
        let mut user = traffic::connect(first.remote).await?;
        answers.push(String::from_utf8(traffic::read_to_end(&mut user).await?)?);
    }
    let ones = answers.iter().filter(|answer| *answer == "one").count();
    let twos = answers.iter().filter(|answer| *answer == "two").count();
    ensure!(ones + twos == 10 && ones.abs_diff(twos) <= 1, "not in turn: {answers:?}");

    frpc.kill().await?;
    within("the server to notice", async {
        loop {
            let mut user = traffic::connect(first.remote).await?;
            let mut answer = String::new();
            if user.read_to_string(&mut answer).await.is_ok() && answer == "one" {
                return Ok::<_, anyhow::Error>(());
            }
        }
    })
    .await??;
    let mut kept = 0;
    for _ in 0..6 {
        let mut user = traffic::connect(first.remote).await?;
        kept += usize::from(traffic::read_to_end(&mut user).await? == b"one");
    }
    ensure!(kept == 6, "{kept} of 6 users reached the member that is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_holed_connection_is_replaced() -> Result<()> {
    if Maker::from_env(Role::Frps) == Maker::Original("v0.69.0".to_owned()) {
        skipped(
            "frps of v0.69.0 keeps a client out for as long as its dead session lasts, its own client, too",
        );
        return Ok(());
    }
    for setting in [DEFAULT, Setting { mux: false, ..DEFAULT }] {
        let echo = Service::echo().await?;
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let server_port = ports::free();
        let relay = Relay::to(server_port).await?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("frps.ini"), server_ini(setting, server_port, ""))?;
        let mut frps = start_program(Role::Frps, folder.path())?;
        frps.line("frps started successfully").await?;
        // The first pair is what the programs look at without mux, the last key what old releases look at with it.
        let heartbeat = "heartbeat_interval = 1\nheartbeat_timeout = 3\ntcp_mux_keepalive_interval = 1";
        let ini = client_ini(setting, relay.port(), heartbeat, std::slice::from_ref(&proxy));
        fs::write(folder.path().join("frpc.ini"), ini)?;
        let mut frpc = start_program(Role::Frpc, folder.path())?;
        frpc.line("start proxy success").await?;
        traffic::echo(proxy.remote, b"before").await?;

        relay.swallow_open_connections();
        frpc.lines("start proxy success", 2).await.context("log in again with the same run id")?;
        // Old servers write it with a capital. Old clients look after their multiplexed connection no sooner than the server
        // does, which may then have ended it by itself.
        frps.line(if is_old(Role::Frpc) { "client exit success" } else { "eplaced by client" }).await?;
        traffic::echo(proxy.remote, b"after").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_multiplexed_connections_share_the_work_and_are_replaced() -> Result<()> {
    if Maker::from_env(Role::Frpc) != Maker::Ours {
        skipped("transport.tcpMuxConnections is a key of our client alone");
        return Ok(());
    }
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let server_port = ports::free();
    let mut relay = Relay::to(server_port).await?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("frps.ini"), server_ini(DEFAULT, server_port, ""))?;
    let mut frps = start_program(Role::Frps, folder.path())?;
    frps.line("frps started successfully").await?;
    let ini = client_ini(DEFAULT, relay.port(), "tcp_mux_connections = 3", std::slice::from_ref(&proxy));
    fs::write(folder.path().join("frpc.ini"), ini)?;
    let mut frpc = start_program(Role::Frpc, folder.path())?;
    frpc.line("start proxy success").await?;
    within("three connections", relay.connections(3)).await?;

    // More users at once than one connection has; each of them is served.
    let mut users = Vec::new();
    for _ in 0..12 {
        let mut user = traffic::connect(proxy.remote).await?;
        traffic::echo_on(&mut user, &[7; 10_000]).await?;
        users.push(user);
    }
    ensure!(relay.used() == 3, "{} of 3 connections carry users", relay.used());
    // The control's is the first; one of the others goes and comes back, and the session lives on.
    relay.cut_last();
    within("the replacement", relay.connections(4)).await?;
    ensure!(frpc.count("login to server success") == 1, "the control was lost, too");
    if Maker::from_env(Role::Frps) != Maker::Ours {
        // It hands out work connections of the lost one until it has seen its end.
        serves_within(proxy.remote, Duration::from_secs(10)).await?;
    }
    for _ in 0..12 {
        traffic::echo(proxy.remote, b"after").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_end_on_a_signal_with_status_zero() -> Result<()> {
    if Maker::from_env(Role::Frps) != Maker::Ours || Maker::from_env(Role::Frpc) != Maker::Ours {
        skipped("the original is ended by the signal itself");
        return Ok(());
    }
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let echo = Service::echo().await?;
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let mut tunnel = Tunnel::start(DEFAULT, std::slice::from_ref(&proxy)).await?;
        let mut user = traffic::connect(proxy.remote).await?;
        traffic::echo_on(&mut user, b"an open connection").await?;
        for process in [&mut tunnel.frpc, &mut tunnel.frps] {
            process.signal(signal)?;
            let ended = tokio::time::timeout(Duration::from_secs(1), process.wait()).await;
            ensure!(ended.context("not within a second")??.code() == Some(0), "status");
        }
        ensure!(traffic::ends_within(&mut user, Duration::from_secs(1)).await, "the user was left hanging");
    }
    Ok(())
}
