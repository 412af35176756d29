//! Logging in, and logging in again.

use frp_proto::digest::auth_key;
use frp_proto::msg::Login;
use frp_proto::v1;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::support::{Frpc, Frps, Log, TOKEN, Text, soon};

#[tokio::test]
async fn a_login_says_who_we_are() {
    let mut frps = Frps::start().await;
    let text = Text::with_token(&frps)
        .line("user = \"me\"")
        .line("clientID = \"laptop\"")
        .line("metadatas.site = \"home\"")
        .line("transport.poolCount = 5");
    let frpc = text.start();
    let control = frps.accept("0123456789abcdef").await;
    let Login { version, hostname, os, arch, privilege_key, timestamp, metas, .. } = &control.login;
    assert_eq!(version, "0.70.1");
    assert!(!hostname.is_empty() && !os.is_empty() && !arch.is_empty());
    assert_eq!(*privilege_key, auth_key(TOKEN.as_bytes(), *timestamp));
    assert_eq!(metas.get("site").map(String::as_str), Some("home"));
    let Login { user, client_id, run_id, pool_count, .. } = &control.login;
    assert_eq!((user.as_str(), client_id.as_str(), run_id.as_str(), *pool_count), ("me", "laptop", "", 5));
    frpc.stop().await;
}

#[tokio::test]
async fn a_refused_first_login_ends_the_client_with_the_servers_words() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    frps.refuse("token in login doesn't match token from configuration").await;
    assert_eq!(
        frpc.end().await.unwrap_err(),
        "login to the server failed: token in login doesn't match token from configuration. With loginFailExit \
         enabled, no additional retries will be attempted"
    );
    log.line("WARN connect to server error: token in login doesn't match token from configuration").await;
}

#[tokio::test]
async fn without_login_fail_exit_the_first_login_is_tried_again() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("loginFailExit = false").start();
    drop(frps.login().await);
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn an_unreachable_server_ends_the_client_at_once() {
    let frps = Frps::start().await;
    let (text, port) = (Text::with_token(&frps), frps.port());
    drop(frps);
    assert_eq!(
        text.start().end().await.unwrap_err(),
        format!(
            "login to the server failed: dial tcp 127.0.0.1:{port}: connect: connection refused. With \
             loginFailExit enabled, no additional retries will be attempted"
        )
    );
}

#[tokio::test]
async fn an_answer_that_is_none_fails_the_login() {
    let answers = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "message type error"),
        (b"1\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(), "message length exceed the limit"),
        (b"1\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "message length error"),
        (b"1\0\0\0\0\0\0\0\x02{]".to_vec(), "LoginResp: invalid message body"),
        (v1::encode(&Login::default().into()).unwrap(), "unexpected message Login, want LoginResp"),
        (b"1\0\0\0".to_vec(), "EOF"),
        (Vec::new(), "EOF"),
    ];
    for (answer, text) in answers {
        let mut frps = Frps::start().await;
        let frpc = Text::with_token(&frps).start();
        let (mut stream, _, _) = frps.login().await;
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
        let error = frpc.end().await.unwrap_err();
        assert!(error.starts_with(&format!("login to the server failed: {text}")), "{error}");
    }
}

#[tokio::test]
async fn a_login_that_fits_no_message_is_not_sent() {
    let frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line(&format!("metadatas.a = \"{}\"", "x".repeat(11_000))).start();
    let error = frpc.end().await.unwrap_err();
    assert!(error.contains("10240"), "{error}");
}

#[tokio::test]
async fn a_new_login_keeps_the_run_id_and_offers_the_proxies_again() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    drop(control);
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.login.run_id, "0123456789abcdef");
    assert_eq!(control.start().await.proxy_name, "web");
    frpc.stop().await;
}

#[tokio::test]
async fn login_fail_exit_is_about_the_first_login_only() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    // Not even a server that gives no run id makes the next login the first one.
    drop(frps.accept("").await);
    drop(frps.login().await);
    log.line("connect to server error: EOF").await;
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_server_that_was_down_is_found_when_it_is_back() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let address = frps.address();
    let frpc = Text::with_token(&frps).start();
    let control = frps.accept("0123456789abcdef").await;
    drop((frps, control));
    log.line(
        "connect to server error: dial tcp {}: connect: connection refused"
            .replace("{}", &address.to_string())
            .as_str(),
    )
    .await;
    let mut frps = Frps::on(address).await;
    let control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.login.run_id, "0123456789abcdef");
    log.line("INFO [0123456789abcdef] login to server success, get run id [0123456789abcdef]").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_client_that_fails_stops_no_other_one() {
    let mut frps = Frps::start().await;
    let stop = CancellationToken::new();
    let good = Frpc::start_with(Text::with_token(&frps).setup(), stop.clone());
    let mut control = frps.accept("0123456789abcdef").await;
    let bad = Frpc::start_with(Text::with_token(&frps).tcp("web", 80, "").setup(), stop.clone());
    frps.refuse("no").await;
    bad.end().await.unwrap_err();
    assert!(!stop.is_cancelled());
    control.ping().await;
    control.send(frp_proto::msg::ReqWorkConn::default()).await;
    soon(frps.work_conn()).await;
    good.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_is_dialled_from_the_address_that_was_chosen() {
    let frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("transport.connectServerLocalIP = \"127.0.0.7\"").start();
    assert_eq!(frps.peer().await.ip().to_string(), "127.0.0.7");
    assert!(frpc.end().await.unwrap_err().contains("login to the server failed"));
}
