//! All conversations of one socket.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;

use frp_stream::udp::BatchSocket;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};

use super::driver::{Route, drive};
use super::shared::{Closed, Shared};
use super::table::{Found, Table};
use super::{KcpStream, SOCKET_BUFFER};
use crate::config::Config;

/// Conversations whose peers have not yet acknowledged anything of ours, of all addresses together. Another one ends
/// the oldest of them. Whoever floods a listener with forged addresses gets no more than this; a client needs its place
/// for one round trip.
pub const UNPROVEN: usize = 1024;
/// Conversations that wait to be accepted. One that finds no room begins again when its peer sends again. kcp-go
/// `acceptBacklog` is 128.
const BACKLOG: usize = 256;
/// Segments that are kept of an unproven peer. A stock one sends half of that before it is answered (kcp-go
/// `IKCP_WND_RCV`).
const UNPROVEN_SEGMENTS: u16 = 64;

/// A conversation that a peer has begun.
#[derive(Debug)]
pub struct Accepted {
    /// Its bytes.
    pub stream: KcpStream,
    /// Where the peer is, as the socket says it: an IPv4 address may be a mapped one.
    pub peer: SocketAddr,
    /// Whether it is there.
    pub proof: Proof,
}

/// That a peer is where it says it is: anybody can write any address on a datagram.
pub struct Proof(Arc<Shared>);

impl Proof {
    /// Resolves when the peer has acknowledged something that was sent to it; never if it does not.
    pub async fn arrived(self) {
        self.0.proven.notified().await;
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("peer", &self.0.peer).finish_non_exhaustive()
    }
}

/// Where conversations come from.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<Accepted>,
}

impl Listener {
    /// Listens on a socket. The driver has to be run; with it, all conversations end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn new(socket: UdpSocket, config: Config) -> io::Result<(Self, ListenerDriver)> {
        let local = socket.local_addr()?;
        let socket = Arc::new(BatchSocket::with_buffers(socket, false, SOCKET_BUFFER));
        let (sender, accepted) = mpsc::channel(BACKLOG);
        let receiver = Receiver {
            config,
            local,
            table: Table::default(),
            accepted: Some(sender),
            drivers: JoinSet::new(),
            driven: HashMap::new(),
            touched: Vec::new(),
        };
        Ok((Self { accepted }, ListenerDriver { socket, receiver }))
    }

    /// The next conversation that a peer has begun; none when the driver is gone. Nothing of a peer is awaited.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }
}

/// Receives for all conversations and owns the tasks that drive them.
pub struct ListenerDriver {
    socket: Arc<BatchSocket>,
    receiver: Receiver,
}

impl ListenerDriver {
    /// The address that is listened on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.receiver.local
    }

    /// Runs until `stop` is ready, after which nobody can begin, and all conversations are over. Dropping it ends all
    /// of them at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { socket, mut receiver } = self;
        let mut stop = pin!(stop);
        while !(receiver.accepted.is_none() && receiver.drivers.is_empty()) {
            tokio::select! {
                () = &mut stop, if receiver.accepted.is_some() => receiver.accepted = None,
                Some(ended) = receiver.drivers.join_next_with_id() => receiver.ended(ended),
                readable = socket.readable() => {
                    if readable.is_err() {
                        return;
                    }
                    // Errors are about datagrams that were sent, to whomever.
                    let _ = socket.receive(|datagram, from| receiver.receive(&socket, datagram, from));
                    receiver.wake_touched();
                }
            }
        }
    }
}

struct Receiver {
    config: Config,
    local: SocketAddr,
    table: Table,
    /// None once nobody can begin any more.
    accepted: Option<mpsc::Sender<Accepted>>,
    drivers: JoinSet<()>,
    /// The place in the table of what each of them drives.
    driven: HashMap<task::Id, (SocketAddr, u64)>,
    /// Conversations that have got something of this batch.
    touched: Vec<Arc<Shared>>,
}

impl Receiver {
    fn receive(&mut self, socket: &Arc<BatchSocket>, datagram: &[u8], from: SocketAddr) {
        let shared = match self.table.find(from, datagram) {
            Found::Known(shared) => Arc::clone(shared),
            Found::Begins(conv) => match self.begin(socket, from, conv) {
                Some(shared) => shared,
                None => return,
            },
            Found::Nowhere => return,
        };
        // A bug may cost a conversation, never all of them.
        match catch_unwind(AssertUnwindSafe(|| give(&shared, datagram))) {
            Ok(false) => {}
            Ok(true) => {
                self.table.prove(from, &shared);
                shared.proven.notify_one();
            }
            Err(_) => return shared.close(Closed::Stopped),
        }
        if !self.touched.last().is_some_and(|last| Arc::ptr_eq(last, &shared)) {
            self.touched.push(shared);
        }
    }

    fn begin(&mut self, socket: &Arc<BatchSocket>, from: SocketAddr, conv: u32) -> Option<Arc<Shared>> {
        // Before anything is kept: whoever accepts is behind.
        let place = self.accepted.as_ref()?.try_reserve().ok()?;
        let shared = Arc::new(Shared::new(conv, self.config.clone(), from, self.local));
        shared.lock().conversation.limit(Some(UNPROVEN_SEGMENTS));
        let id = self.table.add(from, conv, Arc::clone(&shared), UNPROVEN);
        let proof = Proof(Arc::clone(&shared));
        place.send(Accepted { stream: KcpStream::new(Arc::clone(&shared)), peer: from, proof });
        let route = Route { socket: Arc::clone(socket), to: Some(from) };
        self.spawn((from, id), drive(Arc::clone(&shared), route));
        Some(shared)
    }

    fn spawn(&mut self, place: (SocketAddr, u64), driver: impl Future<Output = ()> + Send + 'static) {
        let task = self.drivers.spawn(driver);
        self.driven.insert(task.id(), place);
    }

    /// A driver has ended, or has panicked: either way the conversation has no place any more.
    fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = match ended {
            Ok((task, ())) => task,
            Err(error) => error.id(),
        };
        if let Some((from, id)) = self.driven.remove(&task) {
            self.table.remove(from, id);
        }
    }

    fn wake_touched(&mut self) {
        for shared in self.touched.drain(..) {
            let wakers = shared.lock().ready();
            wakers.into_iter().flatten().for_each(Waker::wake);
            shared.wake.notify_one();
        }
    }
}

/// A conversation takes a datagram. True if that proves the peer to be there.
fn give(shared: &Shared, datagram: &[u8]) -> bool {
    let now = shared.now();
    let mut state = shared.lock();
    let was_proven = state.conversation.is_proven();
    state.conversation.receive(now, datagram);
    let is_newly_proven = state.conversation.is_proven() && !was_proven;
    if is_newly_proven {
        state.conversation.limit(None);
    }
    is_newly_proven
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::segment::{Command, Segment};

    /// What begins the conversation 7.
    fn begin() -> Vec<u8> {
        let mut bytes = Vec::new();
        let segment =
            Segment { conv: 7, command: Command::Push, fragment: 0, window: 128, ts: 0, sn: 0, una: 0 };
        segment.encode(1, &mut bytes);
        bytes.push(b'x');
        bytes
    }

    #[tokio::test]
    async fn a_conversation_that_panics_ends_and_no_other() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (mut listener, ListenerDriver { socket, mut receiver }) =
            Listener::new(socket, Config::single()).unwrap();
        let peers = [[127, 0, 0, 1], [127, 0, 0, 2]].map(|address| SocketAddr::from((address, 9)));
        let mut streams = Vec::new();
        for from in peers {
            receiver.receive(&socket, &begin(), from);
            streams.push(listener.accept().await.unwrap().stream);
        }
        let Found::Known(shared) = receiver.table.find(peers[0], &begin()) else { panic!("it is known") };
        shared.lock().conversation.has_bug = true;
        for from in peers {
            receiver.receive(&socket, &begin(), from);
        }
        receiver.wake_touched();
        let ended = receiver.drivers.join_next_with_id().await.unwrap();
        receiver.ended(ended);
        assert!(matches!(receiver.table.find(peers[0], &begin()), Found::Begins(7)));
        assert!(matches!(receiver.table.find(peers[1], &begin()), Found::Known(_)));
        let mut read = [0; 2];
        assert_eq!(streams[0].read(&mut read).await.unwrap(), 1);
        let error = streams[0].read(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
        assert_eq!(streams[1].read(&mut read).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_driver_that_panics_leaves_no_place_in_the_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (_listener, ListenerDriver { mut receiver, .. }) =
            Listener::new(socket, Config::single()).unwrap();
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        let shared = Arc::new(Shared::new(7, Config::single(), from, receiver.local));
        let id = receiver.table.add(from, 7, shared, UNPROVEN);
        assert!(matches!(receiver.table.find(from, &begin()), Found::Known(_)));
        receiver.spawn((from, id), async { std::panic::panic_any("a driver has a bug") });
        let ended = receiver.drivers.join_next_with_id().await.unwrap();
        assert!(ended.as_ref().is_err_and(JoinError::is_panic));
        receiver.ended(ended);
        assert!(matches!(receiver.table.find(from, &begin()), Found::Begins(7)));
        assert!(receiver.driven.is_empty());
    }

    #[tokio::test]
    async fn a_driver_that_ends_leaves_no_place_in_the_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (mut listener, ListenerDriver { socket, mut receiver }) =
            Listener::new(socket, Config::single()).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let from = peer.local_addr().unwrap();
        receiver.receive(&socket, &begin(), from);
        drop(listener.accept().await);
        let ended = receiver.drivers.join_next_with_id().await.unwrap();
        assert!(ended.is_ok());
        receiver.ended(ended);
        assert!(matches!(receiver.table.find(from, &begin()), Found::Begins(7)));
        assert!(receiver.driven.is_empty());
    }
}
