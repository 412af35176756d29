//! Whole messages over any stream, in either wire version.
//!
//! Before a stream turns into something else (the control channel into an encrypted one, a work
//! connection into payload) its messages are read one by one with [`read_message_in`], which never takes
//! a byte beyond the message. A stream that carries nothing but messages from now on is split into a
//! [`MessageReader`] and a [`MessageWriter`], which buffer.
//!
//! The framing is an argument everywhere; the functions without one speak version 1.

use std::{fmt, future::poll_fn, io, pin::Pin, task::ready, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use frp_proto::{
    crypto::Key,
    exchange::Channel,
    limits::MAX_V2_PAYLOAD,
    msg::Message,
    v2,
    wire::{DecodeError, EncodeError, Framing, MessageCollector, WireVersion},
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite};

use crate::{
    Stream,
    buffer::Buffer,
    layer::{cipher::Cipher, records::Records},
};

/// What a reader allocates to begin with: enough for the usual messages of a control channel, of
/// which a server holds many. It grows to the longest message that comes.
const INITIAL_CAPACITY: usize = 512;

/// What is read at once where more than a message may be taken.
const AHEAD: usize = 2 * 1024;

/// Bytes of messages that a writer gathers before it writes them by itself.
const WRITE_BACKLOG: usize = 16 * 1024;

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream ended between two messages.
    #[error("EOF")]
    Closed,
    /// The stream ended inside a message.
    #[error("unexpected EOF")]
    Cut,
    /// Nothing whole came in time.
    #[error("i/o timeout")]
    Timeout,
    /// The peer sent what is no message; the stream is of no more use.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a message could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The message is longer than a peer accepts. Nothing was written; the stream is as good as before.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads one message of version 1 and not a byte more. See [`read_message_in`].
///
/// # Errors
/// [`ReadError`].
pub async fn read_message<S: AsyncRead + Unpin + ?Sized>(stream: &mut S) -> Result<Message, ReadError> {
    read_message_in(stream, Framing::V1).await
}

/// Reads one message and not a byte more.
///
/// Not safe to cancel: what was read of a message is lost. Put a deadline around it and give up the
/// stream when that passes.
///
/// # Errors
/// [`ReadError`]. The header is judged as soon as it comes, before the body is awaited.
pub async fn read_message_in<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    framing: Framing,
) -> Result<Message, ReadError> {
    let mut frame = MessageCollector::new(framing);
    let mut started = false;
    poll_fn(|cx| {
        loop {
            // The buffer is held for one poll only, not while waiting.
            let mut buffer = Buffer::take();
            let wanted = frame.wanted()?;
            let mut part = ReadBuf::new(buffer.get_mut(..wanted).unwrap_or_default());
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut part))?;
            if part.filled().is_empty() {
                return Err(if started { ReadError::Cut } else { ReadError::Closed }).into();
            }
            started = true;
            if let (_, Some(message)) = frame.push(part.filled())? {
                return Ok(message).into();
            }
        }
    })
    .await
}

/// Reads one message, and perhaps what came with it, which is put back: what follows the message comes sooner that way.
///
/// Not safe to cancel, as [`read_message_in`].
///
/// # Errors
/// As [`read_message_in`].
pub async fn read_message_ahead(stream: &mut Stream, framing: Framing) -> Result<Message, ReadError> {
    let mut frame = MessageCollector::new(framing);
    let mut started = false;
    poll_fn(|cx| {
        loop {
            let mut buffer = Buffer::take();
            let wanted = frame.wanted()?.max(AHEAD);
            let mut part = ReadBuf::new(buffer.get_mut(..wanted).unwrap_or_default());
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut part))?;
            if part.filled().is_empty() {
                return Err(if started { ReadError::Cut } else { ReadError::Closed }).into();
            }
            started = true;
            let mut read = part.filled();
            while !read.is_empty() {
                let (taken, message) = frame.push(read)?;
                read = read.get(taken..).unwrap_or_default();
                if let Some(message) = message {
                    stream.put_back(Bytes::copy_from_slice(read));
                    return Ok(message).into();
                }
            }
        }
    })
    .await
}

/// Writes one message of version 1. See [`write_message_in`].
///
/// # Errors
/// [`WriteError`].
pub async fn write_message<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    message: &Message,
) -> Result<(), WriteError> {
    write_message_in(stream, Framing::V1, message).await
}

/// Writes one message, in one piece, and flushes.
///
/// # Errors
/// [`WriteError`]; nothing is written of a message that is too long.
pub async fn write_message_in<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    framing: Framing,
    message: &Message,
) -> Result<(), WriteError> {
    write_behind(stream, Vec::new(), framing, message, &[]).await
}

/// Writes one message and what follows it in one piece, and flushes.
///
/// # Errors
/// As [`write_message_in`].
pub async fn write_message_and<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    framing: Framing,
    message: &Message,
    following: &[u8],
) -> Result<(), WriteError> {
    write_behind(stream, Vec::new(), framing, message, following).await
}

/// Writes the first message of a client's stream, together with what tells its version.
///
/// # Errors
/// As [`write_message_in`].
pub async fn write_first_message<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    wire: WireVersion,
    message: &Message,
) -> Result<(), WriteError> {
    write_behind(stream, wire.magic().to_vec(), wire.into(), message, &[]).await
}

async fn write_behind<S: AsyncWrite + Unpin + ?Sized>(
    stream: &mut S,
    mut bytes: Vec<u8>,
    framing: Framing,
    message: &Message,
    following: &[u8],
) -> Result<(), WriteError> {
    framing.encode_into(message, &mut bytes)?;
    bytes.extend_from_slice(following);
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(())
}

/// A framing as a codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageCodec(pub Framing);

impl Decoder for MessageCodec {
    type Item = Message;
    type Error = ReadError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Message>, ReadError> {
        match self.0.decode(bytes)? {
            Some((message, consumed)) => {
                bytes.advance(consumed);
                Ok(Some(message))
            }
            None => {
                // `decode` has judged the length, so the room asked for is bounded.
                bytes.reserve(self.0.missing(bytes)?);
                Ok(None)
            }
        }
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Message>, ReadError> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(ReadError::Cut),
            other => Ok(other),
        }
    }
}

impl Encoder<&Message> for MessageCodec {
    type Error = WriteError;

    fn encode(&mut self, message: &Message, bytes: &mut BytesMut) -> Result<(), WriteError> {
        let mut frame = Vec::new();
        self.0.encode_into(message, &mut frame)?;
        bytes.extend_from_slice(&frame);
        Ok(())
    }
}

type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Reads messages from a stream that carries nothing else.
pub struct MessageReader(FramedRead<ReadHalf, MessageCodec>);

/// Writes messages to a stream that carries nothing else.
pub struct MessageWriter(FramedWrite<WriteHalf, MessageCodec>);

impl MessageReader {
    /// Reads messages of this framing from `half`, in as large pieces as come.
    pub fn new(half: impl AsyncRead + Send + Unpin + 'static, framing: Framing) -> Self {
        Self(FramedRead::with_capacity(Box::new(half), MessageCodec(framing), INITIAL_CAPACITY))
    }

    /// The next message.
    ///
    /// Safe to cancel: what was read of a message stays here.
    ///
    /// # Errors
    /// [`ReadError`]; after any but [`ReadError::Timeout`] the stream is of no more use.
    pub async fn next(&mut self) -> Result<Message, ReadError> {
        self.0.next().await.unwrap_or(Err(ReadError::Closed))
    }

    /// The next message, if it comes whole within `limit`.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] when it does not, and those of [`MessageReader::next`].
    pub async fn next_within(&mut self, limit: Duration) -> Result<Message, ReadError> {
        timeout(limit, self.next()).await.unwrap_or(Err(ReadError::Timeout))
    }
}

impl MessageWriter {
    /// Writes messages of this framing to `half`.
    pub fn new(half: impl AsyncWrite + Send + Unpin + 'static, framing: Framing) -> Self {
        let half: WriteHalf = Box::new(half);
        let mut framed = FramedWrite::with_capacity(half, MessageCodec(framing), INITIAL_CAPACITY);
        framed.set_backpressure_boundary(WRITE_BACKLOG);
        Self(framed)
    }

    /// Writes a message and flushes.
    ///
    /// Safe to cancel, in so far as the peer never gets a part of a message: what was not written stays
    /// here and goes first with the next call.
    ///
    /// # Errors
    /// [`WriteError`]; a message that is too long leaves the stream as it was.
    pub async fn send(&mut self, message: &Message) -> Result<(), WriteError> {
        self.0.send(message).await
    }

    /// Queues a message without waiting for it to be written, unless much is queued already.
    /// [`MessageWriter::flush`] sends it.
    ///
    /// # Errors
    /// As [`MessageWriter::send`].
    pub async fn feed(&mut self, message: &Message) -> Result<(), WriteError> {
        self.0.feed(message).await
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        SinkExt::<&Message>::flush(&mut self.0).await
    }

    /// Writes what is queued and ends this direction.
    ///
    /// # Errors
    /// If the stream fails.
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        SinkExt::<&Message>::close(&mut self.0).await
    }
}

impl fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageReader")
    }
}

impl fmt::Debug for MessageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageWriter")
    }
}

/// Splits a stream that carries nothing but messages of version 1.
#[must_use]
pub fn message_channel(stream: Stream) -> (MessageReader, MessageWriter) {
    message_channel_in(stream, Framing::V1)
}

/// Splits a stream that carries nothing but messages.
#[must_use]
pub fn message_channel_in(stream: Stream, framing: Framing) -> (MessageReader, MessageWriter) {
    let (read, write) = tokio::io::split(stream);
    (MessageReader::new(read, framing), MessageWriter::new(write, framing))
}

/// The control channel of version 1: every further message in both directions is inside the AES-CFB
/// stream of `key`, which is derived from `auth.token` (even under OIDC).
#[must_use]
pub fn control_channel(stream: Stream, key: &Key) -> (MessageReader, MessageWriter) {
    message_channel(Stream::layered(Cipher::new(stream, key)))
}

/// The control channel that a login has given.
#[must_use]
pub fn session_channel(stream: Stream, channel: &Channel) -> (MessageReader, MessageWriter) {
    let stream = match channel {
        Channel::V1 { key } => Stream::layered(Cipher::new(stream, key)),
        Channel::V2 { send, receive } => Stream::layered(Records::new(stream, send, receive)),
        // No login gives another one; in clear nobody would understand it.
        _ => return message_channel(Stream::boxed(tokio::io::empty())),
    };
    message_channel_in(stream, channel.framing())
}

const _: () = assert!(
    v2::HEADER_LEN + MAX_V2_PAYLOAD <= crate::buffer::BUFFER,
    "a message of either version fits a pooled buffer"
);

#[cfg(test)]
mod tests {
    use frp_proto::{
        crypto::key,
        exchange::{
            client::ClientLogin,
            server::{FirstMessage, ServerAccept},
        },
        hello::{Bootstrap, ClientHello},
        limits::MAX_MESSAGE,
        msg::{Login, LoginResp, Ping, Pong, ReqWorkConn, StartWorkConn},
        v1::HEADER_LEN,
    };
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::testing::{Choppy, hex, pipe};

    const PING: &str = "6800000000000000027b7d";

    fn specimens() -> Vec<Message> {
        let long = LoginResp { error: "x".repeat(10_000), ..LoginResp::default() };
        vec![
            Ping::default().into(),
            StartWorkConn { proxy_name: "ssh".into(), ..StartWorkConn::default() }.into(),
            long.into(),
            Pong::default().into(),
        ]
    }

    fn too_long() -> Message {
        LoginResp { error: "x".repeat(MAX_MESSAGE), ..LoginResp::default() }.into()
    }

    #[tokio::test]
    async fn what_came_with_a_message_is_put_back() {
        for seed in 0..30 {
            let (near, mut far) = tokio::io::duplex(100);
            let mut near = Stream::boxed(Choppy::new(near, seed, 50));
            let write = async {
                let start = StartWorkConn { proxy_name: "ssh".into(), ..StartWorkConn::default() };
                write_message_and(&mut far, Framing::V1, &start.into(), b"GET /").await.unwrap();
                far.write_all(b" HTTP").await.unwrap();
                drop(far);
            };
            let read = async {
                let message = read_message_ahead(&mut near, Framing::V1).await.unwrap();
                assert!(matches!(message, Message::StartWorkConn(start) if start.proxy_name == "ssh"));
                let mut rest = Vec::new();
                near.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, b"GET / HTTP");
            };
            tokio::join!(write, read);
        }
    }

    #[tokio::test]
    async fn a_message_is_read_and_not_a_byte_more() {
        for seed in 0..30 {
            let (near, mut far) = tokio::io::duplex(100);
            let mut near = Choppy::new(near, seed, 50);
            let write = async {
                for message in specimens() {
                    write_message(&mut far, &message).await.unwrap();
                }
                far.write_all(b"payload").await.unwrap();
                far.shutdown().await.unwrap();
            };
            let read = async {
                for message in specimens() {
                    assert_eq!(read_message(&mut near).await.unwrap(), message);
                }
                let mut rest = Vec::new();
                near.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, b"payload");
            };
            tokio::join!(write, read);
        }
    }

    #[tokio::test]
    async fn a_bad_start_is_refused_at_once() {
        for (bytes, text) in [
            ("00", "message type error"),
            ("680000000000002801", "message length exceed the limit"),
            ("68ffffffffffffffff", "message length error"),
        ] {
            let bytes = hex(bytes);
            // The stream stays open and nothing more comes.
            let (mut near, mut far) = pipe(64);
            far.write_all(&bytes).await.unwrap();
            assert_eq!(read_message(&mut near).await.unwrap_err().to_string(), text);
            let (near, mut far) = pipe(64);
            far.write_all(&bytes).await.unwrap();
            let (mut reader, _writer) = message_channel(near);
            assert_eq!(reader.next().await.unwrap_err().to_string(), text);
        }
    }

    #[tokio::test]
    async fn the_end_of_a_stream_is_told_from_a_cut_message() {
        let ping = hex(PING);
        for cut in 0..ping.len() {
            let closed = |error: ReadError| match cut {
                0 => assert!(matches!(error, ReadError::Closed) && error.to_string() == "EOF"),
                _ => assert!(matches!(error, ReadError::Cut) && error.to_string() == "unexpected EOF"),
            };
            closed(read_message(&mut &ping[..cut]).await.unwrap_err());
            let (near, mut far) = pipe(64);
            far.write_all(&ping[..cut]).await.unwrap();
            drop(far);
            closed(message_channel(near).0.next().await.unwrap_err());
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_not_begun() {
        let (near, mut far) = pipe(64);
        let (_reader, mut writer) = message_channel(near);
        assert!(matches!(writer.send(&too_long()).await, Err(WriteError::Encode(_))));
        writer.send(&Ping::default().into()).await.unwrap();
        assert_eq!(read_message(&mut far).await.unwrap(), Ping::default().into());
        assert!(matches!(write_message(&mut far, &too_long()).await, Err(WriteError::Encode(_))));
    }

    /// Every message passes, first all of them one way and then each of them back.
    async fn all_pass(near: (MessageReader, MessageWriter), far: (MessageReader, MessageWriter)) {
        let ((mut near_reader, mut near_writer), (mut far_reader, mut far_writer)) = (near, far);
        let one = async {
            for message in specimens() {
                near_writer.feed(&message).await.unwrap();
            }
            near_writer.shutdown().await.unwrap();
            for message in specimens() {
                assert_eq!(near_reader.next().await.unwrap(), message);
            }
        };
        let other = async {
            for message in specimens() {
                assert_eq!(far_reader.next().await.unwrap(), message);
                far_writer.send(&message).await.unwrap();
            }
            assert!(matches!(far_reader.next().await, Err(ReadError::Closed)));
        };
        tokio::join!(one, other);
    }

    #[tokio::test]
    async fn a_control_channel_is_encrypted_both_ways() {
        let key = key::derive(b"123");
        for seed in 0..10 {
            let (near, far) = tokio::io::duplex(100);
            let near = Stream::boxed(Choppy::new(near, seed, 60));
            let far = control_channel(Stream::boxed(far), &key);
            all_pass(control_channel(near, &key), far).await;
        }
    }

    #[tokio::test]
    async fn a_control_channel_sends_nothing_before_its_first_message() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (reader, mut writer) = control_channel(Stream::boxed(near), &key::derive(b"123"));
        writer.flush().await.unwrap();
        writer.send(&ReqWorkConn::default().into()).await.unwrap();
        writer.send(&Ping::default().into()).await.unwrap();
        drop((reader, writer));
        let mut wire = Vec::new();
        far.read_to_end(&mut wire).await.unwrap();
        // One IV, then the frames in one run.
        assert_eq!(wire.len(), 16 + 2 * (HEADER_LEN + 2));
    }

    #[tokio::test]
    async fn with_another_key_the_peer_is_not_understood() {
        let (near, far) = pipe(1024);
        let (_, mut writer) = control_channel(near, &key::derive(b"123"));
        writer.send(&Ping::default().into()).await.unwrap();
        let (mut reader, _) = control_channel(far, &key::derive(b"124"));
        drop(writer);
        // Nearly always an unknown type; a known one is followed by an absurd length.
        assert!(reader.next().await.is_err());
    }

    /// Both ends' channels of a login in version 2.
    fn channels_v2() -> (Channel, Channel) {
        let hello = ClientHello::new(Bootstrap::default(), frp_proto::crypto::Algorithm::ALL, [1; 32]);
        let (mut client, bytes) = ClientLogin::start_v2(Login::default(), b"123", hello).unwrap();
        let mut accept = ServerAccept::new([2; 32]);
        let (_, first) = accept.receive(&bytes).unwrap();
        let Some(FirstMessage::Login { reply, .. }) = first else { panic!("no login") };
        let (answer, server) = reply.accept("0.70.1", "r", b"123").unwrap();
        let (_, done) = client.receive(&[accept.take_output(), answer].concat()).unwrap();
        (done.unwrap().channel, server)
    }

    #[tokio::test]
    async fn a_control_channel_of_version_2_both_ways() {
        let (client, server) = channels_v2();
        for seed in 0..10 {
            let (near, far) = tokio::io::duplex(100);
            let near = Stream::boxed(Choppy::new(near, seed, 60));
            let far = session_channel(Stream::boxed(far), &server);
            all_pass(session_channel(near, &client), far).await;
        }
    }

    #[tokio::test]
    async fn a_forged_record_ends_the_channel() {
        let (client, server) = channels_v2();
        let (near, mut between) = pipe(1024);
        let (_reader, mut writer) = session_channel(near, &client);
        writer.send(&Ping::default().into()).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut wire = Vec::new();
        between.read_to_end(&mut wire).await.unwrap();
        for at in [0, 12, 20, wire.len() - 1] {
            let mut wire = wire.clone();
            wire[at] ^= 1;
            let (end, mut start) = pipe(1024);
            start.write_all(&wire).await.unwrap();
            drop(start);
            assert!(session_channel(end, &server).0.next().await.is_err());
        }
    }

    #[tokio::test]
    async fn messages_of_version_2_one_by_one() {
        for seed in 0..10 {
            let (near, mut far) = tokio::io::duplex(100);
            let mut near = Choppy::new(near, seed, 50);
            let write = async {
                let ping = Ping::default().into();
                write_first_message(&mut far, WireVersion::V2, &ping).await.unwrap();
                for message in specimens() {
                    write_message_in(&mut far, Framing::V2, &message).await.unwrap();
                }
                far.write_all(b"payload").await.unwrap();
                far.shutdown().await.unwrap();
            };
            let read = async {
                let mut magic = [0; 7];
                near.read_exact(&mut magic).await.unwrap();
                assert_eq!(magic, frp_proto::sniff::V2_MAGIC);
                let ping = Ping::default().into();
                assert_eq!(read_message_in(&mut near, Framing::V2).await.unwrap(), ping);
                for message in specimens() {
                    assert_eq!(read_message_in(&mut near, Framing::V2).await.unwrap(), message);
                }
                let mut rest = Vec::new();
                near.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, b"payload");
            };
            tokio::join!(write, read);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_loses_nothing() {
        let (near, mut far) = pipe(64);
        let (mut reader, _writer) = message_channel(near);
        let ping = hex(PING);
        for &byte in &ping {
            let early = reader.next_within(Duration::from_secs(1)).await;
            assert!(matches!(&early, Err(ReadError::Timeout)), "{early:?}");
            assert_eq!(early.unwrap_err().to_string(), "i/o timeout");
            far.write_u8(byte).await.unwrap();
        }
        assert_eq!(reader.next_within(Duration::from_secs(1)).await.unwrap(), Ping::default().into());
    }
}
