//! How fast one core moves bytes through the layers and the relay.
//!
//! `cargo run --release -p frp-stream --example throughput [MiB]`. Figures are MB/s of plain bytes,
//! the best of three runs each, next to a plain copy of the same bytes.

#![expect(clippy::unwrap_used, reason = "a measuring program may end at its first error")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    hint::black_box,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use frp_proto::crypto::key;
use frp_stream::{
    Layers, Stream,
    relay::{RelayOptions, relay},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Instant,
};

const PIECE: usize = 64 * 1024;

/// Gives the same piece again and again, then its end.
struct Source {
    piece: Vec<u8>,
    left: usize,
}

impl AsyncRead for Source {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let n = this.left.min(buf.remaining()).min(this.piece.len());
        buf.put_slice(this.piece.get(..n).unwrap_or_default());
        this.left -= n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Source {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Takes everything, and ends when the other side has.
#[derive(Default)]
struct Sink {
    ended: bool,
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever ends its writing side asks again in the same turn.
        if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(buf).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().ended = true;
        Poll::Ready(Ok(()))
    }
}

/// Bytes of a wire, read again and again.
struct Tape {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl AsyncRead for Tape {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let n = buf.remaining().min(this.bytes.len() - this.at);
        buf.put_slice(this.bytes.get(this.at..this.at + n).unwrap_or_default());
        this.at += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tape {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn report(what: &str, bytes: usize, times: &[Duration]) {
    let best = times.iter().min().unwrap().as_secs_f64();
    println!("{what:<50} {:>8.0} MB/s", bytes as f64 / best / 1e6);
}

async fn timed<F: Future>(runs: usize, mut run: impl FnMut() -> F) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        run().await;
        times.push(start.elapsed());
    }
    times
}

async fn write_through(layers: &Layers, piece: &[u8], total: usize) {
    let mut stream = layers.clone().apply(Stream::boxed(Sink::default()));
    let mut left = total;
    while left > 0 {
        stream.write_all(piece).await.unwrap();
        left = left.saturating_sub(piece.len());
    }
}

/// Decodes what the layers made of a piece written again and again: 8 MiB of it, which stay in a large
/// cache, as often as it takes.
async fn read_through(layers: &Layers, piece: &[u8], total: usize) -> (usize, Vec<Duration>) {
    let tape_len = total.min(8 << 20);
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut stream = layers.clone().apply(Stream::boxed(near));
    let (wire, ()) = tokio::join!(
        async {
            let mut wire = Vec::new();
            far.read_to_end(&mut wire).await.unwrap();
            wire
        },
        async {
            for _ in 0..tape_len / piece.len() {
                stream.write_all(piece).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            drop(stream);
        }
    );
    let wire = Arc::new(wire);
    let repeats = total / tape_len;
    let times = timed(3, || async {
        let mut buffer = vec![0; PIECE];
        for _ in 0..repeats {
            let tape = Tape { bytes: wire.clone(), at: 0 };
            let mut stream = layers.clone().apply(Stream::boxed(tape));
            while stream.read(&mut buffer).await.unwrap() > 0 {}
        }
    })
    .await;
    (tape_len * repeats, times)
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Relay from an endless user to a service that takes everything, in memory.
async fn relay_memory(layers: &Layers, piece: &[u8], total: usize) {
    let user = Stream::boxed(Source { piece: piece.to_vec(), left: total });
    let service = layers.clone().apply(Stream::boxed(Sink::default()));
    let options = RelayOptions { half_close_timeout: Duration::from_secs(1) };
    relay(user, service, options).await;
}

/// Relay between two TCP connections over loopback, with its ends on the same core.
async fn relay_tcp(piece: &[u8], total: usize) {
    let (mut user, near_user) = tcp_pair().await;
    let (mut service, near_service) = tcp_pair().await;
    let options = RelayOptions { half_close_timeout: Duration::from_secs(1) };
    tokio::join!(
        relay(near_user.into(), near_service.into(), options),
        async {
            for _ in 0..total / piece.len() {
                user.write_all(piece).await.unwrap();
            }
            user.shutdown().await.unwrap();
        },
        async {
            let mut buffer = vec![0; 256 * 1024];
            while service.read(&mut buffer).await.unwrap() > 0 {}
            drop(service);
        }
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mib: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(512);
    let total = mib << 20;
    let mut random: Vec<u8> = vec![0; PIECE];
    let mut state = 1_u64;
    for byte in &mut random {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = state.to_be_bytes()[0];
    }
    let text: Vec<u8> = (0..)
        .flat_map(|i: usize| {
            format!("GET /item/{} HTTP/1.1\r\nHost: example.org\r\n\r\n", i * 7919).into_bytes()
        })
        .take(PIECE)
        .collect();

    let mut copy = vec![0; PIECE];
    let times = timed(3, || {
        for _ in 0..total / PIECE {
            black_box(&mut copy).copy_from_slice(black_box(&random));
        }
        async {}
    })
    .await;
    report("memcpy of 64 KiB pieces", total, &times);

    let encryption = Some(key::derive(b"123"));
    let cipher = Layers { encryption: encryption.clone(), ..Layers::default() };
    let snappy = Layers { compression: true, ..Layers::default() };
    let both = Layers { encryption, compression: true, limiter: None };
    for (data, piece) in [("random", &random), ("text", &text)] {
        for (name, layers) in [("cipher", &cipher), ("snappy", &snappy), ("snappy + cipher", &both)] {
            let times = timed(3, || write_through(layers, piece, total)).await;
            report(&format!("{name}, write, {data}"), total, &times);
            let (len, times) = read_through(layers, piece, total).await;
            report(&format!("{name}, read, {data}"), len, &times);
        }
    }
    for (name, layers) in [("no layers", &Layers::default()), ("snappy + cipher", &both)] {
        let times = timed(3, || relay_memory(layers, &random, total)).await;
        report(&format!("relay in memory, {name}, random"), total, &times);
    }
    let times = timed(3, || relay_tcp(&random, total)).await;
    report("relay over loopback TCP, both ends included", total, &times);
}
