//! Reads, writes, opens and accepts that are given up half-way lose nothing.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::AsyncBufReadExt;

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

/// Writes until that fails.
async fn flood(mut to: impl AsyncWrite + Unpin) {
    while to.write_all(&[9; 3_000]).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Reads until there is an end of either kind.
async fn to_the_end(mut from: impl AsyncRead + Unpin) {
    let mut buffer = vec![0; 5_000];
    while let Ok(1..) = from.read(&mut buffer).await {}
}

#[tokio::test(start_paused = true)]
async fn a_driver_dropped_after_any_number_of_polls_ends_everyone() {
    for polls in 0..120 {
        let (left, right) = duplex(1_000);
        let (session, driver) = Session::client(left, Config::default());
        let mut server = Running::start(false, right, Config::default());
        let mut driver = Some(Box::pin(driver));
        let run = async {
            for _ in 0..polls {
                let Some(driver) = driver.as_mut() else { break };
                let over = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx).is_ready())).await;
                assert!(!over);
                tokio::task::yield_now().await;
            }
            drop(driver.take());
        };
        let near = async {
            let Ok(stream) = session.open().await else { return };
            let (read, write) = tokio::io::split(stream);
            let opens = async { while session.open().await.is_ok() {} };
            let accepts = async { assert!(session.accept().await.is_none()) };
            tokio::join!(flood(write), to_the_end(read), opens, accepts, session.closed());
        };
        let far = async {
            let mut streams = JoinSet::new();
            while let Some(stream) = server.session.accept().await {
                let (read, write) = tokio::io::split(stream);
                streams.spawn(async move { tokio::join!(flood(write), to_the_end(read)) });
            }
            streams.join_all().await;
        };
        // Within less than any deadline of theirs.
        let all = async { tokio::join!(run, near, far) };
        tokio::time::timeout(std::time::Duration::from_secs(9), all).await.unwrap();
        assert!(server.session.is_closed());
        server.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_without_a_copy_and_reads_in_place_given_up_at_every_await() {
    let (client, server) = pair(1000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let mut random = StdRng::seed_from_u64(9);
    let all: Vec<u8> = (0..700_000_u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
    let mut left = bytes::Bytes::from(all.clone());
    let mut got = Vec::new();
    while got.len() < all.len() {
        if !left.is_empty() {
            let mut piece = left.slice(..random.random_range(1..30_000).min(left.len()));
            if let Some(count) =
                once(poll_fn(|cx| Pin::new(&mut near).poll_write_bytes(cx, &mut piece))).await
            {
                left = left.split_off(count.unwrap());
            }
        }
        if let Some(bytes) = once(far.fill_buf()).await {
            let part = random.random_range(0..=bytes.as_ref().unwrap().len());
            got.extend_from_slice(&bytes.unwrap()[..part]);
            far.consume(part);
        }
        tokio::task::yield_now().await;
    }
    assert!(got == all);
}
