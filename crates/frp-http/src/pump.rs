//! The body of a message on its way from one connection to another.

use std::io;
use std::task::{Context, Poll, ready};

use crate::body::{Body, BodyError, Piece, write_chunk};
use crate::conn::Conn;
use crate::framing::Framing;
use crate::gzip::Gunzip;
use crate::head::{Fields, parse_trailers};

/// Output that may wait before more is taken from the source.
const WAITING: usize = 16 * 1024;

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// It could not be read.
    #[error("{0}")]
    Source(io::Error),
    /// It could not be written.
    #[error("{0}")]
    Sink(io::Error),
    /// It is malformed or not complete.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It says that it is compressed and is not.
    #[error("gzip: {0}")]
    Gzip(io::Error),
}

/// How a body leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// As its bytes: the head said how many, or the connection's end will.
    Plain,
    /// In chunks, with its trailers.
    Chunked,
}

/// See the module. Reads nothing while the other side takes nothing.
pub struct Pump {
    body: Body,
    outgoing: Outgoing,
    gunzip: Option<Gunzip>,
    /// Bytes of payload in front of the source's input.
    payload: usize,
    ended: bool,
    finished: bool,
    /// Something was written past the output.
    unflushed: bool,
    moved: u64,
}

impl Pump {
    /// A body of which nothing was moved.
    #[must_use]
    pub fn new(framing: Framing, outgoing: Outgoing) -> Self {
        Self {
            body: Body::new(framing),
            outgoing,
            gunzip: None,
            payload: 0,
            ended: false,
            finished: false,
            unflushed: false,
            moved: 0,
        }
    }

    /// Decompresses it on its way.
    #[must_use]
    pub fn gunzipping(mut self) -> Self {
        self.gunzip = Some(Gunzip::default());
        self
    }

    /// Everything was read, written and flushed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// How many bytes have come from the source since the beginning; tells whether anything moves.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What was not yet taken from the source.
    #[must_use]
    pub fn into_rest(self) -> (Body, usize) {
        (self.body, self.payload)
    }

    /// How many bytes are still to come at least, and whether that is certain.
    #[must_use]
    pub fn rest(&self) -> (u64, bool) {
        let (rest, certain) = self.body.rest();
        (rest + self.payload as u64, certain)
    }

    /// Moves what can be moved. What waits in the output of `to` goes out first, together with the first bytes.
    ///
    /// # Errors
    /// Whatever keeps the body from arriving whole.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
    ) -> Poll<Result<(), PumpError>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.payload > 0 && to.output().len() < WAITING + self.payload {
                ready!(self.poll_payload(cx, from, to))?;
                continue;
            }
            let mut starved = false;
            if !self.ended && to.output().len() < WAITING {
                match self.body.next(from.input())? {
                    Piece::More => starved = true,
                    Piece::Framing(length) => {
                        from.consume(length);
                        continue;
                    }
                    Piece::Data(length) => {
                        self.payload = length;
                        continue;
                    }
                    Piece::End { trailers, all } => self.end(from, trailers, all, to)?,
                }
            }
            if !to.is_flushed() {
                ready!(to.poll_flush(cx)).map_err(PumpError::Sink)?;
                self.unflushed = false;
                if !starved && !self.ended {
                    continue;
                }
            }
            if self.unflushed {
                ready!(to.poll_flush_stream(cx)).map_err(PumpError::Sink)?;
                self.unflushed = false;
            }
            if self.ended {
                self.finished = true;
                return Poll::Ready(Ok(()));
            }
            match ready!(from.poll_fill(cx)).map_err(PumpError::Source)? {
                0 => self.body.ended()?,
                length => self.moved += length as u64,
            }
        }
    }

    fn poll_payload(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Conn,
        to: &mut Conn,
    ) -> Poll<Result<(), PumpError>> {
        let input = from.input();
        let payload = input.get(..self.payload).unwrap_or(input);
        let taken = match (&mut self.gunzip, self.outgoing) {
            (Some(gunzip), outgoing) => {
                let mut plain = Vec::new();
                let taken = gunzip.feed(payload, &mut plain).map_err(PumpError::Gzip)?;
                put(to.output(), &plain, outgoing);
                from.consume(taken);
                taken
            }
            (None, Outgoing::Chunked) => {
                write_chunk(to.output(), payload);
                let taken = payload.len();
                from.consume(taken);
                taken
            }
            (None, Outgoing::Plain) => {
                self.unflushed = true;
                ready!(to.poll_write_from(cx, from, self.payload)).map_err(PumpError::Sink)?
            }
        };
        self.payload -= taken.min(self.payload);
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, from: &mut Conn, trailers: usize, all: usize, to: &mut Conn) -> Result<(), PumpError> {
        self.ended = true;
        if let Some(gunzip) = &mut self.gunzip {
            let mut plain = Vec::new();
            gunzip.finish(&mut plain).map_err(PumpError::Gzip)?;
            put(to.output(), &plain, self.outgoing);
        }
        let mut fields = Fields::default();
        let lines = from.input_mut().get_mut(..trailers).unwrap_or_default();
        parse_trailers(&mut fields, lines).map_err(|_| BodyError::Chunk)?;
        if self.outgoing == Outgoing::Chunked {
            let out = to.output();
            out.extend_from_slice(b"0\r\n");
            for field in fields.iter().filter(|field| field.known.may_trail()) {
                for part in [field.name.of(lines), b": ", field.value.of(lines), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        from.consume(all);
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, data: &[u8], outgoing: Outgoing) {
    match outgoing {
        Outgoing::Plain => out.extend_from_slice(data),
        Outgoing::Chunked => write_chunk(out, data),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use frp_stream::Stream;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

    use super::*;

    async fn pumped(framing: Framing, outgoing: Outgoing, body: &[u8]) -> (Result<(), PumpError>, String) {
        let (from, mut source) = tokio::io::duplex(7);
        let (to, mut sink) = tokio::io::duplex(5);
        let (mut from, mut to) = (Conn::new(Stream::boxed(from)), Conn::new(Stream::boxed(to)));
        let mut got = String::new();
        let write = async {
            let _ = source.write_all(body).await;
            let _ = source.shutdown().await;
        };
        let pump = async move {
            let mut pump = Pump::new(framing, outgoing);
            to.output().extend_from_slice(b"head ");
            let pumped = poll_fn(|cx| pump.poll(cx, &mut from, &mut to)).await;
            drop((from, to));
            pumped
        };
        let (pumped, (), read) = tokio::join!(pump, write, sink.read_to_string(&mut got));
        read.unwrap();
        (pumped, got)
    }

    #[tokio::test]
    async fn bodies_arrive() {
        let chunks = b"5;x\r\nhello\r\n6\r\n world\r\n0\r\nX-A: 1\r\nHost: evil\r\n\r\nrest";
        let (done, got) = pumped(Framing::Chunked, Outgoing::Plain, chunks).await;
        assert!(done.is_ok());
        assert_eq!(got, "head hello world");
        let (_, got) = pumped(Framing::Chunked, Outgoing::Chunked, chunks).await;
        assert!(
            got.starts_with("head ") && got.ends_with("0\r\nX-A: 1\r\n\r\n") && !got.contains("Host"),
            "{got}"
        );
        assert_eq!(pumped(Framing::Length(5), Outgoing::Plain, b"hello rest").await.1, "head hello");
        assert_eq!(pumped(Framing::None, Outgoing::Plain, b"rest").await.1, "head ");
        let (_, got) = pumped(Framing::UntilClose, Outgoing::Chunked, b"hi").await;
        assert_eq!(got, "head 2\r\nhi\r\n0\r\n\r\n");
    }

    #[tokio::test]
    async fn what_is_cut_off_does_not_look_whole() {
        let (done, got) = pumped(Framing::Length(9), Outgoing::Plain, b"hello").await;
        assert!(matches!(done, Err(PumpError::Body(BodyError::Incomplete))));
        assert_eq!(got, "head hello");
        let (done, got) = pumped(Framing::Chunked, Outgoing::Chunked, b"5\r\nhello\r\n").await;
        assert!(done.is_err() && got.ends_with("o\r\n"), "{got}");
        let (done, _) = pumped(Framing::Chunked, Outgoing::Chunked, b"0\r\nno colon\r\n\r\n").await;
        assert!(matches!(done, Err(PumpError::Body(BodyError::Chunk))));
    }
    /// Takes everything, and has flushed it when it is asked a second time.
    struct LateFlush(Arc<AtomicUsize>);

    impl AsyncRead for LateFlush {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for LateFlush {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
                return Poll::Ready(Ok(()));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_body_has_not_arrived_before_it_is_flushed() {
        for outgoing in [Outgoing::Plain, Outgoing::Chunked] {
            let (from, mut source) = tokio::io::duplex(100);
            source.write_all(b"hello").await.unwrap();
            let flushes = Arc::default();
            let mut from = Conn::new(Stream::boxed(from));
            from.fill().await.unwrap();
            let mut to = Conn::new(Stream::boxed(LateFlush(Arc::clone(&flushes))));
            to.output().extend_from_slice(b"head ");
            let mut pump = Pump::new(Framing::Length(5), outgoing);
            poll_fn(|cx| pump.poll(cx, &mut from, &mut to)).await.unwrap();
            assert_eq!(flushes.load(Ordering::Relaxed), 2, "{outgoing:?}");
            assert!(to.is_flushed());
        }
    }
}
