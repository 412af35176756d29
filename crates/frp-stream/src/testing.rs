//! What the tests of this crate share: streams that behave badly, random bytes, recorded data.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll, ready},
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use crate::{Io, Stream};

/// A small generator with a seed, so that a failing test fails again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A number from 1 to `max`, small ones more often.
    pub(crate) fn size(&mut self, max: usize) -> usize {
        let max = if self.next().is_multiple_of(2) { max.min(64) } else { max };
        1 + usize::try_from(self.next()).unwrap() % max
    }

    /// Bytes of which some parts compress and some do not.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let run = self.size(20_000).min(len - bytes.len());
            if self.next().is_multiple_of(2) {
                let byte = self.byte();
                bytes.extend((0..7).map(|i| byte.wrapping_add(i)).cycle().take(run));
            } else {
                bytes.extend((0..run).map(|_| self.byte()));
            }
        }
        bytes
    }
}

/// A stream that reads and writes in random pieces, and often not at once.
pub(crate) struct Choppy<S> {
    inner: S,
    random: Random,
    max: usize,
}

impl<S: Io> Choppy<S> {
    pub(crate) fn new(inner: S, seed: u64, max: usize) -> Self {
        Self { inner, random: Random::new(seed), max }
    }

    fn not_now(&mut self, cx: &mut Context<'_>) -> bool {
        let not_now = self.random.next().is_multiple_of(3);
        if not_now {
            cx.waker().wake_by_ref();
        }
        not_now
    }
}

impl<S: Io> AsyncRead for Choppy<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.not_now(cx) {
            return Poll::Pending;
        }
        let max = this.random.size(this.max).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(max));
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncWrite for Choppy<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.not_now(cx) {
            return Poll::Pending;
        }
        let max = this.random.size(this.max).min(buf.len());
        Pin::new(&mut this.inner).poll_write(cx, &buf[..max])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.not_now(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.not_now(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

/// A stream over given bytes: reads them, then the end; keeps what is written.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) input: io::Cursor<Vec<u8>>,
    pub(crate) output: Vec<u8>,
}

impl Script {
    pub(crate) fn new(input: &[u8]) -> Self {
        Self { input: io::Cursor::new(input.to_vec()), output: Vec::new() }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.output.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream in memory with `capacity` bytes of room each way.
pub(crate) fn pipe(capacity: usize) -> (Stream, Stream) {
    let (near, far) = tokio::io::duplex(capacity);
    (Stream::boxed(near), Stream::boxed(far))
}

/// The two ends of a TCP connection over loopback.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), accepted.unwrap().0)
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// The payload of one direction of a work connection in a recorded session.
pub(crate) struct Payload {
    pub(crate) name: String,
    pub(crate) wire: Vec<u8>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) iv: Option<Vec<u8>>,
    pub(crate) compressed: bool,
    pub(crate) plain: Vec<u8>,
    pub(crate) messages: Vec<Value>,
}

/// All payloads of a recorded session under `tests/data/wire`.
pub(crate) fn recorded(session: &str) -> Vec<Payload> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/wire").join(session);
    let described: Value = serde_json::from_slice(&fs::read(folder.join("session.json")).unwrap()).unwrap();
    let mut payloads = Vec::new();
    for connection in described["connections"].as_array().unwrap() {
        for (stream, direction) in
            connection["streams"].as_array().unwrap().iter().flat_map(|s| [(s, "client"), (s, "server")])
        {
            let payload = &stream[direction]["payload"];
            let Some(at) = payload["at"].as_u64() else { continue };
            let file = format!("{}-{direction}.bin", connection["n"]);
            let bytes = fs::read(folder.join(&file)).unwrap();
            let text = |value: &Value| value.as_str().map(hex);
            payloads.push(Payload {
                name: format!("{session}/{file}"),
                wire: bytes[usize::try_from(at).unwrap()..].to_vec(),
                key: text(&payload["crypto"]["key"]),
                iv: text(&payload["crypto"]["iv"]),
                compressed: payload["snappy_hex"].is_string(),
                plain: text(&payload["hex"]).unwrap_or_default(),
                messages: payload["messages"].as_array().cloned().unwrap_or_default(),
            });
        }
    }
    let names: BTreeMap<_, _> = payloads.iter().map(|p| (&p.name, ())).collect();
    assert_eq!(names.len(), payloads.len());
    payloads
}
