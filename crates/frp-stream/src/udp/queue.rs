//! Frames of datagrams that wait for a work connection.

use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use frp_proto::udp::{UserText, encode_for};
use tokio::sync::Notify;

use super::{QUEUE, QUEUE_BYTES};

/// Larger buffers are given up once what they held has been written and nothing waits.
const KEPT: usize = 256 * 1024;

/// What became of a datagram that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Queued,
    /// It does not fit a message.
    TooLong,
}

/// A bounded queue of whole frames, in one run of bytes that is written as it stands. Those that fill it look for
/// [room](FrameQueue::room) before they take a datagram from their socket: what does not fit is left to the socket's
/// own buffer, and dropped there.
#[derive(Default)]
pub(super) struct FrameQueue {
    state: Mutex<State>,
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: Frames,
    /// What the writer has taken and not yet written.
    taken: Size,
    writer: Option<Waker>,
}

/// Frames in one run.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    pub(super) size: Size,
}

/// How much it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) datagrams: usize,
    /// Of the datagrams.
    pub(super) payload: u64,
    bytes: usize,
}

impl FrameQueue {
    /// Queues a datagram, even beyond the bound: who fills the queue asks for room first, and so adds no more than it
    /// takes from its socket at once.
    pub(super) fn push(&self, content: &[u8], user: &UserText) -> Queued {
        let mut state = self.lock();
        let Frames { bytes, size } = &mut state.waiting;
        if encode_for(content, user, bytes).is_err() {
            return Queued::TooLong;
        }
        size.datagrams += 1;
        size.payload += content.len() as u64;
        size.bytes = bytes.len();
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Queued::Queued
    }

    /// Whether another datagram may be queued.
    pub(super) fn has_room(&self) -> bool {
        let state = self.lock();
        let (waiting, taken) = (state.waiting.size, state.taken);
        waiting.datagrams + taken.datagrams < QUEUE && waiting.bytes + taken.bytes < QUEUE_BYTES
    }

    /// Waits until another datagram may be queued.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.room.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Takes all that waits into `frames`, whose own bytes must be written by now; waits for something to come. Safe
    /// to cancel. One task at a time.
    pub(super) async fn take(&self, frames: &mut Frames) {
        frames.bytes.clear();
        frames.size = Size::default();
        poll_fn(|cx| self.poll_take(cx, frames)).await;
    }

    fn poll_take(&self, cx: &mut Context<'_>, frames: &mut Frames) -> Poll<()> {
        let mut state = self.lock();
        let full = !state.taken.is_nothing();
        state.taken = Size::default();
        let waits = state.waiting.size.is_nothing();
        if waits {
            state.writer = Some(cx.waker().clone());
            for bytes in [&mut frames.bytes, &mut state.waiting.bytes] {
                if bytes.capacity() > KEPT {
                    *bytes = Vec::new();
                }
            }
        } else {
            std::mem::swap(&mut state.waiting, frames);
            state.taken = frames.size;
        }
        drop(state);
        if full {
            self.room.notify_waiters();
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until something waits, between two writers: what the last one took and did not write is forgotten. One
    /// task at a time, and not while another [takes](Self::take).
    pub(super) async fn waiting(&self) {
        self.lock().taken = Size::default();
        self.room.notify_waiters();
        poll_fn(|cx| {
            let mut state = self.lock();
            if !state.waiting.size.is_nothing() {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Forgets what waits.
    pub(super) fn clear(&self) {
        self.lock().waiting = Frames::default();
        self.room.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Size {
    fn is_nothing(self) -> bool {
        self.datagrams == 0
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, pin::pin};

    use frp_proto::{msg::UdpAddr, v1};

    use super::*;

    /// Whether it is ready when polled once.
    fn ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn text() -> UserText {
        UserText::new(&UdpAddr::from(SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    #[test]
    fn what_was_queued_comes_out_in_one_run_and_in_order() {
        let queue = FrameQueue::default();
        let mut frames = Frames::default();
        assert!(!ready(queue.take(&mut frames)) && !ready(queue.waiting()));
        for content in [&b"one"[..], b"", b"three"] {
            assert_eq!(queue.push(content, &text()), Queued::Queued);
        }
        assert_eq!(queue.push(&[0; 8000], &text()), Queued::TooLong);
        assert!(ready(queue.waiting()) && ready(queue.take(&mut frames)));
        assert_eq!((frames.size.datagrams, frames.size.payload), (3, 8));
        let mut rest = &frames.bytes[..];
        let mut count = 0;
        while let Some((_, consumed)) = v1::decode(rest).unwrap() {
            rest = &rest[consumed..];
            count += 1;
        }
        assert!(rest.is_empty() && count == 3);
        assert!(!ready(queue.take(&mut frames)));
    }

    #[test]
    fn what_is_being_written_takes_room_until_it_is() {
        let queue = FrameQueue::default();
        while queue.has_room() {
            queue.push(b"x", &text());
        }
        let mut frames = Frames::default();
        assert!(ready(queue.take(&mut frames)));
        assert_eq!(frames.size.datagrams, QUEUE);
        assert!(!ready(queue.room()));
        assert!(!ready(queue.take(&mut frames)));
        assert!(ready(queue.room()));
        // Long datagrams are fewer.
        while queue.has_room() {
            queue.push(&[0; 7000], &text());
        }
        assert!(ready(queue.take(&mut frames)));
        assert!(frames.size.datagrams < QUEUE && frames.bytes.len() < QUEUE_BYTES + 10_000);
    }

    #[test]
    fn what_a_writer_took_that_is_no_more_takes_no_room() {
        let queue = FrameQueue::default();
        while queue.has_room() {
            queue.push(b"x", &text());
        }
        assert!(ready(queue.take(&mut Frames::default())));
        assert!(!queue.has_room());
        assert!(!ready(queue.waiting()));
        assert!(ready(queue.room()));
        queue.push(b"x", &text());
        assert!(ready(queue.waiting()));
        queue.clear();
        assert!(!ready(queue.waiting()));
    }

    #[test]
    fn an_idle_queue_keeps_little_memory() {
        let queue = FrameQueue::default();
        let mut frames = Frames::default();
        for _ in 0..2 {
            for _ in 0..KEPT / 1000 {
                queue.push(&[0; 1000], &text());
            }
            assert!(ready(queue.take(&mut frames)));
        }
        assert!(frames.bytes.capacity() > KEPT && queue.lock().waiting.bytes.capacity() > KEPT);
        assert!(!ready(queue.take(&mut frames)));
        assert!(frames.bytes.capacity() <= KEPT && queue.lock().waiting.bytes.capacity() <= KEPT);
    }
}
