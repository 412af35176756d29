//! `auth.additionalScopes` of method `token`, where both sides agree and where they do not.

use anyhow::{Result, ensure};
use frp_test_support::programs::{Role, is_old};
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use frp_test_support::{traffic, within};
use tokio::io::AsyncReadExt;

const DEFAULT: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };
const HEARTBEATS: &str = "authenticate_heartbeats = true\n";
const WORK_CONNECTIONS: &str = "authenticate_new_work_conns = true\n";
const OFTEN: &str = "heartbeat_interval = 1\n";

/// A scope that only the client has does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_that_are_asked_for_and_proofs_that_are_not() -> Result<()> {
    let echo = Service::echo().await?;
    let both = format!("{HEARTBEATS}{WORK_CONNECTIONS}");
    for server in [both.as_str(), ""] {
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let proxies = std::slice::from_ref(&proxy);
        let mut tunnel = Tunnel::start_with(DEFAULT, proxies, server, &format!("{both}{OFTEN}")).await?;
        traffic::echo(proxy.remote, b"before").await?;
        tunnel.frpc.lines("receive heartbeat from server", 3).await?;
        traffic::echo(proxy.remote, b"after").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_without_the_proof_that_is_asked_for_end_the_session() -> Result<()> {
    let mut tunnel = Tunnel::start_with(DEFAULT, &[], HEARTBEATS, OFTEN).await?;
    // Old servers close before they have said so; of old clients it is a "Pong" alone.
    if !is_old(Role::Frps) {
        let error = "contains error: token in heartbeat doesn't match token from configuration";
        let line = tunnel.frpc.line(error).await?;
        ensure!(line.contains("pong message ") || is_old(Role::Frpc), "{line}");
    }
    // The login itself is good, so the client comes back.
    tunnel.frpc.lines("login to server success", 2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn work_connections_without_the_proof_that_is_asked_for_are_refused() -> Result<()> {
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let timeout = "user_conn_timeout = 1\n";
    let server = format!("{WORK_CONNECTIONS}{timeout}");
    let proxies = std::slice::from_ref(&proxy);
    let mut tunnel = Tunnel::start_with(DEFAULT, proxies, &server, "").await?;
    tunnel.frpc.line("token in NewWorkConn doesn't match token from configuration").await?;
    let mut user = traffic::connect(proxy.remote).await?;
    let got = within("the user's end", user.read(&mut [0])).await?;
    ensure!(matches!(got, Ok(0) | Err(_)), "a user is served: {got:?}");
    Ok(())
}
