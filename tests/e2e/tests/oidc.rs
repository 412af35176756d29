//! Method `oidc`: programs that prove who they are with tokens of a local issuer.

use std::fs;

use anyhow::{Result, ensure};
use frp_test_support::issuer::{CLIENT_ID, CLIENT_SECRET, DISCOVERY, Issuer, Key, TOKEN};
use frp_test_support::programs::{Maker, Role, is_old};
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel, client_ini, server_ini, start_program};
use frp_test_support::{ports, traffic};

const DEFAULT: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };
const SCOPES: &str = "authenticate_heartbeats = true\nauthenticate_new_work_conns = true\n";

fn server(issuer: &Issuer) -> String {
    format!("authentication_method = oidc\noidc_issuer = {}\noidc_audience = frps\n", issuer.url())
}

fn client(issuer: &Issuer, secret: &str) -> String {
    format!(
        "authentication_method = oidc\noidc_client_id = {CLIENT_ID}\noidc_client_secret = {secret}\n\
         oidc_token_endpoint_url = {}\noidc_additional_resource = frp\nheartbeat_interval = 1\n",
        issuer.token_endpoint()
    )
}

async fn rsa_issuer() -> Result<Issuer> {
    let issuer = Issuer::start().await?;
    issuer.settings().keys = vec![Key::generate("rsa", "RS256")?];
    issuer.settings().algorithms = Some(vec!["RS256".to_owned()]);
    Ok(issuer)
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_heartbeats_and_work_connections() -> Result<()> {
    let echo = Service::echo().await?;
    for expires_in in [Some(3600.into()), None] {
        let issuer = rsa_issuer().await?;
        issuer.settings().expires_in = expires_in.clone();
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let proxies = std::slice::from_ref(&proxy);
        let server = server(&issuer) + SCOPES;
        let client = client(&issuer, CLIENT_SECRET) + SCOPES;
        let mut tunnel = Tunnel::start_with(DEFAULT, proxies, &server, &client).await?;
        // Old clients have no such parameters.
        let resource = issuer.form().get("resource").is_some_and(|value| value == "frp");
        ensure!(resource || is_old(Role::Frpc), "{:?}", issuer.form());
        traffic::echo(proxy.remote, b"with a token").await?;
        tunnel.frpc.lines("receive heartbeat from server", 3).await?;
        traffic::echo(proxy.remote, b"and after heartbeats").await?;
        let asked = issuer.requests(TOKEN);
        ensure!(if expires_in.is_some() { asked == 1 } else { asked > 4 }, "asked {asked} times");
        ensure!(issuer.requests(DISCOVERY) == 1, "discovery is once");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_client_and_are_not_told() -> Result<()> {
    let issuer = rsa_issuer().await?;
    let tunnel = Tunnel::start_with(DEFAULT, &[], &server(&issuer), &client(&issuer, CLIENT_SECRET)).await?;
    let folder = tempfile::tempdir()?;
    let wrong = client_ini(DEFAULT, tunnel.port, &client(&issuer, "hunter2"), &[]);
    fs::write(folder.path().join("frpc.ini"), wrong)?;
    let mut stranger = start_program(Role::Frpc, folder.path())?;
    let line = stranger.line("couldn't generate OIDC token for login: oauth2: ").await?;
    ensure!(line.contains("oauth2: \"invalid_client\"") || is_old(Role::Frpc), "{line}");
    ensure!(stranger.wait().await?.code() == Some(1), "a first login that fails exits with 1");
    ensure!(stranger.count("hunter2") == 0 && tunnel.frps.count("hunter2") == 0, "a secret is shown");
    Ok(())
}

/// A client with the other method, and one whose token is for somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_good_are_refused() -> Result<()> {
    let issuer = rsa_issuer().await?;
    let server = server(&issuer).replace("oidc_audience = frps", "oidc_audience = another");
    let folder = tempfile::tempdir()?;
    let port = ports::free();
    fs::write(folder.path().join("frps.ini"), server_ini(DEFAULT, port, &server))?;
    let mut frps = start_program(Role::Frps, folder.path())?;
    frps.line("frps started successfully").await?;
    for (lines, text) in [
        (client(&issuer, CLIENT_SECRET), "oidc: expected audience \"another\" got [\"frps\"]"),
        (String::new(), "compact JWS format must have three parts"),
    ] {
        fs::write(folder.path().join("frpc.ini"), client_ini(DEFAULT, port, &lines, &[]))?;
        let mut frpc = start_program(Role::Frpc, folder.path())?;
        let line = frpc.line(text).await?;
        ensure!(line.contains("invalid OIDC token in login: "), "{line}");
        ensure!(frpc.wait().await?.code() == Some(1), "a refused first login exits with 1");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_under_a_running_server() -> Result<()> {
    let issuer = rsa_issuer().await?;
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let proxies = std::slice::from_ref(&proxy);
    let client = client(&issuer, CLIENT_SECRET);
    let mut tunnel = Tunnel::start_with(DEFAULT, proxies, &server(&issuer), &client).await?;
    traffic::echo(proxy.remote, b"before").await?;
    issuer.settings().keys = vec![Key::generate("rsa-2", "RS256")?];
    tunnel.restart_frpc().await?;
    tunnel.ready(1).await?;
    traffic::echo(proxy.remote, b"after").await
}

/// The original dies of a panic there, with status 2.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_issuer_does_not_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let extra = "authentication_method = oidc\noidc_issuer = http://127.0.0.1:1\n";
    fs::write(folder.path().join("frps.ini"), server_ini(DEFAULT, ports::free(), extra))?;
    let mut frps = start_program(Role::Frps, folder.path())?;
    frps.line("Get \"http://127.0.0.1:1/.well-known/openid-configuration\": dial tcp 127.0.0.1:1: ").await?;
    let status = frps.wait().await?.code();
    let expected = if Maker::from_env(Role::Frps) == Maker::Ours { 1 } else { 2 };
    ensure!(status == Some(expected), "status {status:?}");
    Ok(())
}
