//! TLS in which one side or both check the other's certificate.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use frp_test_support::authority::Authority;
use frp_test_support::process::Process;
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, client_ini, server_ini, start_program};
use frp_test_support::{ports, traffic};
use tempfile::TempDir;

const DEFAULT: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };

/// A folder with an authority, a rival of it, and certificates of both.
fn certificates() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let authority = Authority::new(path, "authority")?;
    authority.issue(path, "server", "frps.test")?;
    authority.issue(path, "client", "frpc.test")?;
    authority.issue_expired(path, "expired-client", "frpc.test")?;
    authority.issue_expired(path, "expired-server", "frps.test")?;
    let rival = Authority::new(path, "rival")?;
    rival.issue(path, "rival-client", "frpc.test")?;
    rival.issue(path, "rival-server", "frps.test")?;
    Ok(folder)
}

fn shows(name: &str) -> String {
    format!("tls_cert_file = {name}.crt\ntls_key_file = {name}.key\n")
}

const TRUSTS: &str = "tls_trusted_ca_file = authority.crt\n";

async fn frps(folder: &Path, port: u16, lines: &str) -> Result<Process> {
    fs::write(folder.join("frps.ini"), server_ini(DEFAULT, port, lines))?;
    let mut frps = start_program(Role::Frps, folder)?;
    frps.line("frps started successfully").await?;
    Ok(frps)
}

fn frpc(folder: &Path, port: u16, lines: &str, proxies: &[Proxy]) -> Result<Process> {
    fs::write(folder.join("frpc.ini"), client_ini(DEFAULT, port, lines, proxies))?;
    start_program(Role::Frpc, folder)
}

/// A client that gets in nowhere ends with status 1, and has not logged in.
async fn ends_without_a_login(mut frpc: Process, what: &str) -> Result<()> {
    let status = frpc.wait().await?.code();
    ensure!(status == Some(1), "{what}: status {status:?}");
    ensure!(frpc.count("login to server success") == 0, "{what}: {:?}", frpc.output());
    // Old releases leave out "the".
    ensure!(frpc.count("server failed: ") > 0, "{what}: {:?}", frpc.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_lets_clients_of_its_authority_in_and_nobody_else() -> Result<()> {
    let folder = certificates()?;
    let port = ports::free();
    let _frps = frps(folder.path(), port, &(shows("server") + TRUSTS)).await?;
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let mut good = frpc(folder.path(), port, &shows("client"), std::slice::from_ref(&proxy))?;
    good.line("start proxy success").await?;
    traffic::echo(proxy.remote, b"both are who they say").await?;
    for (lines, what) in [
        (String::new(), "no certificate"),
        (shows("rival-client"), "another authority's"),
        (shows("expired-client"), "an expired one"),
        ("tls_enable = false\n".to_owned(), "no TLS at all"),
    ] {
        let ini = client_ini(DEFAULT, port, "", &[]);
        let ini = if lines.contains("tls_enable") {
            ini.replace("tls_enable = true", "tls_enable = false")
        } else {
            ini + &lines
        };
        fs::write(folder.path().join("frpc.ini"), ini)?;
        ends_without_a_login(start_program(Role::Frpc, folder.path())?, what).await?;
    }
    traffic::echo(proxy.remote, b"nobody was disturbed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_logs_in_to_the_server_that_it_knows_and_to_no_other() -> Result<()> {
    let folder = certificates()?;
    let known = format!("{TRUSTS}tls_server_name = frps.test\n");
    for (certificate, lines, good) in [
        ("server", known.as_str(), true),
        ("rival-server", &known, false),
        ("expired-server", &known, false),
        // A certificate for another name than the server's.
        ("server", TRUSTS, false),
        ("client", &known, false),
        // Who trusts all logs in to all.
        ("rival-server", "", true),
    ] {
        let port = ports::free();
        let _frps = frps(folder.path(), port, &shows(certificate)).await?;
        let mut frpc = frpc(folder.path(), port, lines, &[])?;
        if good {
            frpc.line("login to server success").await?;
        } else {
            ends_without_a_login(frpc, &format!("{certificate} {lines}")).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_check() -> Result<()> {
    let folder = certificates()?;
    let port = ports::free();
    let _frps = frps(folder.path(), port, &(shows("server") + TRUSTS)).await?;
    let lines = shows("client") + TRUSTS + "tls_server_name = frps.test\n";
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let mut frpc = frpc(folder.path(), port, &lines, std::slice::from_ref(&proxy))?;
    frpc.line("start proxy success").await?;
    traffic::echo(proxy.remote, b"hello").await
}
