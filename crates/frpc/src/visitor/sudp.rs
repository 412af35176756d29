//! `sudp` visitors: the datagrams of all users travel as messages on one stream (upstream `client/visitor/sudp.go`).
//!
//! The stream is opened for the first datagram, and again for the next one after it was lost. What waits for it is
//! dropped when the queue is full, as is what does not fit a message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frp_proto::msg::UdpAddr;
use frp_proto::wire::Framing;
use frp_stream::message::WriteError;
use frp_stream::udp::{
    Datagram, DatagramReader, DatagramWriter, QUEUE, READ_TIMEOUT, Received, Sent, datagram_channel_in,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, trace, warn};

use super::Session;
use super::dial::dial;
use super::spec::Target;

/// How long one batch may take to leave; a server that reads nothing for so long is of no use.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after an attempt that failed and after a stream that ended, so that a flood of datagrams is no flood of
/// attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long to wait after a failed read, so that an error that stays costs no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// Datagrams that are written together.
const BATCH: usize = 64;
/// The longest datagram there is.
const LARGEST_DATAGRAM: usize = 65_535;

/// A running visitor.
pub(super) struct SudpVisitor {
    session: Arc<Session>,
    target: Target,
    /// Longer datagrams of users are cut to it.
    packet_size: usize,
}

impl SudpVisitor {
    pub(super) fn new(session: Arc<Session>, target: Target, packet_size: usize) -> Self {
        Self { session, target, packet_size: packet_size.min(LARGEST_DATAGRAM) }
    }

    /// Serves the users of the port until the session ends.
    pub(super) async fn run(self, socket: UdpSocket) {
        let (queue, mut queued) = mpsc::channel(QUEUE);
        tokio::select! {
            () = receive(&socket, queue, self.packet_size, self.session.payload) => {}
            () = self.exchange(&socket, &mut queued) => {}
            () = self.session.stop.cancelled() => {}
        }
        info!("frpc sudp visitor proxy is closed");
    }

    /// Uses one stream after the other.
    async fn exchange(&self, socket: &UdpSocket, queued: &mut Receiver<Datagram>) {
        while let Some(first) = queued.recv().await {
            match dial(&self.session, &self.target).await {
                Ok(stream) => {
                    let channel = datagram_channel_in(stream, self.session.payload);
                    use_stream(socket, channel, first, queued).await;
                }
                Err(error) => warn!("newVisitorConn to frps error: {error}, try to reconnect"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}

/// Queues what users send.
async fn receive(socket: &UdpSocket, queue: Sender<Datagram>, largest: usize, framing: Framing) {
    let mut buffer = vec![0; largest];
    loop {
        match socket.recv_from(&mut buffer).await {
            // Not queued, so that the queue holds little memory.
            Ok((length, _)) if length > framing.longest_datagram() => too_long(length),
            Ok((length, user)) => {
                let content = buffer.get(..length).unwrap_or_default().to_vec();
                let _ = queue.try_send(Datagram { content, user: UdpAddr::from(user) });
            }
            // An error of one user's (such as a port that is closed again) is no error of the socket's.
            Err(error) => {
                trace!("read from udp socket: {error}");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Carries datagrams both ways until the stream fails or is silent for too long.
async fn use_stream(
    socket: &UdpSocket,
    (reader, writer): (DatagramReader, DatagramWriter),
    first: Datagram,
    queued: &mut Receiver<Datagram>,
) {
    debug!("starting sudp proxy worker");
    tokio::select! {
        () = to_users(socket, reader) => {}
        () = to_proxy(first, queued, writer) => {}
    }
    info!("sudp worker is closed");
}

/// The pings of the proxy's client keep the stream alive.
async fn to_users(socket: &UdpSocket, mut reader: DatagramReader) {
    loop {
        match reader.next_within(READ_TIMEOUT).await {
            Ok(Received::Datagram(datagram)) => {
                trace!("frpc visitor get udp packet from workConn, len: {}", datagram.content.len());
                deliver(socket, &datagram).await;
            }
            Ok(Received::Ping) => debug!("frpc visitor get ping message from frpc"),
            Ok(Received::Other(kind)) => trace!("ignored a message of type {}", kind.name()),
            Err(error) => return warn!("read from workconn for user udp conn error: {error}"),
        }
    }
}

async fn deliver(socket: &UdpSocket, datagram: &Datagram) {
    let Some(user) = datagram.user.to_socket_addr() else { return };
    if let Err(error) = socket.send_to(&datagram.content, for_socket(socket, user)).await {
        trace!("write to udp socket: {error}");
    }
}

/// A dual-stack socket reaches IPv4 users by their mapped addresses only.
fn for_socket(socket: &UdpSocket, user: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), user) {
        (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        _ => user,
    }
}

/// Sends `first` and what is queued.
async fn to_proxy(first: Datagram, queued: &mut Receiver<Datagram>, mut writer: DatagramWriter) {
    let mut batch = Vec::with_capacity(BATCH);
    batch.push(first);
    loop {
        match timeout(WRITE_TIMEOUT, send(&mut writer, &mut batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return warn!("sender goroutine for udp work connection closed: {error}"),
            Err(_) => return warn!("sender goroutine for udp work connection closed: i/o timeout"),
        }
        if queued.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
    }
}

async fn send(writer: &mut DatagramWriter, batch: &mut Vec<Datagram>) -> Result<(), WriteError> {
    for Datagram { content, user } in batch.drain(..) {
        match writer.feed(&content, &user).await? {
            Sent::Sent => trace!("send udp package to workConn, len: {}", content.len()),
            Sent::TooLong => too_long(content.len()),
        }
    }
    writer.flush().await
}

fn too_long(length: usize) {
    warn!("dropped a datagram of {length} bytes, too long for one message");
}
