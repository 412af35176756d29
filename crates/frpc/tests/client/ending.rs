//! Being stopped, at every point of a client's life.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Echo, Frps, Text, closed, hear, say, soon};

/// A write that takes longer waits for the reader.
const STALLED: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_client_stops_while_it_logs_in() {
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).start();
    let (mut stream, _, _) = frps.login().await;
    frpc.stop().await;
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_client_stops_while_nobody_answers() {
    for mut frps in [Frps::start().await, Frps::start_mux().await] {
        let frpc = Text::with_token(&frps).start();
        // The connection is there and nothing comes.
        let mut stream = if frps.is_mux() { frps.stream().await } else { frps.connection().await };
        frpc.stop().await;
        while soon(tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]))
            .await
            .is_ok_and(|read| read > 0)
        {}
    }
}

#[tokio::test]
async fn a_client_stops_between_two_logins() {
    let mut frps = Frps::start().await;
    let mut log = crate::support::Log::capture();
    let frpc = Text::with_token(&frps).line("loginFailExit = false").start();
    frps.refuse("no").await;
    log.line("connect to server error: no").await;
    frpc.stop().await;
}

#[tokio::test]
async fn open_relays_end_with_the_client() {
    for mut frps in [Frps::start().await, Frps::start_mux().await] {
        let local = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let frpc = Text::with_token(&frps).tcp("web", local.local_addr().unwrap().port(), "").start();
        let mut control = frps.accept("0123456789abcdef").await;
        control.start().await;
        let mut relays = Vec::new();
        for _ in 0..50 {
            let mut user = frps.user(&mut control, "web").await;
            let (mut service, _) = soon(local.accept()).await.unwrap();
            say(&mut user, "hello").await;
            hear(&mut service, "hello").await;
            relays.push((user, service));
        }
        control.send(frp_proto::msg::ReqWorkConn::default()).await;
        let (mut pooled, _) = frps.work_conn().await;
        frpc.stop().await;
        control.ended().await;
        closed(&mut pooled).await;
        for (mut user, mut service) in relays {
            closed(&mut user).await;
            closed(&mut service).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_reads_nothing_does_not_hold_the_end_up() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    // More than the windows take: the relay waits for a user that reads nothing.
    let mut user = frps.user(&mut control, "web").await;
    let piece = [0; 65_536];
    let filled = async {
        while let Ok(written) = timeout(STALLED, user.write(&piece)).await {
            written.unwrap();
        }
    };
    soon(filled).await;
    frpc.stop().await;
}
