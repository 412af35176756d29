//! What stream, driver and receiver of a conversation have in common.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Micros;
use crate::config::Config;
use crate::conversation::{Conversation, Over, Readable};

/// Why a conversation ended before its stream was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The peer was not heard for too long.
    Silent,
    /// The peer reads no more.
    PeerLeft,
    /// It had to make room: for a newer conversation of its address, or for those of others while its peer was
    /// unproven.
    Replaced,
    /// The host of the peer says that nobody is there.
    Refused,
    /// The listener or the driver is gone.
    Stopped,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "kcp: the peer does not answer",
            Self::PeerLeft => "kcp: closed by the peer",
            Self::Replaced => "kcp: replaced by a newer conversation",
            Self::Refused => "connection refused",
            Self::Stopped => "kcp: closed",
        })
    }
}

impl std::error::Error for Closed {}

impl From<Closed> for io::Error {
    fn from(closed: Closed) -> Self {
        let kind = match closed {
            Closed::Silent => io::ErrorKind::TimedOut,
            Closed::PeerLeft => io::ErrorKind::BrokenPipe,
            Closed::Replaced => io::ErrorKind::ConnectionReset,
            Closed::Refused => io::ErrorKind::ConnectionRefused,
            Closed::Stopped => io::ErrorKind::NotConnected,
        };
        Self::new(kind, closed)
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something is to be sent, or it is over.
    pub(super) wake: Notify,
    /// The peer is where it says it is. For one who waits.
    pub(super) proven: Notify,
    epoch: Instant,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

pub(super) struct State {
    pub(super) conversation: Conversation,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) closed: Option<Closed>,
}

impl Shared {
    pub(super) fn new(conv: u32, config: Config, peer: SocketAddr, local: SocketAddr) -> Self {
        Self::of(Conversation::new(conv, config, rand::random(), 0), peer, local)
    }

    /// With a peer that listens, perhaps a stock one.
    pub(super) fn with_listener(conv: u32, config: Config, peer: SocketAddr, local: SocketAddr) -> Self {
        Self::of(Conversation::new(conv, config, rand::random(), 0).with_listener(), peer, local)
    }

    fn of(conversation: Conversation, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            state: Mutex::new(State { conversation, reader: None, writer: None, closed: None }),
            wake: Notify::new(),
            proven: Notify::new(),
            epoch: Instant::now(),
            peer,
            local,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Micros {
        Micros::try_from(self.epoch.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    pub(super) fn instant(&self, at: Micros) -> Instant {
        self.epoch + std::time::Duration::from_micros(at)
    }

    /// Ends it, whatever its stream wants.
    pub(super) fn close(&self, why: Closed) {
        let mut state = self.lock();
        state.close(why);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.wake.notify_one();
    }
}

impl State {
    /// Whom to wake after the conversation has received something or sent something.
    pub(super) fn ready(&mut self) -> [Option<Waker>; 2] {
        self.note_end();
        let over = self.closed.is_some();
        let reads = over || self.conversation.readable() != Readable::Nothing;
        let writes = over || self.conversation.is_writable();
        [if reads { self.reader.take() } else { None }, if writes { self.writer.take() } else { None }]
    }

    /// The first reason stays; but after a peer that reads no more, what it sent may still come, until there is another.
    fn close(&mut self, why: Closed) {
        if matches!(self.closed, None | Some(Closed::PeerLeft)) {
            self.closed = Some(why);
        }
    }

    /// Takes over how the conversation has ended.
    fn note_end(&mut self) {
        match self.conversation.over() {
            None | Some(Over::Finished) => {}
            Some(Over::Silent) => self.close(Closed::Silent),
            Some(Over::PeerLeft) => drop(self.closed.get_or_insert(Closed::PeerLeft)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_after_a_peer_that_left_another_reason_counts_and_readers_get_to_know() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        for why in [Closed::Silent, Closed::Replaced, Closed::Refused, Closed::Stopped] {
            let shared = Shared::new(1, Config::single(), nowhere, nowhere);
            shared.close(Closed::PeerLeft);
            let reader = Arc::new(Woken::default());
            shared.lock().reader = Some(Waker::from(Arc::clone(&reader)));
            shared.close(why);
            assert!(reader.0.load(Ordering::Relaxed));
            for later in [Closed::PeerLeft, Closed::Stopped, Closed::Refused] {
                shared.close(later);
                assert_eq!(shared.lock().closed, Some(why));
            }
        }
    }
}
