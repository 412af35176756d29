//! The pool of work connections.

use frp_proto::msg::{Login, Message, Ping};
use frp_stream::Stream;

use crate::support::*;

/// Waits until the server has handled what was sent to it before.
async fn settle(client: &mut Client) {
    client.send(Ping::default()).await;
    while !matches!(client.next().await, Message::Pong(_)) {}
}

#[tokio::test]
async fn a_pool_of_none_asks_per_user_and_refills() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    let mut first = user(port).await;
    client.asked().await;
    let (mut work, _) = client.serve().await;
    client.asked().await;
    say(&mut first, "x").await;
    hear(&mut work, "x").await;

    // The refill waits in the pool and serves the next user at once; then another is asked for.
    let mut waiting = client.work_conn().await;
    let mut second = user(port).await;
    started(&mut waiting).await;
    client.asked().await;
    say(&mut second, "y").await;
    hear(&mut waiting, "y").await;
}

#[tokio::test]
async fn a_full_pool_discards() {
    let frps = Frps::start().await;
    let client = Client::login(&frps).await;
    let mut offered: Vec<Stream> = Vec::new();
    for _ in 0..11 {
        offered.push(client.work_conn().await);
    }
    // Ten have room; whichever comes last of the eleven is told.
    let (refused, _, _) =
        soon(futures_util::future::select_all(offered.iter_mut().map(|stream| Box::pin(started(stream)))))
            .await;
    assert_eq!(refused.error, "work connection pool is full, discarding");
}

#[tokio::test]
async fn a_dead_connection_is_replaced_before_a_user_gets_it() {
    let frps = Frps::start().await;
    let mut client = Client::login_as(&frps, Login { pool_count: 1, ..login() }).await.unwrap();
    let port = client.start(tcp("p", 0)).await;
    drop(client.work_conn().await);
    client.asked().await;
    let mut alive = client.work_conn().await;
    let mut user = user(port).await;
    started(&mut alive).await;
    say(&mut alive, "served").await;
    hear(&mut user, "served").await;
}

#[tokio::test]
async fn a_user_without_a_work_connection_is_sent_away_in_time() {
    let frps = Frps::with(|config| config.user_conn_timeout = 1).await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    let mut lost: Stream = user(port).await.into();
    assert!(closed(&mut lost).await);
    // The session is none the worse.
    settle(&mut client).await;
    let mut next = user(port).await;
    let (mut work, _) = client.serve().await;
    say(&mut next, "x").await;
    hear(&mut work, "x").await;
}

#[tokio::test]
async fn waiting_connections_end_with_their_control() {
    let frps = Frps::start().await;
    let client = Client::login(&frps).await;
    let mut waiting = client.work_conn().await;
    drop(client);
    assert!(closed(&mut waiting).await);
}
