//! Sessions over one multiplexed connection.

use frp_proto::msg::ReqWorkConn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Echo, Frps, Log, Text, closed, ended, hear, say, soon};

#[tokio::test]
async fn every_work_connection_is_a_stream_of_the_same_connection() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
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
    frpc.stop().await;
}

#[tokio::test]
async fn a_lost_connection_ends_everything_in_it_and_is_made_anew() {
    let mut log = Log::capture();
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut user = frps.user(&mut control, "web").await;
    say(&mut user, "hello").await;
    hear(&mut user, "hello").await;
    frps.mux_session().close();
    log.line("[web] join connections closed").await;
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut user = frps.user(&mut control, "web").await;
    say(&mut user, "again").await;
    hear(&mut user, "again").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_lost_control_ends_its_connection() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.send(ReqWorkConn::default()).await;
    let (mut pooled, _) = frps.work_conn().await;
    let session = frps.mux_session().clone();
    drop(control);
    soon(session.closed()).await;
    closed(&mut pooled).await;
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_during_the_login_is_a_session_that_ended() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).start();
    let (_stream, _, _) = frps.login().await;
    frps.mux_session().close();
    let error = frpc.end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: session shutdown."), "{error}");
}

#[tokio::test]
async fn streams_that_the_server_opens_are_refused() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let mut stream = soon(frps.mux_session().open()).await.unwrap();
    let _ = stream.write_all(b"hello").await;
    assert!(!matches!(soon(stream.read(&mut [0])).await, Ok(1..)));
    // And the session goes on.
    control.start().await;
    frpc.stop().await;
}
