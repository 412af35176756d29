//! One user of a udp proxy on the client's side: a socket connected to the local service.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use frp_proto::{msg::UdpAddr, udp::UserText, wire::Framing};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep_until},
};

use super::{
    queue::{FrameQueue, Queued},
    socket::BatchSocket,
};

/// Batches of replies that are taken from a socket before other tasks get their turn.
const BATCHES_PER_TURN: usize = 4;

/// [`Activity`]'s value when the session has ended.
const OVER: u64 = u64::MAX;

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
pub(super) fn connect(local: SocketAddr) -> io::Result<BatchSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.connect(&local.into())?;
    Ok(BatchSocket::new(UdpSocket::from_std(socket.into())?, true))
}

/// Carries the local service's replies to one user, until the session is idle or its socket fails.
pub(super) struct Replies {
    pub(super) socket: Arc<BatchSocket>,
    pub(super) activity: Arc<Activity>,
    pub(super) user: UdpAddr,
    pub(super) outlet: Arc<Outlet>,
    pub(super) framing: Framing,
    /// Longer replies are cut to this.
    pub(super) packet_size: usize,
}

/// Where the replies of all sessions go.
#[derive(Default)]
pub(super) struct Outlet {
    pub(super) queue: FrameQueue,
    /// Replies that fitted no message.
    pub(super) too_long: AtomicU64,
}

impl Replies {
    pub(super) async fn run(self) -> UdpAddr {
        let text = UserText::framed(&self.user, self.framing);
        let mut due = Instant::now() + self.activity.idle;
        loop {
            self.outlet.queue.room().await;
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
            if readable.is_err() || self.take_replies(&text).is_err() {
                self.activity.end();
                break;
            }
            tokio::task::yield_now().await;
        }
        self.user
    }

    fn take_replies(&self, text: &UserText) -> io::Result<()> {
        for _ in 0..BATCHES_PER_TURN {
            // Other sessions fill the same queue.
            if !self.outlet.queue.has_room() {
                return Ok(());
            }
            match self.socket.receive(|reply, _| self.enqueue(reply, text)) {
                Ok(()) => {
                    self.activity.touch();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn enqueue(&self, reply: &[u8], text: &UserText) {
        let reply = reply.get(..self.packet_size).unwrap_or(reply);
        let length = reply.len();
        tracing::trace!("send udp package to workConn, len: {length}");
        if self.outlet.queue.push(reply, text) == Queued::TooLong {
            let count = self.outlet.too_long.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!("dropped a datagram of {length} bytes, too long for one message ({count} so far)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::queue::Frames, *};

    #[tokio::test]
    async fn replies_that_come_while_the_queue_is_full_stay_in_their_socket() {
        let service = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = Arc::new(connect(service.local_addr().unwrap()).unwrap());
        let user = UdpAddr::from(SocketAddr::from(([10, 0, 0, 1], 1)));
        let text = UserText::new(&user);
        let outlet = Arc::<Outlet>::default();
        let replies = Replies {
            socket: Arc::clone(&socket),
            activity: Arc::new(Activity::new(Duration::from_secs(1))),
            user,
            outlet: Arc::clone(&outlet),
            framing: Framing::V1,
            packet_size: 1500,
        };
        let mut waiting = 0;
        while outlet.queue.has_room() {
            outlet.queue.push(b"of another session", &text);
            waiting += 1;
        }
        service.send_to(b"reply", socket.local_addr().unwrap()).await.unwrap();
        socket.readable().await.unwrap();
        replies.take_replies(&text).unwrap();
        let mut frames = Frames::default();
        outlet.queue.take(&mut frames).await;
        assert_eq!(frames.size.datagrams, waiting);
        // Written: there is room again.
        tokio::select! {
            biased;
            () = outlet.queue.take(&mut frames) => panic!("there is nothing"),
            () = std::future::ready(()) => {}
        }
        replies.take_replies(&text).unwrap();
        outlet.queue.take(&mut frames).await;
        assert_eq!(frames.size.datagrams, 1);
    }
}
