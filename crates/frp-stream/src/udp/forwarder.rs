//! The client's side of a udp or sudp proxy: from a work connection to the local service and back.
//!
//! Upstream `pkg/proto/udp/udp.go` and `client/proxy/udp.go`: every user gets a socket of its own,
//! connected to the local service, for as long as datagrams pass; replies go back with the user's
//! address.

use std::{collections::HashMap, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use frp_proto::msg::UdpAddr;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    DEFAULT_PACKET_SIZE, Datagram, DatagramReader, DatagramWriter, PING_INTERVAL, QUEUE, Received,
    SESSION_IDLE, Sent, datagram_channel,
    session::{self, Activity, Replies, Session},
};
use crate::{
    Stream,
    message::{ReadError, WriteError},
};

/// The longest datagram that there is.
const MAX_DATAGRAM: usize = 65_535;

/// Gives what precedes the payload of the first datagram of each user: a PROXY protocol header from the
/// user's address to the local service's. `None` if it cannot be expressed; the datagram then goes without.
pub type HeaderFn = Arc<dyn Fn(&UdpAddr, SocketAddr) -> Option<Vec<u8>> + Send + Sync>;

/// Settings of a [`Forwarder`].
#[derive(Clone)]
pub struct ForwarderOptions {
    /// The local service.
    pub local: SocketAddr,
    /// Replies are cut to this length in bytes (`udpPacketSize` of the client, default 1500). Datagrams of
    /// users are not: the server has done so.
    pub packet_size: usize,
    /// The header of each user's first datagram; none by default.
    pub header: Option<HeaderFn>,
    /// How long a session lives without a datagram either way; 30 s.
    pub idle: Duration,
    /// How often a `Ping` is sent; 30 s.
    pub ping_interval: Duration,
    /// Users at one time, default 4096, as each costs a socket. One more ends the session that was idle
    /// longest.
    pub max_sessions: usize,
}

impl ForwarderOptions {
    /// The defaults for a local service.
    #[must_use]
    pub fn new(local: SocketAddr) -> Self {
        Self {
            local,
            packet_size: DEFAULT_PACKET_SIZE,
            header: None,
            idle: SESSION_IDLE,
            ping_interval: PING_INTERVAL,
            max_sessions: 4096,
        }
    }
}

/// Why a forwarder ended. The work connection is closed in any case.
#[derive(Debug)]
pub enum ForwarderEnd {
    /// Reading from the work connection failed or it ended.
    Read(ReadError),
    /// Writing to the work connection failed.
    Write(WriteError),
}

/// What a forwarder did.
#[derive(Debug)]
pub struct ForwarderReport {
    /// Bytes of datagrams sent to the local service, headers not counted.
    pub to_service: u64,
    /// Bytes of datagrams written to the work connection.
    pub to_user: u64,
    /// Replies dropped because they fit no message.
    pub too_long: u64,
    /// Why it ended.
    pub end: ForwarderEnd,
}

/// Forwards the datagrams of one work connection.
pub struct Forwarder {
    options: ForwarderOptions,
    sessions: HashMap<UdpAddr, Session>,
    next_id: u64,
    to_service: u64,
}

impl Forwarder {
    /// A forwarder without sessions.
    #[must_use]
    pub fn new(mut options: ForwarderOptions) -> Self {
        options.packet_size = options.packet_size.min(MAX_DATAGRAM);
        options.max_sessions = options.max_sessions.max(1);
        Self { options, sessions: HashMap::new(), next_id: 0, to_service: 0 }
    }

    /// Forwards until the work connection (with its layers applied) fails or ends.
    ///
    /// May be dropped at any time: that closes the work connection and all sessions.
    pub async fn run(mut self, stream: Stream) -> ForwarderReport {
        let (reader, mut writer) = datagram_channel(stream);
        let (queue, replies) = mpsc::channel(QUEUE);
        let mut to_user = 0;
        let ping_interval = self.options.ping_interval;
        let end = tokio::select! {
            error = self.read_datagrams(reader, queue) => ForwarderEnd::Read(error),
            error = write_replies(&mut writer, replies, ping_interval, &mut to_user) => ForwarderEnd::Write(error),
        };
        ForwarderReport { to_service: self.to_service, to_user, too_long: writer.too_long(), end }
    }

    async fn read_datagrams(
        &mut self,
        mut reader: DatagramReader,
        queue: mpsc::Sender<Datagram>,
    ) -> ReadError {
        // Owns the sessions' tasks: dropped with this future.
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                received = reader.next() => match received {
                    Ok(Received::Datagram(datagram)) => {
                        tracing::trace!("get udp package from workConn, len: {}", datagram.content.len());
                        self.forward(datagram, &queue, &mut tasks).await;
                    }
                    Ok(Received::Ping | Received::Other(_)) => {}
                    Err(error) => return error,
                },
                Some(ended) = tasks.join_next() => {
                    if let Ok((user, id)) = ended {
                        self.forget(&user, id);
                    }
                }
            }
        }
    }

    fn forget(&mut self, user: &UdpAddr, id: u64) {
        if self.sessions.get(user).is_some_and(|session| session.id == id) {
            self.sessions.remove(user);
        }
    }

    /// Sends a user's datagram to the local service. Whatever fails costs this datagram only.
    async fn forward(
        &mut self,
        Datagram { content, user }: Datagram,
        queue: &mpsc::Sender<Datagram>,
        tasks: &mut JoinSet<(UdpAddr, u64)>,
    ) {
        let local = self.options.local;
        let len = content.len() as u64;
        let known = self.sessions.get(&user).filter(|session| session.activity.touch());
        let (socket, payload) = match known {
            Some(session) => (session.socket.clone(), content),
            None => {
                let header = self.options.header.as_ref().and_then(|header| header(&user, local));
                match self.open(user, queue, tasks).await {
                    Ok(socket) => (socket, [header.unwrap_or_default(), content].concat()),
                    Err(error) => {
                        tracing::debug!(%error, %local, "no socket for a udp session");
                        return;
                    }
                }
            }
        };
        let mut sent = socket.send(&payload).await;
        if sent.is_err() {
            // It may be about an earlier datagram that was refused meanwhile. That is told once.
            sent = socket.send(&payload).await;
        }
        match sent {
            Ok(_) => self.to_service += len,
            Err(error) => tracing::debug!(%error, %local, "udp datagram not sent"),
        }
    }

    async fn open(
        &mut self,
        user: UdpAddr,
        queue: &mpsc::Sender<Datagram>,
        tasks: &mut JoinSet<(UdpAddr, u64)>,
    ) -> io::Result<Arc<UdpSocket>> {
        self.sessions.remove(&user);
        if self.sessions.len() >= self.options.max_sessions {
            self.drop_longest_idle();
        }
        let socket = Arc::new(session::connect(self.options.local).await?);
        let activity = Arc::new(Activity::new(self.options.idle));
        let id = self.next_id;
        self.next_id += 1;
        let replies = Replies {
            socket: socket.clone(),
            activity: activity.clone(),
            user: user.clone(),
            queue: queue.clone(),
            packet_size: self.options.packet_size,
        };
        let task = tasks.spawn(async move { (replies.run().await, id) });
        self.sessions.insert(user, Session { id, socket: socket.clone(), activity, task });
        Ok(socket)
    }

    fn drop_longest_idle(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.activity.last());
        if let Some(user) = oldest.map(|(user, _)| user.clone()) {
            self.sessions.remove(&user);
        }
    }
}

/// Writes replies and pings to the work connection, several at once when several wait.
async fn write_replies(
    writer: &mut DatagramWriter,
    mut replies: mpsc::Receiver<Datagram>,
    ping_interval: Duration,
    to_user: &mut u64,
) -> WriteError {
    let mut pings = interval_at(Instant::now() + ping_interval, ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let written = tokio::select! {
            Some(reply) = replies.recv() => write_batch(writer, reply, &mut replies, to_user).await,
            _ = pings.tick() => {
                tracing::trace!("send ping message to udp workConn");
                writer.ping().await
            }
        };
        if let Err(error) = written {
            return error;
        }
    }
}

async fn write_batch(
    writer: &mut DatagramWriter,
    first: Datagram,
    more: &mut mpsc::Receiver<Datagram>,
    to_user: &mut u64,
) -> Result<(), WriteError> {
    let mut next = Some(first);
    while let Some(reply) = next {
        let len = reply.content.len();
        tracing::trace!("send udp package to workConn, len: {len}");
        match writer.feed(&reply.content, &reply.user).await? {
            Sent::Sent => *to_user += len as u64,
            Sent::TooLong => {
                let count = writer.too_long();
                tracing::warn!(
                    "dropped a datagram of {len} bytes, too long for one message ({count} so far)"
                );
            }
        }
        next = more.try_recv().ok();
    }
    writer.flush().await
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("local", &self.options.local).finish_non_exhaustive()
    }
}
