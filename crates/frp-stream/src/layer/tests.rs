//! Every combination of layers: random pieces, recorded streams, slow readers, rates.

use std::{io, time::Duration};

use frp_proto::crypto::key;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    time::{Instant, advance, timeout},
};

use super::{cipher::Cipher, snappy::Snappy, *};
use crate::testing::{Choppy, Random, Script, hex, pipe, recorded};

/// Bytes a second that no test reaches.
const FAST: u64 = 1 << 40;

fn all(limit: u64) -> Vec<Layers> {
    let mut all = Vec::new();
    for encrypt in [false, true] {
        for compression in [false, true] {
            for side in [None, Some(LimitSide::Plain), Some(LimitSide::Wire)] {
                all.push(Layers {
                    encryption: encrypt.then(|| key::derive(b"123")),
                    compression,
                    limiter: side.map(|side| (Arc::new(RateLimiter::new(limit)), side)),
                });
            }
        }
    }
    all
}

#[tokio::test]
async fn every_combination_carries_random_pieces_unchanged() {
    for (seed, layers) in all(FAST).into_iter().enumerate() {
        let seed = seed as u64;
        let mut random = Random::new(seed);
        let sent = random.bytes(400_000);
        let (near, far) = tokio::io::duplex(random.size(100_000));
        let near = layers.clone().apply(Stream::boxed(Choppy::new(near, seed, 70_000)));
        let far = layers.apply(Stream::boxed(Choppy::new(far, seed + 1, 70_000)));
        let (mut near_read, mut near_write) = split(near);
        let (mut far_read, mut far_write) = split(far);

        let write = async {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(random.size(150_000).min(rest.len()));
                near_write.write_all(piece).await.unwrap();
                if random.next().is_multiple_of(4) {
                    near_write.flush().await.unwrap();
                }
                rest = more;
            }
            near_write.shutdown().await.unwrap();
        };
        let echo = async {
            let mut random = Random::new(seed + 2);
            let mut buffer = vec![0; 100_000];
            loop {
                let max = random.size(buffer.len());
                let read = far_read.read(&mut buffer[..max]).await.unwrap();
                if read == 0 {
                    break far_write.shutdown().await.unwrap();
                }
                far_write.write_all(&buffer[..read]).await.unwrap();
                far_write.flush().await.unwrap();
            }
        };
        let mut received = Vec::new();
        let (.., read) = tokio::join!(write, echo, near_read.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent, "combination {seed}");
    }
}

#[tokio::test]
async fn a_flushed_byte_arrives_through_every_combination() {
    for layers in all(FAST) {
        let (near, far) = pipe(1024);
        let (mut near, mut far) = (layers.clone().apply(near), layers.apply(far));
        for byte in 0..3 {
            near.write_all(&[byte]).await.unwrap();
            near.flush().await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), byte);
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_first_byte_and_nothing_at_the_end() {
    for layers in all(FAST) {
        let (near, mut far) = pipe(1024);
        let mut near = layers.apply(near);
        near.write_all(b"").await.unwrap();
        near.flush().await.unwrap();
        near.shutdown().await.unwrap();
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert!(received.is_empty());
    }
}

#[test]
fn without_layers_a_stream_keeps_its_type() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tcp = runtime.block_on(crate::testing::tcp_pair()).0;
    assert!(matches!(Layers::default().apply(Stream::from(tcp)), Stream::Tcp(_)));
}

/// The layers of a recorded payload around a scripted stream.
fn layered(script: Choppy<Script>, encryption: Option<([u8; 16], [u8; 16])>, compressed: bool) -> Stream {
    let mut stream = Stream::boxed(script);
    if let Some((key, iv)) = encryption {
        stream = Stream::boxed(Cipher::with_iv(stream, &Key::from(key), iv));
    }
    if compressed {
        stream = Stream::boxed(Snappy::new(stream));
    }
    stream
}

#[tokio::test]
async fn recorded_payloads_decode_and_encode_to_the_same_bytes() {
    let mut seen = 0;
    for session in ["v1-comp", "v1-enc", "v1-enccomp", "v1-stcp", "v1-stcp-enc"] {
        for payload in recorded(session) {
            let encryption = payload
                .key
                .as_deref()
                .zip(payload.iv.as_deref())
                .map(|(key, iv)| (key.try_into().unwrap(), iv.try_into().unwrap()));
            for seed in 0..50 {
                let script = Choppy::new(Script::new(&payload.wire), seed, 8);
                let mut stream = layered(script, encryption, payload.compressed);
                let mut plain = Vec::new();
                stream.read_to_end(&mut plain).await.unwrap();
                assert_eq!(plain, payload.plain, "{}", payload.name);
            }
            // Cut everywhere: what ends before the cut arrives, never an error that it was not there.
            for cut in 0..payload.wire.len() {
                let script = Choppy::new(Script::new(&payload.wire[..cut]), 1, 8);
                let mut plain = Vec::new();
                let read = layered(script, encryption, payload.compressed).read_to_end(&mut plain).await;
                assert!(payload.plain.starts_with(&plain), "{} cut at {cut}", payload.name);
                if let Err(error) = read {
                    let corrupt = "snappy: corrupt input" == error.to_string();
                    assert!(corrupt || error.kind() == io::ErrorKind::UnexpectedEof, "{error}");
                }
            }
            let (near, mut far) = tokio::io::duplex(1024);
            let mut stream = Stream::boxed(near);
            if let Some((key, iv)) = encryption {
                stream = Stream::boxed(Cipher::with_iv(stream, &Key::from(key), iv));
            }
            if payload.compressed {
                stream = Stream::boxed(Snappy::new(stream));
            }
            stream.write_all(&payload.plain).await.unwrap();
            stream.shutdown().await.unwrap();
            drop(stream);
            let mut wire = Vec::new();
            far.read_to_end(&mut wire).await.unwrap();
            assert_eq!(wire, payload.wire, "{}", payload.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
}

#[tokio::test]
async fn golden_cipher_and_snappy_streams() {
    let iv: [u8; 16] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
    let key = key::derive(b"123");
    let cases: [(bool, &[u8], &str); 3] = [
        (false, &hex("6800000000000000027b7d"), "7fed4d5b49d2781818a09d"),
        (
            false,
            &hex("7200000000000000027b7d6800000000000000027b7d"),
            "65ed4d5b49d2781818a09d87b68a95f6be923e3ef702",
        ),
        (true, b"hello", "e8eb4d5b3a9c19486a82e1e6b68a2ee9b363c0a398daf5"),
    ];
    for (compressed, plain, ciphertext) in cases {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut stream = Stream::boxed(Cipher::with_iv(near, &key, iv));
        if compressed {
            stream = Stream::boxed(Snappy::new(stream));
        }
        stream.write_all(plain).await.unwrap();
        drop(stream);
        let mut wire = Vec::new();
        far.read_to_end(&mut wire).await.unwrap();
        assert_eq!(wire, [iv.to_vec(), hex(ciphertext)].concat());
    }
}

#[tokio::test]
async fn what_stands_before_a_damaged_chunk_is_read() {
    // A chunk that says hello, and one of a reserved type, in one piece.
    let wire = hex("ff060000734e6150705901090000bb1f1c1968656c6c6f 0200000000");
    let mut snappy = Snappy::new(Script::new(&wire));
    let mut plain = Vec::new();
    assert_eq!(snappy.read_to_end(&mut plain).await.unwrap_err().to_string(), "snappy: unsupported input");
    assert_eq!(plain, b"hello");
}

#[tokio::test]
async fn two_streams_never_begin_with_the_same_iv() {
    let mut ivs = Vec::new();
    for _ in 0..2 {
        let (near, mut far) = tokio::io::duplex(64);
        Cipher::new(near, &key::derive(b"")).write_all(b"x").await.unwrap();
        let mut iv = [0; 16];
        far.read_exact(&mut iv).await.unwrap();
        ivs.push(iv);
    }
    assert_ne!(ivs[0], ivs[1]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_leaves_little_behind_every_combination() {
    for layers in all(1 << 30) {
        let (near, far) = pipe(64 * 1024);
        let mut near = layers.clone().apply(near);
        let mut taken = 0;
        let piece = Random::new(1).bytes(64 * 1024);
        while let Ok(written) = timeout(Duration::from_secs(100), near.write(&piece)).await {
            taken += written.unwrap();
        }
        assert!(taken <= 512 * 1024, "{taken} bytes in flight");
        drop(far);
    }
}

/// Bytes that arrive in each of `seconds` seconds when one side floods the other.
async fn flood(near: Stream, far: Stream, seconds: usize) -> Vec<f64> {
    let (_near_read, mut near) = split(near);
    let (mut far, _far_write) = split(far);
    let start = Instant::now();
    let mut arrived = vec![0.0; seconds];
    let write = async {
        let piece = vec![7; 16 * 1024];
        while near.write_all(&piece).await.is_ok() {}
    };
    let read = async {
        let mut buffer = vec![0; 256 * 1024];
        while start.elapsed() < Duration::from_secs(seconds as u64) {
            let read = far.read(&mut buffer).await.unwrap();
            if let Some(second) = arrived.get_mut(usize::try_from(start.elapsed().as_secs()).unwrap()) {
                *second += read as f64;
            }
        }
    };
    tokio::select! { () = write => {}, () = read => {} }
    arrived
}

#[tokio::test(start_paused = true)]
async fn a_limit_lets_one_bucket_pass_and_then_the_exact_rate() {
    for limit in [100 * 1024, 1024 * 1024, 50 * 1024 * 1024] {
        for side in [LimitSide::Plain, LimitSide::Wire] {
            for limit_writer in [false, true] {
                let limited =
                    Layers { limiter: Some((Arc::new(RateLimiter::new(limit)), side)), ..Layers::default() };
                let (near, far) = pipe(4096);
                let arrived = if limit_writer {
                    flood(limited.apply(near), far, 10).await
                } else {
                    flood(near, limited.apply(far), 10).await
                };
                let in_limits = |bytes: f64| bytes / limit as f64;
                let (first, total) = (in_limits(arrived[0]), in_limits(arrived.iter().sum()));
                assert!((1.8..=2.2).contains(&first), "first second of {limit}: {first}");
                assert!((10.8..=11.2).contains(&total), "ten seconds of {limit}: {total}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_pays_both_ways() {
    // Upstream's own test of the limit: 50 KiB there and back under 10 KB/s.
    let start = Instant::now();
    let limited = Layers {
        limiter: Some((Arc::new(RateLimiter::new(10 * 1024)), LimitSide::Wire)),
        ..Layers::default()
    };
    let (near, far) = pipe(4096);
    let (mut near_read, mut near_write) = split(limited.apply(near));
    let (mut far_read, mut far_write) = split(far);
    let sent = Random::new(1).bytes(50 * 1024);
    let mut received = vec![0; sent.len()];
    let (written, echoed, read) = tokio::join!(
        near_write.write_all(&sent),
        async {
            let mut buffer = vec![0; sent.len()];
            far_read.read_exact(&mut buffer).await.unwrap();
            far_write.write_all(&buffer).await
        },
        near_read.read_exact(&mut received),
    );
    written.and(echoed).unwrap();
    read.unwrap();
    assert!(received == sent);
    let took = start.elapsed().as_secs_f64();
    assert!((9.0..9.2).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_proxy_share_its_limit_evenly() {
    let limiter = Arc::new(RateLimiter::new(500 * 1024));
    let limited = || {
        let (near, far) = pipe(4096);
        let layers = Layers { limiter: Some((limiter.clone(), LimitSide::Plain)), ..Layers::default() };
        flood(layers.apply(near), far, 5)
    };
    let (one, two) = tokio::join!(limited(), limited());
    let (one, two): (f64, f64) = (one.iter().sum(), two.iter().sum());
    let sum = (one + two) / (5.0 * 500.0 * 1024.0);
    assert!((1.15..1.25).contains(&sum), "{sum} × the limit");
    assert!((0.9..1.1).contains(&(one / two)), "{one} and {two}");
}

#[tokio::test(start_paused = true)]
async fn a_limited_stream_passes_the_end_on_while_it_waits() {
    let limiter = Arc::new(RateLimiter::new(1000));
    let layers = Layers { limiter: Some((limiter.clone(), LimitSide::Plain)), ..Layers::default() };
    let (near, mut far) = pipe(4096);
    let mut near = layers.apply(near);
    let start = Instant::now();
    near.write_all(&[1; 1000]).await.unwrap();
    // This one has to wait, and is given up.
    assert!(timeout(Duration::from_millis(100), near.write_all(&[2; 1000])).await.is_err());
    near.shutdown().await.unwrap();
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    assert_eq!((received.len(), start.elapsed()), (1000, Duration::from_millis(100)));
    // What it had reserved is there for others.
    drop(near);
    advance(Duration::from_millis(900)).await;
    assert_eq!(limiter.reserve(1000), None);
}

#[tokio::test]
async fn hostile_bytes_end_in_an_error_or_an_end() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let size = random.size(5000);
        let mut hostile = random.bytes(size);
        if seed % 2 == 0 {
            // Past the identifier, with chunk types and lengths that nearly fit.
            let chunk = [random.byte() % 3, random.byte(), random.byte() % 16, 0];
            hostile.splice(..0, [&snappy::frame::STREAM_IDENTIFIER[..], &chunk].concat());
        }
        for layers in all(FAST) {
            let script = Choppy::new(Script::new(&hostile), seed, 500);
            let mut stream = layers.apply(Stream::boxed(script));
            let mut plain = Vec::new();
            let read = stream.read_to_end(&mut plain).await;
            if let Err(error) = read {
                assert!(
                    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
                    "{error}"
                );
            }
        }
    }
}
