//! Reads, writes, opens and accepts that are given up half-way lose nothing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// Polls once and gives up.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn reads_and_writes_given_up_at_every_await() {
    let (client, server) = pair(1000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut sizes = StdRng::seed_from_u64(3);
        let mut at = 0_usize;
        while at < 2_000_000 {
            let end = (at + sizes.random_range(1..30_000)).min(2_000_000);
            let piece: Vec<u8> = (at..end).map(|at| u8::try_from(at % 251).unwrap()).collect();
            match once(near.write(&piece)).await {
                Some(count) => at += count.unwrap(),
                None => tokio::task::yield_now().await,
            }
        }
        near.shutdown().await.unwrap();
        near
    });
    let mut sizes = StdRng::seed_from_u64(4);
    let mut at = 0_usize;
    let mut buffer = vec![0; 30_000];
    loop {
        let size = sizes.random_range(1..buffer.len());
        let Some(count) = once(far.read(&mut buffer[..size])).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let count = count.unwrap();
        if count == 0 {
            break;
        }
        for byte in &buffer[..count] {
            assert_eq!(usize::from(*byte), at % 251);
            at += 1;
        }
    }
    assert_eq!(at, 2_000_000);
    tasks.join_all().await;
}

#[tokio::test]
async fn opens_and_accepts_given_up_lose_no_stream() {
    let (client, server) = pair(1000);
    let mut near = Vec::new();
    let mut far = Vec::new();
    while far.len() < 600 {
        if near.len() < 600
            && let Some(stream) = once(client.session.open()).await
        {
            near.push(stream.unwrap());
        }
        if near.len() % 3 == 0 {
            tokio::task::yield_now().await;
        }
        if let Some(stream) = once(server.session.accept()).await {
            far.push(stream.unwrap());
        }
    }
    let ids: Vec<_> = near.iter().map(MuxStream::id).collect();
    assert_eq!(far.iter().map(MuxStream::id).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn a_waiting_open_that_is_given_up_leaves_its_turn_to_the_next() {
    let (client, mut peer) = client_and_peer();
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(client.session.open().await.unwrap());
    }
    let given_up = client.session.open();
    let mut given_up = Box::pin(given_up);
    assert!(once(given_up.as_mut()).await.is_none());
    let mut tasks = JoinSet::new();
    let session = client.session.clone();
    tasks.spawn(async move { session.open().await.unwrap().id() });
    tokio::task::yield_now().await;
    peer.send(Header::window(1, Flags::ACK, 0)).await;
    drop(given_up);
    assert_eq!(tasks.join_next().await.unwrap().unwrap(), 513);
}
