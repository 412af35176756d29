//! Reading and writing datagrams as messages.

use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Poll, ready},
    time::Duration,
};

use frp_proto::{
    limits::MAX_V2_PAYLOAD,
    msg::{MessageKind, Ping, UdpAddr},
    udp::{Decoder, User, UserText, encode_for},
    v2,
    wire::{Body, DecodeError, Framing},
};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::{WRITE_TIMEOUT, queue::Frames};
use crate::{
    Stream,
    buffer::{BULK, Pending},
    message::{ReadError, WriteError},
};

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
    /// It does not fit a message ([`Framing::longest_datagram`] and somewhat less) and was dropped. The channel is as good as before.
    TooLong,
}

/// Room for the longest message of wire version 2, and for many of usual length. Version 1 may bring a longer one.
const ROOM: usize = v2::HEADER_LEN + MAX_V2_PAYLOAD;

/// Reads datagrams from a work connection.
pub struct DatagramReader {
    framing: Framing,
    half: ReadHalf<Stream>,
    /// What has come of the next messages. Held only while there is any.
    pending: Pending,
    decoder: Decoder,
    /// Whose the last datagram was.
    user: UdpAddr,
}

/// Writes datagrams to a work connection.
pub struct DatagramWriter {
    framing: Framing,
    half: WriteHalf<Stream>,
    /// Frames that are not written yet, and how far the first of them is.
    frames: Vec<u8>,
    written: usize,
}

/// Datagrams that came together, in order, one after the other in one run of bytes.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lengths: Vec<usize>,
    pub(super) runs: Vec<Run>,
}

/// Datagrams of one user that came one after the other.
pub(super) struct Run {
    pub(super) user: UdpAddr,
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// One message.
enum Read {
    /// Its bytes are appended to the contents, its user is the reader's.
    Datagram {
        same_user: bool,
    },
    Ping,
    Other(MessageKind),
}

/// Splits a work connection, with its layers applied, into its two directions; in wire version 1.
#[must_use]
pub fn datagram_channel(stream: Stream) -> (DatagramReader, DatagramWriter) {
    datagram_channel_in(stream, Framing::V1)
}

/// Splits a work connection, with its layers applied, into its two directions. The framing is that of the session.
#[must_use]
pub fn datagram_channel_in(stream: Stream, framing: Framing) -> (DatagramReader, DatagramWriter) {
    let (read, write) = tokio::io::split(stream);
    (
        DatagramReader {
            framing,
            half: read,
            pending: Pending::default(),
            decoder: Decoder::new(),
            user: UdpAddr::default(),
        },
        DatagramWriter { framing, half: write, frames: Vec::new(), written: 0 },
    )
}

impl DatagramReader {
    /// The next message. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError`]; the work connection is then of no more use and must be closed, so that the server
    /// takes another.
    pub async fn next(&mut self) -> Result<Received, ReadError> {
        let mut content = Vec::new();
        loop {
            match self.read(&mut content)? {
                None => self.fill().await?,
                Some(Read::Datagram { .. }) => {
                    return Ok(Received::Datagram(Datagram { content, user: self.user.clone() }));
                }
                Some(Read::Ping) => return Ok(Received::Ping),
                Some(Read::Other(kind)) => return Ok(Received::Other(kind)),
            }
        }
    }

    /// The next message, if one comes within `limit`: [`READ_TIMEOUT`](super::READ_TIMEOUT) on the
    /// server's side.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] when none does, and those of [`DatagramReader::next`].
    pub async fn next_within(&mut self, limit: Duration) -> Result<Received, ReadError> {
        tokio::time::timeout(limit, self.next()).await.unwrap_or(Err(ReadError::Timeout))
    }

    /// All datagrams that have come, at least one message; it may have been a ping. Safe to cancel.
    ///
    /// # Errors
    /// As [`DatagramReader::next`]. Datagrams in front of a bad message come first.
    pub(super) async fn batch(&mut self) -> Result<Batch, ReadError> {
        let mut batch = Batch::default();
        let mut messages = 0;
        loop {
            let before = batch.bytes.len();
            if messages == 0 {
                batch.bytes.reserve(self.pending.bytes().len() / 4 * 3);
            }
            match self.read(&mut batch.bytes) {
                Ok(None) if messages == 0 => self.fill().await?,
                Ok(None) => return Ok(batch),
                Ok(Some(read)) => {
                    messages += 1;
                    match read {
                        Read::Datagram { same_user } => {
                            let length = batch.bytes.len() - before;
                            batch.add(length, same_user, &self.user);
                        }
                        Read::Ping => tracing::trace!("udp work conn get ping message"),
                        Read::Other(kind) => tracing::trace!("ignored a message of type {}", kind.name()),
                    }
                }
                // It stays where it is, and is the next thing to be read.
                Err(_) if messages > 0 => return Ok(batch),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next message, if all of it has come, and appends its datagram to `content`.
    fn read(&mut self, content: &mut Vec<u8>) -> Result<Option<Read>, ReadError> {
        let before = content.len();
        let Some((body, taken)) = self.framing.split_payload(self.pending.bytes())? else { return Ok(None) };
        let user = match body {
            Body::Json(kind @ MessageKind::UdpPacket, body) => {
                let decoded = self.decoder.decode(body, content);
                Ok(decoded.map_err(|source| self.framing.body_error(kind, source))?)
            }
            Body::BinaryDatagram(body) => {
                let decoded = self.decoder.decode_binary(body, content);
                Ok(decoded.map_err(|error| DecodeError::from(v2::DecodeError::from(error)))?)
            }
            Body::Json(kind, _) => {
                self.framing.message(body)?;
                Err(kind)
            }
        };
        let read = match user {
            Ok(User::Same) => Read::Datagram { same_user: true },
            Ok(User::Of(user)) => {
                self.user = user;
                Read::Datagram { same_user: false }
            }
            Ok(User::Nobody) => {
                content.truncate(before);
                Read::Other(MessageKind::UdpPacket)
            }
            Err(MessageKind::Ping) => Read::Ping,
            Err(kind) => Read::Other(kind),
        };
        self.pending.advance(taken);
        Ok(Some(read))
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        let begun = self.pending.bytes();
        let room = ROOM.max(begun.len() + self.framing.missing_of_payload(begun)?);
        poll_fn(|cx| match ready!(self.pending.poll_fill(cx, &mut self.half, room))? {
            0 if self.pending.is_empty() => Poll::Ready(Err(ReadError::Closed)),
            0 => Poll::Ready(Err(ReadError::Cut)),
            _ => Poll::Ready(Ok(())),
        })
        .await
    }
}

impl Batch {
    fn add(&mut self, length: usize, same_user: bool, user: &UdpAddr) {
        self.lengths.push(length);
        match self.runs.last_mut() {
            Some(run) if same_user => {
                run.count += 1;
                run.bytes += length;
            }
            _ => self.runs.push(Run { user: user.clone(), count: 1, bytes: length }),
        }
    }

    /// Each run with the bytes and the lengths of its datagrams.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&UdpAddr, &[u8], &[usize])> {
        let (mut bytes, mut lengths) = (&self.bytes[..], &self.lengths[..]);
        self.runs.iter().map(move |run| {
            let (of_run, after) = bytes.split_at_checked(run.bytes).unwrap_or_default();
            let (lengths_of_run, lengths_after) = lengths.split_at_checked(run.count).unwrap_or_default();
            (bytes, lengths) = (after, lengths_after);
            (&run.user, of_run, lengths_of_run)
        })
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

    /// Queues a datagram, to be written with others by [`DatagramWriter::flush`] or when there are many. One that does
    /// not fit a message is dropped, and the caller should say so in the log: anybody can send one, so it must not end
    /// the proxy.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn feed(&mut self, content: &[u8], user: &UdpAddr) -> Result<Sent, WriteError> {
        if self.frames.len() > BULK {
            self.flush().await?;
        }
        Ok(match encode_for(content, &UserText::framed(user, self.framing), &mut self.frames) {
            Ok(()) => Sent::Sent,
            Err(_) => Sent::TooLong,
        })
    }

    /// Writes what is queued. Safe to cancel, in so far as the next call goes on where this one stopped.
    ///
    /// # Errors
    /// If the stream fails, or takes nothing for [`WRITE_TIMEOUT`].
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        while let Some(rest) = self.frames.get(self.written..).filter(|rest| !rest.is_empty()) {
            match in_time(self.half.write(rest)).await? {
                0 => return Err(WriteError::Io(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.frames.clear();
        self.written = 0;
        in_time(self.half.flush()).await
    }

    /// Writes frames as they stand. After an error or a cancelled call the stream may end inside a frame.
    pub(super) async fn write(&mut self, frames: &Frames) -> Result<(), WriteError> {
        self.flush_fed().await?;
        let mut rest = &frames.bytes[..];
        while !rest.is_empty() {
            match in_time(self.half.write(rest)).await? {
                0 => return Err(WriteError::Io(io::ErrorKind::WriteZero.into())),
                count => rest = rest.get(count..).unwrap_or_default(),
            }
        }
        in_time(self.half.flush()).await
    }

    async fn flush_fed(&mut self) -> Result<(), WriteError> {
        if self.frames.is_empty() { Ok(()) } else { self.flush().await }
    }

    /// Shows the other side that this one is there. Only a client may, and a bridge of sudp that passes a client's on.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn ping(&mut self) -> Result<(), WriteError> {
        self.framing.encode_into(&Ping::default().into(), &mut self.frames)?;
        self.flush().await
    }
}

/// A step of writing, which must get on.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, WriteError> {
    match tokio::time::timeout(WRITE_TIMEOUT, step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(WriteError::Io(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))),
    }
}

impl fmt::Debug for DatagramReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramReader")
    }
}

impl fmt::Debug for DatagramWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramWriter")
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram").field("len", &self.content.len()).field("user", &self.user).finish()
    }
}
