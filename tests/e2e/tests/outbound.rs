//! The client's way to the server through a proxy of each kind, with whichever server and client the environment chose.

use anyhow::{Context, Result, bail, ensure};
use frp_test_support::outbound::{Kind, Outbound, USER};
use frp_test_support::programs::{Maker, Role};
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use frp_test_support::{skipped, tls, traffic};
use tempfile::TempDir;

/// Bytes each way of the bulk transfer.
const BULK: u64 = 4 << 20;

/// Each connection of its own, and all in one within TLS.
const SETTINGS: [Setting; 2] = [
    Setting { tls: false, mux: false, encryption: false, compression: false },
    Setting { tls: true, mux: true, encryption: false, compression: false },
];

/// A tunnel whose client goes through `way` as `user`, and trusts the certificate of the tests if told so: that lies in
/// the folder.
async fn tunnel(
    setting: Setting,
    way: &Outbound,
    user: &str,
    trusting: bool,
    proxies: &[Proxy],
) -> Result<(Tunnel, TempDir)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("authorities.pem");
    std::fs::write(&file, tls::certificate_pem()?)?;
    let file = file.to_str().context("a folder of plain letters")?;
    let trusted = [("SSL_CERT_FILE", file)];
    let environment = if trusting { &trusted[..] } else { &[] };
    let client = format!("http_proxy = {}", way.url(user));
    Ok((Tunnel::start_in(setting, proxies, "", &client, environment).await?, folder))
}

/// Whether the client knows such proxies.
fn knows(kind: Kind) -> bool {
    let old = matches!(Maker::from_env(Role::Frpc), Maker::Original(release) if release.as_str() < "v0.7");
    if kind == Kind::Https && old {
        skipped("older releases know no https proxies");
        return false;
    }
    true
}

async fn leads_to_the_server(kind: Kind) -> Result<()> {
    if !knows(kind) {
        return Ok(());
    }
    let echo = Service::echo().await?;
    for setting in SETTINGS {
        let way = Outbound::start(kind).await?;
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let (tunnel, _folder) = tunnel(setting, &way, USER, true, std::slice::from_ref(&proxy)).await?;
        traffic::echo(proxy.remote, b"one connection").await?;
        traffic::bulk_echo(proxy.remote, BULK, 7).await?;
        let targets = way.targets();
        let server = format!("127.0.0.1:{}", tunnel.port);
        ensure!(targets.iter().all(|target| *target == server), "{targets:?}");
        // The login, and without mux the work connections, too.
        let least = if setting.mux { 1 } else { 3 };
        ensure!(targets.len() >= least, "{targets:?}");
    }
    Ok(())
}

/// What the client says when a proxy does not let it pass.
async fn refusal(kind: Kind, user: &str, trusting: bool) -> Result<String> {
    let way = Outbound::start(kind).await?;
    match tunnel(SETTINGS[1], &way, user, trusting, &[]).await {
        Ok(_) => bail!("it let {user} pass"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

async fn refuses_strangers(kind: Kind, text: &str) -> Result<()> {
    if knows(kind) {
        let said = refusal(kind, "nobody", true).await?;
        ensure!(said.contains(text), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http() -> Result<()> {
    leads_to_the_server(Kind::Http).await?;
    refuses_strangers(Kind::Http, "DialTcpByHttpProxy error, StatusCode [407]").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https() -> Result<()> {
    leads_to_the_server(Kind::Https).await?;
    refuses_strangers(Kind::Https, "DialTcpByHttpProxy error, StatusCode [407]").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_of_which_the_system_knows_nothing() -> Result<()> {
    if knows(Kind::Https) {
        let said = refusal(Kind::Https, USER, false).await?;
        ensure!(said.contains("TLS handshake with HTTPS proxy: "), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socks5() -> Result<()> {
    leads_to_the_server(Kind::Socks5).await?;
    refuses_strangers(Kind::Socks5, ": username/password authentication failed").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ntlm() -> Result<()> {
    leads_to_the_server(Kind::Ntlm).await?;
    refuses_strangers(Kind::Ntlm, "DialTcpByNTLMHttpProxy error, StatusCode [407]").await
}
