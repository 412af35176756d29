//! Many streams, slow readers, fairness and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::*;

fn digest(state: u64, data: &[u8]) -> u64 {
    data.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Sends random bytes in pieces of random size, in each way there is, and shuts down. Gives a digest.
async fn send_counted<W: AsyncWrite + Unpin>(mut stream: W, seed: u64, total: usize) -> u64 {
    let mut sizes = StdRng::seed_from_u64(seed);
    let (mut left, mut state) = (total, seed);
    while left > 0 {
        let most = if sizes.random() { 200 } else { 100_000 };
        let mut piece = vec![0; sizes.random_range(1..=most).min(left)];
        sizes.fill_bytes(&mut piece);
        state = digest(state, &piece);
        let (one, two) = piece.split_at(piece.len() / 3);
        if sizes.random() {
            stream.write_all(&piece).await.unwrap();
        } else {
            let wrote = stream
                .write_vectored(&[std::io::IoSlice::new(one), std::io::IoSlice::new(two)])
                .await
                .unwrap();
            stream.write_all(&piece[wrote..]).await.unwrap();
        }
        left -= piece.len();
    }
    stream.shutdown().await.unwrap();
    state
}

async fn receive_counted<R: AsyncRead + Unpin>(mut stream: R, seed: u64) -> (usize, u64) {
    let mut sizes = StdRng::seed_from_u64(seed ^ 77);
    let (mut total, mut state) = (0, seed);
    let mut buffer = vec![0; 70_000];
    loop {
        let most = if sizes.random() { 50 } else { buffer.len() };
        let size = sizes.random_range(1..=most);
        let count = stream.read(&mut buffer[..size]).await.unwrap();
        if count == 0 {
            return (total, state);
        }
        state = digest(state, &buffer[..count]);
        total += count;
    }
}

async fn many_streams(client: Running, server: Running, count: u64, total: usize) {
    let mut tasks = JoinSet::new();
    for seed in 0..count {
        let near = client.session.open().await.unwrap();
        let far = server.session.accept().await.unwrap();
        for (stream, write, read) in [(near, seed * 2, seed * 2 + 1), (far, seed * 2 + 1, seed * 2)] {
            let (reader, writer) = tokio::io::split(stream);
            tasks.spawn(async move { (write, total, send_counted(writer, write, total).await) });
            tasks.spawn(async move {
                let (total, state) = receive_counted(reader, read).await;
                (read, total, state)
            });
        }
    }
    let mut results = tasks.join_all().await;
    results.sort_unstable();
    for both in results.chunks(2) {
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0].1, total);
    }
    assert_eq!((client.session.num_streams(), server.session.num_streams()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_both_ways_over_a_narrow_pipe() {
    let (client, server) = pair(700);
    many_streams(client, server, 20, 100_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_both_ways_over_a_wide_pipe() {
    let (client, server) = pair(1 << 20);
    many_streams(client, server, 20, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_both_ways_over_tcp() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let client = Running::start(true, near, Config::default());
    let server = Running::start(false, far, Config::default());
    many_streams(client, server, 50, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_come_and_go_in_every_way() {
    let (client, server) = pair(5000);
    let mut tasks = JoinSet::new();
    let mut acceptors = JoinSet::new();
    for side in [&client, &server] {
        let session = side.session.clone();
        acceptors.spawn(async move {
            let mut streams = JoinSet::new();
            for seed in 0.. {
                let Some(stream) = session.accept().await else { break };
                streams.spawn(live_and_die(stream, seed));
            }
        });
        let session = side.session.clone();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            for seed in 0..300 {
                streams.spawn(live_and_die(session.open().await.unwrap(), seed ^ 0xabc));
            }
            streams.join_all().await;
        });
    }
    tasks.join_all().await;
    while client.session.num_streams() + server.session.num_streams() > 0 {
        tokio::task::yield_now().await;
    }
    acceptors.abort_all();
    while acceptors.join_next().await.is_some() {}
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(b"alive").await.unwrap();
    far.read_exact(&mut [0; 5]).await.unwrap();
}

/// Reads, writes, shuts down, aborts or drops, in some order.
async fn live_and_die(mut stream: MuxStream, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut buffer = vec![0; 20_000];
    for _ in 0..random.random_range(0..10) {
        let size = random.random_range(1..buffer.len());
        match random.random_range(0..10) {
            0..=3 if stream.write(&buffer[..size]).await.is_err() => return,
            4..=7 => {
                // The other side may wait for us as we wait for it.
                let read =
                    tokio::time::timeout(Duration::from_millis(2), stream.read(&mut buffer[..size])).await;
                if matches!(read, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
            8 => {
                let _ = stream.shutdown().await;
            }
            9 if size < 5000 => return stream.abort(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_does_not_hold_up_another() {
    let (client, server) = pair(64 << 10);
    let (mut stuck, _unread) = stream_pair(&client, &server).await;
    let (near, far) = stream_pair(&client, &server).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = stuck.write_all(&vec![0; 8 << 20]).await;
    });
    let mut live = JoinSet::new();
    live.spawn(async move { send_counted(near, 1, 8 << 20).await });
    live.spawn(async move { receive_counted(far, 1).await.1 });
    let both = live.join_all().await;
    assert_eq!(both[0], both[1]);
    tasks.abort_all();
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte() {
    let (client, server) = pair(64 << 10);
    let (slow_near, mut slow_far) = stream_pair(&client, &server).await;
    let (fast_near, fast_far) = stream_pair(&client, &server).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { send_counted(slow_near, 1, 1 << 20).await });
    tasks.spawn(async move {
        let (mut state, mut buffer) = (1, vec![0; 2_000]);
        while let count @ 1.. = slow_far.read(&mut buffer).await.unwrap() {
            state = digest(state, &buffer[..count]);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        state
    });
    let slow = tasks.join_all();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { send_counted(fast_near, 2, 8 << 20).await });
    tasks.spawn(async move { receive_counted(fast_far, 2).await.1 });
    let (slow, fast) = tokio::join!(slow, tasks.join_all());
    assert!(slow[0] == slow[1] && fast[0] == fast[1]);
}

#[tokio::test(start_paused = true)]
async fn users_that_stop_reading_cost_little() {
    let (client, server) = pair(64 << 10);
    let mut tasks = JoinSet::new();
    let mut readers = Vec::new();
    for _ in 0..100 {
        let (mut near, mut far) = stream_pair(&client, &server).await;
        tasks.spawn(async move {
            let _ = near.write_all(&vec![0; 16 << 20]).await;
        });
        // A user that reads fast at first, so that its window grows.
        far.read_exact(&mut vec![0; 3 << 20]).await.unwrap();
        readers.push(far);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held: usize = readers.iter().map(MuxStream::waiting).sum();
    assert!(held <= 42 << 20, "{held} bytes wait for readers that do not come");
    tasks.abort_all();
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_does_not_wait_for_bulk() {
    let (client, server) = pair(64 << 10);
    let mut tasks = JoinSet::new();
    let passed = Arc::new(AtomicUsize::new(0));
    for _ in 0..4 {
        let (mut near, mut far) = stream_pair(&client, &server).await;
        tasks.spawn(async move { while near.write_all(&[0; 100_000]).await.is_ok() {} });
        let passed = Arc::clone(&passed);
        tasks.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count) = far.read(&mut buffer).await {
                passed.fetch_add(count, Ordering::Relaxed);
            }
        });
    }
    let (mut near, mut far) = stream_pair(&client, &server).await;
    tasks.spawn(async move {
        while let Ok(byte) = far.read_u8().await {
            far.write_u8(byte).await.unwrap();
        }
    });
    while passed.load(Ordering::Relaxed) < 10 << 20 {
        tokio::task::yield_now().await;
    }
    let before = passed.load(Ordering::Relaxed);
    for byte in 0..100 {
        near.write_u8(byte).await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), byte);
    }
    let passed = passed.load(Ordering::Relaxed) - before;
    // What one gathered write and the pipe hold goes first, and no more.
    assert!(passed < 100 * (600 << 10), "{} KiB of bulk for each answer", passed / 100 / 1024);
    tasks.abort_all();
}
