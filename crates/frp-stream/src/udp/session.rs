//! One user of a udp proxy on the client's side: a socket connected to the local service.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use frp_proto::msg::UdpAddr;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::Datagram;
use crate::buffer::Buffer;

/// Replies that are taken from a socket before other tasks get their turn.
const REPLIES_PER_TURN: usize = 64;

/// [`Activity`]'s value when the session has ended.
const OVER: u64 = u64::MAX;

/// A session as the table of sessions sees it.
pub(super) struct Session {
    /// Distinguishes it from an earlier one of the same user.
    pub(super) id: u64,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) activity: Arc<Activity>,
    /// The task that reads replies; it ends with the session.
    pub(super) task: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When a session was last used, or that it is over: told apart in one place, so that no datagram goes
/// to a socket that nobody reads any more.
pub(super) struct Activity {
    start: Instant,
    idle: Duration,
    last_millis: AtomicU64,
}

impl Activity {
    /// A session that is used now, and over when not used for `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self { start: Instant::now(), idle, last_millis: AtomicU64::new(0) }
    }

    /// Notes a datagram. False when the session is over.
    pub(super) fn touch(&self) -> bool {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(OVER - 1);
        let touched = self.last_millis.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| {
            (last != OVER && Duration::from_millis(now.saturating_sub(last)) < self.idle).then_some(now)
        });
        touched.is_ok()
    }

    /// The last use; `None` when the session is over.
    pub(super) fn last(&self) -> Option<Instant> {
        match self.last_millis.load(Ordering::Acquire) {
            OVER => None,
            millis => Some(self.start + Duration::from_millis(millis)),
        }
    }

    /// Ends the session if it was idle for too long; else says when to ask again.
    fn expire(&self) -> Option<Instant> {
        let due = self.last()? + self.idle;
        if due > Instant::now() {
            return Some(due);
        }
        // From now on `touch` finds it over too: time does not go back.
        self.end();
        None
    }

    fn end(&self) {
        self.last_millis.store(OVER, Ordering::Release);
    }
}

/// A socket that speaks with the local service only.
pub(super) async fn connect(local: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match local {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(local).await?;
    Ok(socket)
}

/// Carries the local service's replies to one user, until the session is idle or its socket fails.
pub(super) struct Replies {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) activity: Arc<Activity>,
    pub(super) user: UdpAddr,
    pub(super) queue: mpsc::Sender<Datagram>,
    /// Longer replies are cut to this.
    pub(super) packet_size: usize,
}

impl Replies {
    pub(super) async fn run(self) -> UdpAddr {
        let mut due = Instant::now() + self.activity.idle;
        loop {
            let readable = tokio::select! {
                readable = self.socket.readable() => readable,
                () = sleep_until(due) => match self.activity.expire() {
                    Some(later) => {
                        due = later;
                        continue;
                    }
                    None => break,
                },
            };
            // A local service that is not there shows as a refused connection here. The next datagram of
            // the user begins a new session.
            if readable.is_err() || self.take_replies().is_err() {
                self.activity.end();
                break;
            }
            tokio::task::yield_now().await;
        }
        self.user
    }

    fn take_replies(&self) -> io::Result<()> {
        let mut buffer = Buffer::with_len(self.packet_size);
        let buffer = &mut buffer[..self.packet_size];
        for _ in 0..REPLIES_PER_TURN {
            let len = match self.socket.try_recv(buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.activity.touch();
            // A full queue drops, as a network would.
            let _ =
                self.queue.try_send(Datagram { content: buffer[..len].to_vec(), user: self.user.clone() });
        }
        Ok(())
    }
}
