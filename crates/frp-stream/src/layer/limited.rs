//! A stream that pays for its bytes from a [`RateLimiter`].

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    Io, RateLimiter,
    buffer::{Buffer, Pending},
    io::Layer,
};

/// A stream under a bandwidth limit.
///
/// A read takes what is there, up to a piece, and hands it on once that is paid for; a write is paid
/// for before it happens. Flush and shutdown are free and pass straight on. Dropped while it waits
/// to write, it gives its tokens back.
pub struct Limited<S> {
    inner: S,
    limiter: Arc<RateLimiter>,
    /// Read, and handed on when `read_wait` is over.
    unpaid: Pending,
    read_wait: Wait,
    /// Bytes that may be written when `write_wait` is over.
    credit: usize,
    write_wait: Wait,
}

impl<S: Io> Limited<S> {
    /// Limits both directions of `inner` by one bucket.
    pub fn new(inner: S, limiter: Arc<RateLimiter>) -> Self {
        Self {
            inner,
            limiter,
            unpaid: Pending::default(),
            read_wait: Wait::default(),
            credit: 0,
            write_wait: Wait::default(),
        }
    }
}

impl<S> Drop for Limited<S> {
    fn drop(&mut self) {
        if self.credit > 0 {
            self.limiter.refund(self.credit);
        }
    }
}

impl<S: Layer> Layer for Limited<S> {
    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

impl<S: Io> AsyncRead for Limited<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unpaid.is_empty() {
            let piece = this.limiter.piece().min(buf.remaining());
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(piece));
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
            let read = part.filled();
            let Some(until) = this.limiter.reserve(read.len()) else {
                let read = read.len();
                buf.advance(read);
                return Poll::Ready(Ok(()));
            };
            let mut buffer = Buffer::with_len(read.len());
            buffer[..read.len()].copy_from_slice(read);
            this.unpaid.hold(buffer, 0, read.len());
            this.read_wait.until(until);
        }
        ready!(this.read_wait.poll(cx));
        this.unpaid.read(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: Io> AsyncWrite for Limited<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.credit == 0 && !buf.is_empty() {
            this.credit = this.limiter.piece().min(buf.len());
            if let Some(until) = this.limiter.reserve(this.credit) {
                this.write_wait.until(until);
            }
        }
        if this.write_wait.poll(cx).is_pending() {
            // What the stream below holds back must not wait as well.
            if let Poll::Ready(Err(error)) = Pin::new(&mut this.inner).poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            return Poll::Pending;
        }
        let paid = &buf[..buf.len().min(this.credit)];
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, paid))?;
        this.credit = this.credit.saturating_sub(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// Waiting for tokens. The timer is made at the first wait.
#[derive(Default)]
struct Wait {
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Wait {
    fn until(&mut self, instant: Instant) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(sleep_until(instant))),
        }
        self.waiting = true;
    }

    /// Ready when the wait is over, or there was none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting
            && let Some(sleep) = &mut self.sleep
        {
            ready!(sleep.as_mut().poll(cx));
            self.waiting = false;
        }
        Poll::Ready(())
    }
}
