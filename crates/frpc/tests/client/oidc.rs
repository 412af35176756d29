//! Method `oidc`: tokens of an issuer's endpoint, and of a source.

use std::fs;

use frp_proto::msg::{Pong, ReqWorkConn};
use frp_test_support::issuer::{CLIENT_ID, CLIENT_SECRET, Fault, Issuer, TOKEN as ENDPOINT};

use crate::support::{Frps, Log, Text};

/// A server whose key is that of no token.
async fn server() -> Frps {
    Frps::start().await.with_token("")
}

fn text(frps: &Frps, issuer: &Issuer) -> Text {
    Text::new(frps)
        .line("auth.method = \"oidc\"")
        .line(&format!("auth.oidc.clientID = \"{CLIENT_ID}\""))
        .line(&format!("auth.oidc.clientSecret = \"{CLIENT_SECRET}\""))
        .line(&format!("auth.oidc.tokenEndpointURL = \"{}\"", issuer.token_endpoint()))
}

const SCOPES: &str = "auth.additionalScopes = [\"HeartBeats\", \"NewWorkConns\"]";

#[tokio::test]
async fn one_token_serves_all_messages_while_it_is_good() {
    let issuer = Issuer::start().await.unwrap();
    let mut frps = server().await;
    let frpc = text(&frps, &issuer).line(SCOPES).line("transport.heartbeatInterval = 1").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let token = control.login.privilege_key.clone();
    assert!(token.expose().split('.').count() == 3 && control.login.timestamp > 1_700_000_000);
    for _ in 0..2 {
        let ping = control.ping().await;
        assert!(ping.privilege_key == token && ping.timestamp == 0);
        control.send(Pong::default()).await;
    }
    control.send(ReqWorkConn::default()).await;
    let (_, work) = frps.work_conn().await;
    assert!(work.privilege_key == token && work.timestamp == 0);
    assert_eq!(issuer.requests(ENDPOINT), 1);
    frpc.stop().await;
}

#[tokio::test]
async fn without_a_lifetime_each_message_has_its_own_token() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().expires_in = None;
    let mut frps = server().await;
    let frpc = text(&frps, &issuer).line(SCOPES).start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert!(!control.ping().await.privilege_key.is_empty());
    control.send(ReqWorkConn::default()).await;
    assert!(!frps.work_conn().await.1.privilege_key.is_empty());
    assert_eq!(issuer.requests(ENDPOINT), 3);
    frpc.stop().await;
}

#[tokio::test]
async fn without_scopes_only_the_login_has_a_token() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().expires_in = None;
    let mut frps = server().await;
    let frpc = text(&frps, &issuer).start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert!(control.ping().await.privilege_key.is_empty());
    control.send(ReqWorkConn::default()).await;
    assert!(frps.work_conn().await.1.privilege_key.is_empty());
    assert_eq!(issuer.requests(ENDPOINT), 1);
    frpc.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_before_there_is_a_server() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server().await;
    let text = text(&frps, &issuer);
    drop(frps);
    assert!(text.start().end().await.is_err());
    assert_eq!(issuer.requests(ENDPOINT), 0);
}

#[tokio::test]
async fn a_failure_is_told_without_the_secret_and_tried_again() {
    let mut log = Log::capture();
    let issuer = Issuer::start().await.unwrap();
    let mut frps = server().await;
    let secret = "auth.oidc.clientSecret = \"hunter2\"";
    let wrong =
        text(&frps, &issuer).replace(&format!("auth.oidc.clientSecret = \"{CLIENT_SECRET}\""), secret);
    let told = "couldn't generate OIDC token for login: oauth2: \"invalid_client\"";
    assert_eq!(
        wrong.start().end().await.unwrap_err(),
        format!(
            "login to the server failed: {told}. With loginFailExit enabled, no additional retries will be attempted"
        )
    );
    log.line(&format!("WARN connect to server error: {told}")).await;
    drop(frps.connection().await);

    let fault = Fault::Status(500, "the token is hunter2".to_owned());
    issuer.settings().faults.insert(ENDPOINT, fault);
    let frpc = text(&frps, &issuer).line("loginFailExit = false").start();
    log.line(
        "WARN connect to server error: couldn't generate OIDC token for login: oauth2: cannot fetch token: 500 \
         Internal Server Error",
    )
    .await;
    drop(frps.connection().await);
    issuer.settings().faults.clear();
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
    assert!(!log.has("hunter2") && !log.has(CLIENT_SECRET));
}

#[tokio::test]
async fn a_heartbeat_without_a_token_is_left_out() {
    let mut log = Log::capture();
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().expires_in = None;
    let mut frps = server().await;
    let frpc = text(&frps, &issuer).line(SCOPES).line("transport.heartbeatInterval = 1").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.ping().await;
    issuer.settings().faults.insert(ENDPOINT, Fault::Text("{}".to_owned()));
    log.line(
        "WARN [0123456789abcdef] error during ping authentication: couldn't generate OIDC token for login: oauth2: \
         server response missing access_token, skip sending ping message",
    )
    .await;
    control.send(ReqWorkConn::default()).await;
    log.line(
        "WARN [0123456789abcdef] error during NewWorkConn authentication: couldn't generate OIDC token for login: \
         oauth2: server response missing access_token",
    )
    .await;
    issuer.settings().faults.clear();
    assert!(!control.ping().await.privilege_key.is_empty());
    frpc.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_program() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server().await;
    let text = text(&frps, &issuer).line("auth.oidc.trustedCaFile = \"/nowhere/ca.pem\"");
    assert_eq!(
        text.start().end().await.unwrap_err(),
        "failed to create OIDC HTTP client: failed to read OIDC CA certificate file \"/nowhere/ca.pem\": open \
         /nowhere/ca.pem: no such file or directory"
    );
}

#[tokio::test]
async fn an_endpoint_over_tls() {
    let issuer = Issuer::start_tls().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    fs::write(&authority, issuer.authority().unwrap()).unwrap();
    let mut frps = server().await;
    for line in [
        format!("auth.oidc.trustedCaFile = \"{}\"", authority.display()),
        "auth.oidc.insecureSkipVerify = true".to_owned(),
    ] {
        let frpc = text(&frps, &issuer).line(&line).start();
        assert!(!frps.accept("0123456789abcdef").await.login.privilege_key.is_empty());
        frpc.stop().await;
    }
}

#[tokio::test]
async fn a_source_is_read_for_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first\n").unwrap();
    // The other token still makes the key.
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps)
        .line("auth.method = \"oidc\"")
        .line("auth.oidc.tokenSource.type = \"file\"")
        .line(&format!("auth.oidc.tokenSource.file.path = \"{}\"", path.display()))
        .line(SCOPES)
        .line("transport.heartbeatInterval = 1")
        .start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.login.privilege_key, "first");
    assert_eq!(control.ping().await.privilege_key, "first");
    fs::write(&path, "second").unwrap();
    control.send(ReqWorkConn::default()).await;
    assert_eq!(frps.work_conn().await.1.privilege_key, "second");
    while control.ping().await.privilege_key == "first" {}
    frpc.stop().await;
}

#[tokio::test]
async fn a_work_connection_is_opened_once_there_is_proof_for_it() {
    let mut log = Log::capture();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first").unwrap();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps)
        .line("auth.method = \"oidc\"")
        .line("auth.oidc.tokenSource.type = \"file\"")
        .line(&format!("auth.oidc.tokenSource.file.path = \"{}\"", path.display()))
        .line("auth.additionalScopes = [\"NewWorkConns\"]")
        .start();
    let mut control = frps.accept("0123456789abcdef").await;
    fs::remove_file(&path).unwrap();
    control.send(ReqWorkConn::default()).await;
    let (path, system) = (path.display(), "no such file or directory");
    log.line(&format!(
        "WARN [0123456789abcdef] error during NewWorkConn authentication: couldn't acquire OIDC token for login: failed to \
         read file {path}: open {path}: {system}"
    ))
    .await;
    fs::write(folder.path().join("token"), "second").unwrap();
    control.send(ReqWorkConn::default()).await;
    assert_eq!(frps.work_conn().await.1.privilege_key, "second");
    frpc.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_source_may_be_a_program() {
    let mut frps = server().await;
    let source = |command: &str| {
        Text::new(&frps)
            .line("auth.method = \"oidc\"")
            .line("auth.oidc.tokenSource.type = \"exec\"")
            .line("auth.oidc.tokenSource.exec.command = \"sh\"")
            .line(&format!("auth.oidc.tokenSource.exec.args = [\"-c\", \"{command}\"]"))
    };
    let good = source("echo ' a token '");
    let bad = source("exit 3");
    let frpc = good.start();
    assert_eq!(frps.accept("0123456789abcdef").await.login.privilege_key, "a token");
    frpc.stop().await;
    assert_eq!(
        bad.start().end().await.unwrap_err(),
        "login to the server failed: couldn't acquire OIDC token for login: failed to execute command sh: exit \
         status 3. With loginFailExit enabled, no additional retries will be attempted"
    );
}

/// As upstream: a source of the other token is for the other method.
#[tokio::test]
async fn a_source_of_the_other_token_is_left_alone() {
    let issuer = Issuer::start().await.unwrap();
    let mut frps = server().await;
    let frpc = text(&frps, &issuer)
        .line("auth.tokenSource.type = \"file\"")
        .line("auth.tokenSource.file.path = \"/nowhere/token\"")
        .start();
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}
