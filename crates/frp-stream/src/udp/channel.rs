//! Reading and writing datagrams as messages.

use std::time::Duration;

use frp_proto::{
    limits::MAX_MESSAGE,
    msg::{Message, MessageKind, Ping, UdpAddr},
    udp::encode_v1_to,
    v1::EncodeError,
};

use crate::{
    Stream,
    message::{Frame, MessageReader, MessageWriter, ReadError, WriteError},
};

/// A reader of datagrams takes several at once; freed with its connection, of which a proxy has one.
const READ_CAPACITY: usize = 32 * 1024;

/// About what a frame is longer than its datagram's base64: header, field names, an IPv6 address.
const FRAME_OVERHEAD: usize = 128;

/// One datagram of a user or for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes; may be empty.
    pub content: Vec<u8>,
    /// The user that sent it or shall get it. An answer repeats it as it came.
    pub user: UdpAddr,
}

/// What came on a datagram channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A datagram.
    Datagram(Datagram),
    /// The client's side shows that it is there.
    Ping,
    /// A message that means nothing here, or a datagram without a user. To be ignored, as upstream does.
    Other(MessageKind),
}

/// What became of a datagram that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was written, or queued.
    Sent,
    /// It does not fit a message (above some 7,600 bytes) and was dropped. The channel is as good as before.
    TooLong,
}

/// Reads datagrams from a work connection.
#[derive(Debug)]
pub struct DatagramReader(MessageReader);

/// Writes datagrams to a work connection.
#[derive(Debug)]
pub struct DatagramWriter {
    messages: MessageWriter,
    too_long: u64,
}

/// Splits a work connection, with its layers applied, into its two directions.
#[must_use]
pub fn datagram_channel(stream: Stream) -> (DatagramReader, DatagramWriter) {
    let (read, write) = tokio::io::split(stream);
    (
        DatagramReader(MessageReader::with_capacity(read, READ_CAPACITY)),
        DatagramWriter { messages: MessageWriter::new(write), too_long: 0 },
    )
}

impl DatagramReader {
    /// The next message. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError`]; the work connection is then of no more use and must be closed, so that the server
    /// takes another.
    pub async fn next(&mut self) -> Result<Received, ReadError> {
        Ok(match self.0.next().await? {
            Message::UdpPacket(packet) => match packet.remote_addr {
                Some(user) => Received::Datagram(Datagram { content: packet.content, user }),
                None => Received::Other(MessageKind::UdpPacket),
            },
            Message::Ping(_) => Received::Ping,
            other => Received::Other(other.kind()),
        })
    }

    /// The next message, if one comes within `limit`: [`READ_TIMEOUT`](super::READ_TIMEOUT) on the
    /// server's side.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] when none does, and those of [`DatagramReader::next`].
    pub async fn next_within(&mut self, limit: Duration) -> Result<Received, ReadError> {
        tokio::time::timeout(limit, self.next()).await.unwrap_or(Err(ReadError::Timeout))
    }
}

impl DatagramWriter {
    /// Writes a datagram and flushes. Use [`DatagramWriter::feed`] while more are waiting.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn send(&mut self, content: &[u8], user: &UdpAddr) -> Result<Sent, WriteError> {
        let sent = self.feed(content, user).await?;
        self.flush().await?;
        Ok(sent)
    }

    /// Queues a datagram, to be written with others. A datagram that does not fit a message is dropped
    /// and counted, and the caller should say so in the log: anybody can send one, so it must not end the
    /// proxy.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn feed(&mut self, content: &[u8], user: &UdpAddr) -> Result<Sent, WriteError> {
        // Base64 makes four bytes of three: no need to try what cannot fit.
        if content.len() / 3 * 4 <= MAX_MESSAGE {
            let mut frame = Vec::with_capacity(content.len() / 3 * 4 + FRAME_OVERHEAD);
            match encode_v1_to(content, user, &mut frame) {
                Ok(()) => {
                    self.messages.feed_frame(Frame(frame)).await?;
                    return Ok(Sent::Sent);
                }
                Err(EncodeError::TooLong { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.too_long += 1;
        Ok(Sent::TooLong)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        self.messages.flush().await
    }

    /// Shows the server that this side is there. Only the client's side may.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn ping(&mut self) -> Result<(), WriteError> {
        self.messages.send(&Ping::default().into()).await
    }

    /// Datagrams that did not fit a message and were dropped.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.too_long
    }
}

impl std::fmt::Debug for Datagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datagram").field("len", &self.content.len()).field("user", &self.user).finish()
    }
}
