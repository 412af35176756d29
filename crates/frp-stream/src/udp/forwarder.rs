//! The client's side of a udp or sudp proxy: from a work connection to the local service and back.
//!
//! Upstream `pkg/proto/udp/udp.go` and `client/proxy/udp.go`: every user gets a socket of its own,
//! connected to the local service, for as long as datagrams pass; replies go back with the user's
//! address.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use frp_proto::{msg::UdpAddr, wire::Framing};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at},
};

use tracing::Instrument;

use super::{
    DEFAULT_MAX_SESSIONS, DEFAULT_PACKET_SIZE, DatagramReader, DatagramWriter, PING_INTERVAL, SESSION_IDLE,
    datagram_channel_in,
    queue::{FrameQueue, Frames},
    session::{self, Activity, Outlet, Replies},
    socket::{BatchSocket, Progress},
    table::{Session, Table},
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
    /// Users at one time (`udpMaxSessions`, default 4096), as each costs a socket. One more ends the session that
    /// was least recently used.
    pub max_sessions: usize,
    /// How messages look in this session; version 1 by default.
    pub framing: Framing,
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
            max_sessions: DEFAULT_MAX_SESSIONS,
            framing: Framing::V1,
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
    sessions: Table,
    outlet: Arc<Outlet>,
    /// The sessions' tasks.
    tasks: JoinSet<(UdpAddr, Arc<Activity>)>,
    to_service: u64,
}

impl Forwarder {
    /// A forwarder without sessions.
    #[must_use]
    pub fn new(mut options: ForwarderOptions) -> Self {
        options.packet_size = options.packet_size.min(MAX_DATAGRAM);
        let sessions = Table::new(options.max_sessions);
        Self { options, sessions, outlet: Arc::default(), tasks: JoinSet::new(), to_service: 0 }
    }

    /// Forwards until the work connection (with its layers applied) fails or ends.
    ///
    /// May be dropped at any time: that closes the work connection and all sessions.
    pub async fn run(mut self, stream: Stream) -> ForwarderReport {
        let (reader, writer) = datagram_channel_in(stream, self.options.framing);
        let outlet = Arc::clone(&self.outlet);
        let mut to_user = 0;
        let ping_interval = self.options.ping_interval;
        let end = tokio::select! {
            error = self.read_datagrams(reader) => ForwarderEnd::Read(error),
            error = write_replies(writer, &outlet.queue, ping_interval, &mut to_user) => ForwarderEnd::Write(error),
        };
        let too_long = outlet.too_long.load(Ordering::Relaxed);
        ForwarderReport { to_service: self.to_service, to_user, too_long, end }
    }

    async fn read_datagrams(&mut self, mut reader: DatagramReader) -> ReadError {
        loop {
            tokio::select! {
                batch = reader.batch() => match batch {
                    Ok(batch) => {
                        for (user, bytes, lengths) in batch.runs() {
                            self.forward(user, bytes, lengths).await;
                        }
                    }
                    Err(error) => return error,
                },
                Some(ended) = self.tasks.join_next() => self.reap(ended),
            }
            // One batch may have ended many sessions.
            while let Some(ended) = self.tasks.try_join_next() {
                self.reap(ended);
            }
            tokio::task::yield_now().await;
        }
    }

    fn reap(&mut self, ended: Result<(UdpAddr, Arc<Activity>), JoinError>) {
        if let Ok((user, activity)) = ended {
            self.sessions.forget(&user, &activity);
        }
    }

    /// Sends datagrams of one user to the local service.
    async fn forward(&mut self, user: &UdpAddr, bytes: &[u8], lengths: &[usize]) {
        let local = self.options.local;
        for length in lengths {
            tracing::trace!("get udp package from workConn, len: {length}");
        }
        let (socket, bytes, lengths) = match self.sessions.touch(user) {
            Some(socket) => (socket, bytes, lengths),
            None => {
                let socket = match self.open(user) {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::debug!(%error, %local, "no socket for a udp session");
                        return;
                    }
                };
                match self.options.header.as_ref().and_then(|header| header(user, local)) {
                    None => (socket, bytes, lengths),
                    Some(header) => {
                        let first = lengths.first().copied().unwrap_or_default();
                        let (first, rest) = bytes.split_at_checked(first).unwrap_or_default();
                        let payload = [&header, first].concat();
                        if self.send(&socket, &payload, &[payload.len()]).await {
                            self.to_service -= header.len() as u64;
                        }
                        (socket, rest, lengths.get(1..).unwrap_or_default())
                    }
                }
            }
        };
        self.send(&socket, bytes, lengths).await;
    }

    /// Sends as much as can be sent. False if something was left out.
    async fn send(&mut self, socket: &BatchSocket, mut bytes: &[u8], mut lengths: &[usize]) -> bool {
        let mut all = true;
        let mut retried = false;
        while !lengths.is_empty() {
            let failed = match socket.send(bytes, lengths, None).await {
                Ok(()) => {
                    self.to_service += bytes.len() as u64;
                    break;
                }
                Err(failed) => failed,
            };
            let Progress { mut datagrams, bytes: mut sent } = failed.sent;
            self.to_service += sent as u64;
            // It may be about an earlier datagram that was refused meanwhile. That is told once.
            if datagrams == 0 && retried {
                tracing::debug!(error = %failed.error, local = %self.options.local, "udp datagram not sent");
                all = false;
                sent = lengths.first().copied().unwrap_or_default();
                datagrams = 1;
                retried = false;
            } else {
                retried = true;
            }
            bytes = bytes.get(sent..).unwrap_or_default();
            lengths = lengths.get(datagrams..).unwrap_or_default();
        }
        all
    }

    fn open(&mut self, user: &UdpAddr) -> io::Result<Arc<BatchSocket>> {
        // There may be one that is over.
        self.sessions.remove(user);
        self.sessions.make_room();
        let mut connected = session::connect(self.options.local);
        // Out of files, most likely: make do with those that there are.
        if connected.is_err() && self.sessions.drop_oldest() {
            connected = session::connect(self.options.local);
        }
        let socket = Arc::new(connected?);
        let activity = Arc::new(Activity::new(self.options.idle));
        let replies = Replies {
            socket: Arc::clone(&socket),
            activity: Arc::clone(&activity),
            user: user.clone(),
            outlet: Arc::clone(&self.outlet),
            framing: self.options.framing,
            packet_size: self.options.packet_size,
        };
        let over = Arc::clone(&activity);
        let task = self.tasks.spawn(async move { (replies.run().await, over) }.in_current_span());
        self.sessions.insert(user.clone(), Session { socket: Arc::clone(&socket), activity, task });
        Ok(socket)
    }
}

/// Writes replies and pings to the work connection, as many replies at once as wait.
async fn write_replies(
    mut writer: DatagramWriter,
    queue: &FrameQueue,
    ping_interval: Duration,
    to_user: &mut u64,
) -> WriteError {
    let mut pings = interval_at(Instant::now() + ping_interval, ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut frames = Frames::default();
    loop {
        let written = tokio::select! {
            () = queue.take(&mut frames) => {
                let written = writer.write(&frames).await;
                if written.is_ok() {
                    *to_user += frames.size.payload;
                }
                written
            }
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

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("local", &self.options.local).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use frp_proto::udp::UserText;

    use super::{super::datagram_channel, *};

    #[tokio::test]
    async fn replies_that_could_not_be_written_are_not_counted() {
        let queue = FrameQueue::default();
        let (near, far) = tokio::io::duplex(64);
        let (_reader, writer) = datagram_channel(Stream::boxed(near));
        drop(far);
        queue.push(b"lost", &UserText::new(&UdpAddr::from(SocketAddr::from(([127, 0, 0, 1], 1)))));
        let mut to_user = 0;
        write_replies(writer, &queue, PING_INTERVAL, &mut to_user).await;
        assert_eq!(to_user, 0);
    }
}
