//! Sessions over QUIC.

use frp_net::tls::ServerTlsOptions;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use crate::support::{Echo, Frps, Text, ended, hear, say, soon};

/// A client of `frps`. That TLS is off means that nothing is verified.
fn text(frps: &Frps) -> Text {
    Text::with_token(frps).line("transport.protocol = \"quic\"")
}

#[tokio::test]
async fn every_work_connection_is_a_stream_of_the_same_connection() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_quic().await;
    let frpc = text(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut users = Vec::new();
    for number in 0..20 {
        let mut user = frps.user(&mut control, "web").await;
        say(&mut user, &format!("user {number}")).await;
        users.push(user);
    }
    for (number, user) in users.iter_mut().enumerate() {
        hear(user, &format!("user {number}")).await;
        user.shutdown().await.unwrap();
        ended(user).await;
    }
    let session = frps.quic_session().clone();
    frpc.stop().await;
    assert!(soon(session.closed()).await.is_close());
}

#[tokio::test]
async fn a_connection_that_is_closed_during_the_login_says_so() {
    let mut frps = Frps::start_quic().await;
    let frpc = text(&frps).start();
    let (_stream, _, _) = frps.login().await;
    frps.quic_session().close();
    let error = frpc.end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: Application error 0x0 (remote)."), "{error}");
}

#[tokio::test]
async fn several_connections_share_the_work_connections() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_quic().await;
    let frpc = text(&frps).line("transport.tcpMuxConnections = 2").tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let another = frps.another_quic_session().await;
    let stream = soon(another.accept()).await.unwrap().into_stream();
    let (_pooled, message) = Frps::work_conn_on(stream).await;
    assert_eq!(message.run_id, "0123456789abcdef");
    control.start().await;
    frpc.stop().await;
}

#[tokio::test]
async fn files_are_read_only_with_tls_enabled() {
    let mut frps = Frps::start_quic_at(0, &ServerTlsOptions::default()).await;
    let missing = "transport.tls.trustedCaFile = \"/nonexistent/ca.pem\"";
    let frpc = text(&frps).line(missing).start();
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
    let strict = text(&frps).replace("transport.tls.enable = false", "transport.tls.enable = true");
    let error = strict.line(missing).start().end().await.unwrap_err();
    assert!(
        error.starts_with("login to the server failed: open /nonexistent/ca.pem: no such file or directory."),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let frps = Frps::start().await;
    let frpc = text(&frps)
        .replace(
            &format!("serverPort = {}", frps.port()),
            &format!("serverPort = {}", silent.local_addr().unwrap().port()),
        )
        .line("transport.dialServerTimeout = 1")
        .start();
    let error = frpc.end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: timeout: no recent network activity."), "{error}");
}
