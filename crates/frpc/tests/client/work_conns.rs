//! Work connections before a proxy has them.

use frp_proto::digest::auth_key;
use frp_proto::msg::{Pong, ReqWorkConn, StartWorkConn};
use frp_stream::message::write_message;
use tokio::io::AsyncWriteExt;

use crate::support::{Echo, Frps, Log, TOKEN, Text, closed, hear, say};

#[tokio::test]
async fn a_work_connection_names_its_session() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.send(ReqWorkConn::default()).await;
    let (_, message) = frps.work_conn().await;
    assert_eq!((message.run_id.as_str(), message.privilege_key.expose()), ("0123456789abcdef", ""));
    frpc.stop().await;
}

#[tokio::test]
async fn with_its_scope_a_work_connection_carries_a_proof() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("auth.additionalScopes = [\"NewWorkConns\"]").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.send(ReqWorkConn::default()).await;
    let (_, message) = frps.work_conn().await;
    assert_eq!(message.privilege_key, auth_key(TOKEN.as_bytes(), message.timestamp));
    frpc.stop().await;
}

#[tokio::test]
async fn only_a_running_proxy_gets_users() {
    let echo = Echo::start().await;
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).line("user = \"me\"").tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let offer = control.offered().await;
    for not_running in ["me.web", "me.other", "", "me."] {
        closed(&mut frps.user(&mut control, not_running).await).await;
    }
    control.answer(&offer.proxy_name, "").await;
    let mut user = frps.user(&mut control, "me.web").await;
    say(&mut user, "hello").await;
    hear(&mut user, "hello").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_work_connection_that_the_server_refuses_is_closed() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let start = StartWorkConn {
        error: "work connection pool is full, discarding".to_owned(),
        ..StartWorkConn::default()
    };
    closed(&mut frps.user_with(&mut control, start).await).await;
    log.line(
        "ERROR [0123456789abcdef] StartWorkConn contains error: work connection pool is full, discarding",
    )
    .await;
    frpc.stop().await;
}

#[tokio::test]
async fn garbage_on_a_work_connection_costs_that_connection() {
    let echo = Echo::start().await;
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    for garbage in [&b"\0"[..], b"s\x7f\xff\xff\xff\xff\xff\xff\xff", b"s\0\0\0\0\0\0\0\x02[]", b"s\0\0"] {
        control.send(ReqWorkConn::default()).await;
        let (mut work, _) = frps.work_conn().await;
        work.write_all(garbage).await.unwrap();
        work.shutdown().await.unwrap();
        closed(&mut work).await;
    }
    control.send(ReqWorkConn::default()).await;
    let (mut work, _) = frps.work_conn().await;
    write_message(&mut work, &Pong::default().into()).await.unwrap();
    closed(&mut work).await;

    let mut user = frps.user(&mut control, "web").await;
    say(&mut user, "still here").await;
    hear(&mut user, "still here").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_burst_of_requests_is_served_whole() {
    const USERS: usize = 300;
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    let mut control = frps.accept("0123456789abcdef").await;
    for _ in 0..USERS {
        control.send(ReqWorkConn::default()).await;
    }
    let mut pooled = Vec::new();
    for _ in 0..USERS {
        pooled.push(frps.work_conn().await);
    }
    // Pooled connections go with their session.
    drop(control);
    for (work, _) in &mut pooled {
        closed(work).await;
    }
    frpc.stop().await;
}

#[tokio::test]
async fn a_user_that_overtakes_the_answer_to_the_offer_is_served() {
    let echo = Echo::start().await;
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.offered().await;
    let mut user = frps.user(&mut control, "web").await;
    say(&mut user, "hello").await;
    control.answer("web", "").await;
    hear(&mut user, "hello").await;
    frpc.stop().await;
}
