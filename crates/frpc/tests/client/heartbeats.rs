//! Heartbeats, with the shortest times that can be configured.

use frp_proto::digest::auth_key;
use frp_proto::msg::Pong;

use crate::support::{Frps, Log, TOKEN, Text};

#[tokio::test]
async fn pings_are_sent_at_once_and_again() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("transport.heartbeatInterval = 1").start();
    let mut control = frps.accept("0123456789abcdef").await;
    for _ in 0..3 {
        let ping = control.ping().await;
        assert_eq!((ping.privilege_key.expose(), ping.timestamp), ("", 0));
        log.line("DEBUG [0123456789abcdef] send heartbeat to server").await;
        control.send(Pong::default()).await;
        log.line("DEBUG [0123456789abcdef] receive heartbeat from server").await;
    }
    assert!(!log.has("heartbeat timeout"));
    frpc.stop().await;
}

#[tokio::test]
async fn with_its_scope_a_ping_carries_a_proof() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("auth.additionalScopes = [\"HeartBeats\"]").start();
    let ping = frps.accept("0123456789abcdef").await.ping().await;
    assert_eq!(ping.privilege_key, auth_key(TOKEN.as_bytes(), ping.timestamp));
    frpc.stop().await;
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_left_and_logged_into_again() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let text = Text::with_token(&frps);
    let text = text.line("transport.heartbeatInterval = 1").line("transport.heartbeatTimeout = 1");
    let frpc = text.start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.ended().await;
    log.line("WARN [0123456789abcdef] heartbeat timeout").await;
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_pong_with_an_error_ends_the_session() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.send(Pong { error: "invalid ping".to_owned() }).await;
    control.ended().await;
    log.line("ERROR [0123456789abcdef] pong message contains error: invalid ping").await;
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn the_last_words_of_a_server_are_heard() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.offered().await;
    control.answer("web", "the server is going down").await;
    control.send(Pong { error: "good bye".to_owned() }).await;
    drop(control);
    log.line("[web] start error: the server is going down").await;
    log.line("pong message contains error: good bye").await;
    log.line("DEBUG [0123456789abcdef] control message dispatcher exited").await;
    frpc.stop().await;
}

#[tokio::test]
async fn garbage_on_the_control_channel_ends_the_session() {
    // A server with another token: the channel's cipher gives garbage.
    let mut frps = Frps::start().await.with_token("another");
    let frpc = Text::with_token(&frps).start();
    let mut control = frps.accept("0123456789abcdef").await;
    for _ in 0..50 {
        control.send(Pong::default()).await;
    }
    frps.accept("0123456789abcdef").await;
    frpc.stop().await;
}

#[tokio::test]
async fn with_multiplexing_there_are_no_pings() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let first = control.message().await;
    assert!(matches!(first, Some(frp_proto::msg::Message::NewProxy(_))), "{first:?}");
    frpc.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_sessions_without_pings_is_pinged() {
    for version in ["0.29.1", "0.38.1"] {
        let mut frps = Frps::start_mux().await.of_release(version);
        let frpc = Text::with_token(&frps).line("transport.heartbeatInterval = -1").start();
        frps.accept("0123456789abcdef").await.ping().await;
        frpc.stop().await;
    }
    let mut frps = Frps::start_mux().await.of_release("0.39.0");
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let first = frps.accept("0123456789abcdef").await.message().await;
    assert!(matches!(first, Some(frp_proto::msg::Message::NewProxy(_))), "{first:?}");
    frpc.stop().await;
}
