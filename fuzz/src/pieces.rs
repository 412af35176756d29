//! Streams in memory that give their bytes in pieces, and futures on them that never wait.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::mutate::Random;

/// How a stream cuts what it gives and takes.
#[derive(Clone)]
pub enum Cut {
    /// As much as fits.
    Never,
    /// After every byte.
    Always,
    /// Anywhere, up to this many bytes at a time.
    Random(Random, usize),
}

impl Cut {
    /// How many bytes at most come next.
    pub fn length(&mut self) -> usize {
        match self {
            Self::Never => usize::MAX,
            Self::Always => 1,
            Self::Random(random, most) => 1 + random.below(*most),
        }
    }
}

/// A stream over given bytes: reads them, then the end; keeps what is written.
pub struct Script {
    input: Vec<u8>,
    at: usize,
    cut: Cut,
    /// Whether writes are taken, or wait for ever.
    takes: bool,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Script {
    /// A stream that gives `input`.
    #[must_use]
    pub fn new(input: &[u8], cut: Cut) -> Self {
        Self { input: input.to_vec(), at: 0, cut, takes: true, written: Arc::default() }
    }

    /// The same, and every write waits for ever.
    #[must_use]
    pub fn stalled(mut self) -> Self {
        self.takes = false;
        self
    }

    /// Where the written bytes appear.
    #[must_use]
    pub fn written(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.written)
    }
}

/// The bytes of [`Script::written`] so far.
#[must_use]
pub fn bytes(written: &Mutex<Vec<u8>>) -> Vec<u8> {
    written.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.cut.length();
        let rest = &self.input[self.at..];
        let piece = &rest[..rest.len().min(buf.remaining()).min(most)];
        buf.put_slice(piece);
        self.at += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.takes {
            return Poll::Pending;
        }
        let taken = buf.len().min(self.cut.length());
        self.written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.takes { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The outcome of a future on streams that are always ready.
///
/// # Panics
/// It waits.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits although everything is there"),
    }
}
