//! The port that users send to.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use frp_proto::{msg::UdpAddr, udp::UserText, wire::Framing};
use tokio::net::UdpSocket;

use super::{
    DatagramReader, DatagramWriter, READ_TIMEOUT, datagram_channel_in,
    queue::{FrameQueue, Frames, Queued},
    socket::BatchSocket,
};
use crate::{
    Stream,
    message::{ReadError, WriteError},
};

/// How long to wait after a failed read, so that an error that stays costs no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// Batches that are received before other tasks get their turn.
const BATCHES_PER_TURN: usize = 4;

/// Counts what passes a [`UserPort`]. Every method may be called for many datagrams at once.
pub trait Meter: Send + Sync {
    /// Bytes of datagrams were written to the work connection.
    fn inbound(&self, bytes: u64);
    /// Bytes of datagrams came for users.
    fn outbound(&self, bytes: u64);
    /// A user's datagram fits no message and was dropped. To be logged and not to be acted upon: anybody can send one.
    fn too_long(&self, length: usize);
}

/// A UDP port whose users' datagrams travel as messages over one work connection at a time: the public port of a udp
/// proxy, or that of a sudp visitor.
///
/// [`UserPort::receive`] must be polled beside [`UserPort::exchange`]; what it receives between two work connections
/// waits for the next one.
pub struct UserPort<M> {
    socket: BatchSocket,
    framing: Framing,
    /// Users of a dual-stack socket are reached by their mapped addresses only.
    mapped: bool,
    packet_size: usize,
    queue: FrameQueue,
    meter: M,
    /// Who sent last, as it stands in messages.
    last: Mutex<Option<(SocketAddr, UserText)>>,
}

/// Why a work connection is of no more use. It is closed in any case.
#[derive(Debug)]
pub enum ExchangeEnd {
    /// Reading from it failed, or nothing came for [`READ_TIMEOUT`].
    Read(ReadError),
    /// Writing to it failed, or it took nothing for [`WRITE_TIMEOUT`](super::WRITE_TIMEOUT).
    Write(WriteError),
}

impl<M: Meter> UserPort<M> {
    /// A port on a bound socket. Longer datagrams of users are cut to `packet_size` bytes (`udpPacketSize`).
    #[must_use]
    pub fn new(socket: UdpSocket, packet_size: usize, meter: M) -> Self {
        let mapped = socket.local_addr().is_ok_and(|address| address.is_ipv6());
        Self {
            socket: BatchSocket::new(socket, false),
            framing: Framing::V1,
            mapped,
            packet_size,
            queue: FrameQueue::default(),
            meter,
            last: Mutex::new(None),
        }
    }

    /// The same for a session whose messages look like this, instead of version 1.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What counts.
    pub fn meter(&self) -> &M {
        &self.meter
    }

    /// Queues what users send, for as long as it is polled. While the queue is full datagrams stay in the socket's
    /// buffer, and what does not fit there is dropped.
    pub async fn receive(&self) -> Infallible {
        loop {
            self.queue.room().await;
            for _ in 0..BATCHES_PER_TURN {
                match self.socket.receive(|datagram, from| self.enqueue(datagram, from)) {
                    Ok(()) if self.queue.has_room() => {}
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // It fails only with the runtime.
                        let _ = self.socket.readable().await;
                        break;
                    }
                    // An error of one user's (such as a port that is closed again) is no error of the socket's.
                    Err(error) => {
                        tracing::trace!("read from udp socket: {error}");
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn enqueue(&self, datagram: &[u8], from: SocketAddr) {
        let datagram = datagram.get(..self.packet_size).unwrap_or(datagram);
        if datagram.len() > self.framing.longest_datagram() {
            return self.meter.too_long(datagram.len());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match &mut *last {
            Some((user, text)) if *user == from => text,
            last => &mut last.insert((from, UserText::framed(&UdpAddr::from(from), self.framing))).1,
        };
        match self.queue.push(datagram, text) {
            Queued::Queued => tracing::trace!("send message to udp workConn, len: {}", datagram.len()),
            Queued::TooLong => self.meter.too_long(datagram.len()),
        }
    }

    /// Waits until a datagram of a user waits for a work connection. Not while one is exchanged with.
    pub async fn waiting(&self) {
        self.queue.waiting().await;
    }

    /// Drops the datagrams that wait for a work connection.
    pub fn discard(&self) {
        self.queue.clear();
    }

    /// Exchanges datagrams with a work connection, its layers applied, until that fails. One at a time.
    ///
    /// May be dropped at any time: that closes the work connection.
    pub async fn exchange(&self, stream: Stream) -> ExchangeEnd {
        let (reader, writer) = datagram_channel_in(stream, self.framing);
        tokio::select! {
            error = self.to_users(reader) => ExchangeEnd::Read(error),
            error = self.to_client(writer) => ExchangeEnd::Write(error),
        }
    }

    async fn to_users(&self, mut reader: DatagramReader) -> ReadError {
        loop {
            let batch = match tokio::time::timeout(READ_TIMEOUT, reader.batch()).await {
                Ok(Ok(batch)) => batch,
                Ok(Err(error)) => return error,
                Err(_) => return ReadError::Timeout,
            };
            self.meter.outbound(batch.bytes.len() as u64);
            for (user, bytes, lengths) in batch.runs() {
                for length in lengths {
                    tracing::trace!("get udp message from workConn, len: {length}");
                }
                let Some(user) = user.to_socket_addr() else { continue };
                self.deliver(self.for_socket(user), bytes, lengths).await;
            }
        }
    }

    /// What cannot be sent is left out.
    async fn deliver(&self, user: SocketAddr, mut bytes: &[u8], mut lengths: &[usize]) {
        while let Err(failed) = self.socket.send(bytes, lengths, Some(user)).await {
            tracing::trace!("write to udp socket: {}", failed.error);
            let sent = failed.sent.datagrams;
            let left_out = lengths.get(sent).copied().unwrap_or_default();
            bytes = bytes.get(failed.sent.bytes + left_out..).unwrap_or_default();
            lengths = lengths.get(sent + 1..).unwrap_or_default();
        }
    }

    fn for_socket(&self, user: SocketAddr) -> SocketAddr {
        match user {
            SocketAddr::V4(v4) if self.mapped => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            _ => user,
        }
    }

    async fn to_client(&self, mut writer: DatagramWriter) -> WriteError {
        let mut frames = Frames::default();
        loop {
            self.queue.take(&mut frames).await;
            if let Err(error) = writer.write(&frames).await {
                return error;
            }
            self.meter.inbound(frames.size.payload);
        }
    }
}

impl<M> std::fmt::Debug for UserPort<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserPort").field("socket", &self.socket).finish_non_exhaustive()
    }
}
