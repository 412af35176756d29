//! A connection after its handshake as a stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use frp_stream::{Buffer, Io};
use rand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::Role;
use super::decode::{Decoder, End};
use super::frame::{Header, MAX_HEADER, Opcode, apply_mask};

/// Payload of one frame of a server at most: control frames have to wait for its end.
const MAX_FRAME: usize = 256 * 1024;
/// Slices that are written at once at most.
const SLICES: usize = 64;
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;

/// The bytes of a WebSocket connection.
///
/// Reads go straight to the caller's buffer. A server's writes are not copied; a client's are, once, because they
/// have to be masked: flush them. Shutting down sends a close frame, which ends our direction only; when the peer
/// has sent one as well, the connection below is shut down, too.
pub struct WebSocket<T> {
    io: T,
    role: Role,
    decoder: Decoder,
    /// Whole frames that are under way: a client's data, or a control frame.
    out: Option<Out>,
    /// A server's header that is under way, from and to.
    head: ([u8; MAX_HEADER], usize, usize),
    /// Payload that a server has announced and not yet sent.
    announced: usize,
    /// The next control frame.
    control: Option<(Opcode, Vec<u8>)>,
    close_sent: bool,
    /// Whether the writer waits: then its waker must not be replaced by the reader's, and it sends control frames.
    is_writer_waiting: bool,
    ping: Option<PingTimer>,
}

struct Out {
    buffer: Buffer,
    start: usize,
    end: usize,
}

struct PingTimer {
    sleep: Pin<Box<Sleep>>,
    interval: Duration,
    /// Something was sent since the timer was set.
    has_sent: bool,
}

impl<T: Io> WebSocket<T> {
    /// A connection on which the handshake is done. With `ping`, a ping goes out while it is read from and nothing
    /// was sent for that time; at the latest after twice that time.
    pub fn new(io: T, role: Role, ping: Option<Duration>) -> Self {
        Self {
            io,
            role,
            decoder: Decoder::new(role),
            out: None,
            head: ([0; MAX_HEADER], 0, 0),
            announced: 0,
            control: None,
            close_sent: false,
            is_writer_waiting: false,
            ping: ping.map(|interval| PingTimer {
                sleep: Box::pin(sleep(interval)),
                interval,
                has_sent: false,
            }),
        }
    }

    fn is_at_boundary(&self) -> bool {
        self.out.is_none() && self.announced == 0
    }

    /// Makes a frame of everything that fits of `payload`, and says how much of it that is.
    fn enqueue<'a>(
        &mut self,
        opcode: Opcode,
        payload: impl Iterator<Item = &'a [u8]>,
        total: usize,
    ) -> usize {
        let mut buffer = Buffer::take();
        let length = total.min(buffer.len().saturating_sub(MAX_HEADER));
        let mask = (self.role == Role::Client).then(|| rand::rng().random::<[u8; 4]>());
        let (head, start) = Header { fin: true, opcode, mask, length: length as u64 }.encode();
        if let Some(room) = buffer.get_mut(..start) {
            room.copy_from_slice(head.get(..start).unwrap_or_default());
        }
        let mut end = start;
        for part in payload {
            let part = part.get(..part.len().min(start + length - end)).unwrap_or_default();
            if let Some(room) = buffer.get_mut(end..end + part.len()) {
                room.copy_from_slice(part);
                end += part.len();
            }
        }
        if let (Some(mask), Some(payload)) = (mask, buffer.get_mut(start..end)) {
            apply_mask(payload, mask);
        }
        self.out = Some(Out { buffer, start: 0, end });
        if let Some(ping) = &mut self.ping {
            ping.has_sent = true;
        }
        length
    }

    /// Makes a frame of what has to be said, if it is the time.
    fn enqueue_control(&mut self) {
        if !self.is_at_boundary() || self.close_sent {
            return;
        }
        if let Some((opcode, payload)) = self.control.take() {
            self.close_sent = opcode == Opcode::Close;
            self.enqueue(opcode, [&payload[..]].into_iter(), payload.len());
        }
    }

    /// Writes the frames that are whole.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(out) = &mut self.out {
            let bytes = out.buffer.get(out.start..out.end).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.start += count;
            if out.start >= out.end {
                self.out = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is under way, then what has to be said.
    fn poll_drain_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_drain(cx))?;
            self.enqueue_control();
            if self.out.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Says what the reader has to say, unless the writer is about to. A fault shows itself to the next read or
    /// write.
    fn say(&mut self, cx: &mut Context<'_>) {
        if !self.is_writer_waiting && self.poll_drain_all(cx).is_ready() {
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
    }

    /// Keeps the connection alive while nothing comes.
    fn poll_ping(&mut self, cx: &mut Context<'_>) {
        let mut is_due = false;
        if let Some(ping) = &mut self.ping {
            while ping.sleep.as_mut().poll(cx).is_ready() {
                is_due |= !std::mem::take(&mut ping.has_sent);
                ping.sleep.as_mut().reset(Instant::now() + ping.interval);
            }
        }
        if is_due && self.control.is_none() {
            self.control = Some((Opcode::Ping, Vec::new()));
        }
        if self.control.is_some() || (self.out.is_some() && !self.is_writer_waiting) {
            self.say(cx);
        }
    }

    fn read_payload(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buf.remaining() > 0 {
            match self.decoder.end() {
                Some(End::Closed) => break,
                Some(End::Broken(error)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
                None => {}
            }
            let before = buf.filled().len();
            let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buf) else {
                self.poll_ping(cx);
                return Poll::Pending;
            };
            read?;
            let received = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if received.is_empty() {
                if self.decoder.is_between_frames() {
                    break;
                }
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let count = self.decoder.decode(received);
            buf.set_filled(before + count);
            if let Some(payload) = self.decoder.take_ping() {
                self.control = Some((Opcode::Pong, payload));
                self.say(cx);
            }
            if let Some(End::Broken(_)) = self.decoder.end() {
                self.control = Some((Opcode::Close, PROTOCOL_ERROR.to_be_bytes().to_vec()));
                self.say(cx);
            }
            if count > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn write_payload(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total = bufs.iter().fold(0_usize, |sum, buf| sum.saturating_add(buf.len()));
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_drain_all(cx))?;
        if self.close_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.role == Role::Server {
            return self.write_unmasked(cx, bufs, total);
        }
        let count = self.enqueue(Opcode::Binary, bufs.iter().map(|buf| &**buf), total);
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    /// Writes a header and the payload behind it from where it is.
    fn write_unmasked(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        total: usize,
    ) -> Poll<io::Result<usize>> {
        if self.announced == 0 {
            self.announced = total.min(MAX_FRAME);
            let length = self.announced as u64;
            let (head, end) = Header { fin: true, opcode: Opcode::Binary, mask: None, length }.encode();
            self.head = (head, 0, end);
        }
        loop {
            let (head, start, end) = &self.head;
            let head = head.get(*start..*end).unwrap_or_default();
            let mut slices = [IoSlice::new(head); SLICES];
            let mut used = usize::from(!head.is_empty());
            let mut room = self.announced;
            for (slot, buf) in slices.iter_mut().skip(used).zip(bufs.iter().filter(|buf| !buf.is_empty())) {
                if room == 0 {
                    break;
                }
                let part = buf.get(..buf.len().min(room)).unwrap_or_default();
                *slot = IoSlice::new(part);
                room -= part.len();
                used += 1;
            }
            let written =
                Pin::new(&mut self.io).poll_write_vectored(cx, slices.get(..used).unwrap_or_default());
            let Poll::Ready(count) = written else {
                if self.head.1 == 0 && self.head.2 > 0 {
                    // Nobody has seen any of it: the next write may be another one.
                    self.announced = 0;
                }
                return Poll::Pending;
            };
            let count = count?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = count.min(self.head.2 - self.head.1);
            self.head.1 += of_head;
            let payload = count - of_head;
            self.announced = self.announced.saturating_sub(payload);
            if self.head.1 == self.head.2 {
                (self.head.1, self.head.2) = (0, 0);
            }
            if let Some(ping) = &mut self.ping {
                ping.has_sent = true;
            }
            if payload > 0 {
                return Poll::Ready(Ok(payload));
            }
        }
    }

    fn flush_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain_all(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn shut_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.close_sent {
            self.control = Some((Opcode::Close, NORMAL.to_be_bytes().to_vec()));
        }
        ready!(self.flush_all(cx))?;
        if self.decoder.end().is_some() || !self.close_sent {
            // Either both directions are over, or ours is within a frame and cannot end in good order.
            return Pin::new(&mut self.io).poll_shutdown(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Io> AsyncRead for WebSocket<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().read_payload(cx, buf)
    }
}

impl<T: Io> AsyncWrite for WebSocket<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = this.write_payload(cx, bufs);
        this.is_writer_waiting = result.is_pending();
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.flush_all(cx);
        this.is_writer_waiting = result.is_pending();
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.shut_down(cx);
        this.is_writer_waiting = result.is_pending();
        result
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn pair(room: usize, ping: Option<Duration>) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
        let (near, far) = duplex(room);
        (WebSocket::new(near, Role::Client, ping), WebSocket::new(far, Role::Server, ping))
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n % 251).to_le_bytes()[0]).collect()
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_through_any_room() {
        for room in [1, 3, 13, 14, 15, 1000, 1 << 17] {
            let data = bytes(if room < 10 { 3000 } else { 300_000 });
            let (client, server) = pair(room, None);
            let (mut client_read, mut client_write) = tokio::io::split(client);
            let (mut server_read, mut server_write) = tokio::io::split(server);
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            let results = tokio::join!(
                async {
                    client_write.write_all(&data).await?;
                    client_write.shutdown().await
                },
                async {
                    server_write.write_all(&data).await?;
                    server_write.shutdown().await
                },
                server_read.read_to_end(&mut to_server),
                client_read.read_to_end(&mut to_client),
            );
            results.0.unwrap();
            results.1.unwrap();
            results.2.unwrap();
            results.3.unwrap();
            assert!(to_server == data && to_client == data, "room {room}");
        }
    }

    #[tokio::test]
    async fn one_direction_ends_and_the_other_goes_on() {
        let (mut client, mut server) = pair(1 << 16, None);
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(client.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn slices_become_one_frame() {
        let (near, mut far) = duplex(1 << 16);
        let mut server = WebSocket::new(near, Role::Server, None);
        let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(server.write_vectored(&slices).await.unwrap(), 5);
        let mut wire = [0; 7];
        far.read_exact(&mut wire).await.unwrap();
        assert_eq!(&wire, b"\x82\x05abcde");
    }

    #[tokio::test]
    async fn a_ping_is_answered_by_whoever_only_reads() {
        let (near, mut far) = duplex(1 << 16);
        let mut client = WebSocket::new(near, Role::Client, None);
        far.write_all(b"\x89\x02hi\x81\x01x").await.unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"x");
        let mut pong = [0; 8];
        far.read_exact(&mut pong).await.unwrap();
        let [first, second, mask @ .., a, b] = pong;
        let mut payload = [a, b];
        apply_mask(&mut payload, mask);
        assert_eq!((first, second, &payload), (0x8a, 0x82, b"hi"));
    }

    #[tokio::test]
    async fn a_peer_that_breaks_the_protocol_is_told_so() {
        let (near, mut far) = duplex(1 << 16);
        let mut server = WebSocket::new(near, Role::Server, None);
        far.write_all(b"\x82\x01x").await.unwrap();
        let error = server.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.to_string(), "websocket: bad mask");
        let mut close = [0; 4];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!(close, [0x88, 2, 3, 234]);
    }

    #[tokio::test]
    async fn an_end_within_a_frame_is_a_fault() {
        let (near, mut far) = duplex(1 << 16);
        let mut client = WebSocket::new(near, Role::Client, None);
        far.write_all(b"\x82\x05ab").await.unwrap();
        drop(far);
        let mut all = Vec::new();
        let error = client.read_to_end(&mut all).await.unwrap_err();
        assert_eq!((&all[..], error.kind()), (&b"ab"[..], io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_carries_pings_and_a_busy_one_does_not() {
        const INTERVAL: Duration = Duration::from_secs(20);
        let (near, mut far) = duplex(1 << 16);
        let mut server = WebSocket::new(near, Role::Server, Some(INTERVAL));
        server.write_all(b"a").await.unwrap();
        far.read_exact(&mut [0; 3]).await.unwrap();
        let began = Instant::now();
        let mut frame = [0; 2];
        tokio::select! {
            _ = server.read_u8() => panic!("nothing was sent"),
            read = far.read_exact(&mut frame) => drop(read.unwrap()),
        }
        assert_eq!((frame, began.elapsed()), ([0x89, 0], 2 * INTERVAL));
        // Without one who reads, nothing.
        assert!(timeout(INTERVAL * 3, far.read_u8()).await.is_err());
    }
}
