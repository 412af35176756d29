//! HTTP/1.1 as a user meets it on the wire: requests are bytes, answers are taken apart without mercy for a byte that
//! is out of place.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{traffic, within};

/// A start line with its header lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// Names in lower case, values with one character per byte, in the order of the wire.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The status of an answer; 0 when the start line has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// The values of a header, joined by a comma; `None` when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Takes a head apart, without its empty line.
    fn parse(bytes: &[u8]) -> Result<Self> {
        let text: String = bytes.iter().copied().map(char::from).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').with_context(|| format!("no header: {line:?}"))?;
            ensure!(!name.is_empty() && !name.contains([' ', '\t', '\n', '\r']), "a name of {line:?}");
            ensure!(!value.contains(['\n', '\r']), "a line end in {line:?}");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { start, headers })
    }
}

/// Everything that came for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Interim answers, 1xx.
    pub interim: Vec<Head>,
    /// The final one.
    pub head: Head,
    /// Its body, freed from its framing.
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: Vec<(String, String)>,
    /// False when the connection ended before the body did.
    pub whole: bool,
}

impl Answer {
    /// The final status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }
}

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Length(u64),
    /// So many of this chunk, then its line end.
    Chunk(u64),
    /// A line with the length of the next chunk.
    ChunkLine,
    /// Everything until the end of stream.
    ToEnd,
    /// Nothing.
    Done,
}

/// Longer heads than anybody sends here.
const MAX_HEAD: usize = 16 << 20;

/// A connection that answers, or requests, are read from.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    framing: Framing,
    trailers: Vec<(String, String)>,
}

impl Connection<TcpStream> {
    /// Connects to a public port, trying again while nobody listens there yet.
    ///
    /// # Errors
    /// Nobody came to listen.
    pub async fn open(port: u16) -> Result<Self> {
        Ok(Self::new(traffic::connect(port).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// On an open stream.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), framing: Framing::Done, trailers: Vec::new() }
    }

    /// The stream, with what was read from it and not used yet.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// The stream, to write to it.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads a head; `None` at an end of stream in front of it.
    ///
    /// # Errors
    /// It is none, the connection broke, or nothing came in time.
    pub async fn head(&mut self) -> Result<Option<Head>> {
        within("a head", async {
            loop {
                if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                    let head = Head::parse(self.buffer.get(..end).unwrap_or_default())?;
                    self.buffer.drain(..end + 4);
                    return Ok(Some(head));
                }
                ensure!(self.buffer.len() < MAX_HEAD, "a head without end");
                if !self.fill().await? {
                    ensure!(self.buffer.is_empty(), "the end within a head: {:?}", lossy(&self.buffer));
                    return Ok(None);
                }
            }
        })
        .await?
    }

    /// Takes note of how the body of an answer ends, that is to be read next.
    ///
    /// # Errors
    /// Its framing is ambiguous or unknown.
    pub fn expect_answer_body(&mut self, method: &str, head: &Head) -> Result<()> {
        let bodiless = method == "HEAD" || matches!(head.status(), 204 | 304);
        self.expect_body(head, if bodiless { Some(Framing::Done) } else { None }, Framing::ToEnd)
    }

    /// Takes note of how the body of a request ends, that is to be read next.
    ///
    /// # Errors
    /// Its framing is ambiguous or unknown.
    pub fn expect_request_body(&mut self, head: &Head) -> Result<()> {
        self.expect_body(head, None, Framing::Done)
    }

    fn expect_body(&mut self, head: &Head, forced: Option<Framing>, without: Framing) -> Result<()> {
        let framing = match (head.header("content-length"), head.header("transfer-encoding")) {
            (Some(_), Some(_)) => bail!("ambiguous framing: {head:?}"),
            (Some(length), None) => Framing::Length(length.parse().context("a length")?),
            (None, Some(coding)) if coding == "chunked" => Framing::ChunkLine,
            (None, Some(coding)) => bail!("an unknown coding: {coding}"),
            (None, None) => without,
        };
        self.framing = forced.unwrap_or(framing);
        self.trailers.clear();
        Ok(())
    }

    /// The next piece of the body, as it comes; `None` once it is over.
    ///
    /// # Errors
    /// The connection ended or broke within the body, its framing is wrong, or nothing came in time.
    pub async fn body(&mut self) -> Result<Option<Vec<u8>>> {
        within("a piece of a body", async {
            loop {
                match self.framing {
                    Framing::Done | Framing::Length(0) => {
                        self.framing = Framing::Done;
                        return Ok(None);
                    }
                    Framing::Length(left) => {
                        let Some(piece) = self.piece(left).await? else { bail!("{left} bytes missing") };
                        self.framing = Framing::Length(left - piece.len() as u64);
                        return Ok(Some(piece));
                    }
                    Framing::Chunk(0) => {
                        ensure!(self.line().await?.is_empty(), "a chunk is longer than it said");
                        self.framing = Framing::ChunkLine;
                    }
                    Framing::Chunk(left) => {
                        let Some(piece) = self.piece(left).await? else { bail!("the end within a chunk") };
                        self.framing = Framing::Chunk(left - piece.len() as u64);
                        return Ok(Some(piece));
                    }
                    Framing::ChunkLine => {
                        let line = self.line().await?;
                        let digits = line.split(';').next().unwrap_or_default().trim();
                        let length = u64::from_str_radix(digits, 16);
                        match length.with_context(|| format!("a chunk's length: {line:?}"))? {
                            0 => {
                                self.read_trailers().await?;
                                self.framing = Framing::Done;
                            }
                            length => self.framing = Framing::Chunk(length),
                        }
                    }
                    Framing::ToEnd => {
                        let piece = self.piece(u64::MAX).await?;
                        if piece.is_none() {
                            self.framing = Framing::Done;
                        }
                        return Ok(piece);
                    }
                }
            }
        })
        .await?
    }

    /// The trailers of the body that was read last.
    pub fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    /// Reads a whole answer to a request of `method`; `None` at an end of stream in front of it.
    ///
    /// # Errors
    /// It is none, or nothing came in time. A body that breaks off is no error but an answer that is not whole.
    pub async fn answer(&mut self, method: &str) -> Result<Option<Answer>> {
        let mut interim = Vec::new();
        let head = loop {
            match self.head().await? {
                Some(head) if head.status() / 100 == 1 && head.status() != 101 => interim.push(head),
                Some(head) => break head,
                None if interim.is_empty() => return Ok(None),
                None => bail!("the end after {interim:?}"),
            }
        };
        if head.status() == 101 || (method == "CONNECT" && head.status() == 200) {
            self.framing = Framing::Done;
            self.trailers.clear();
        } else {
            self.expect_answer_body(method, &head)?;
        }
        let (body, whole) = self.rest_of_body().await;
        Ok(Some(Answer { interim, head, body, trailers: self.trailers.clone(), whole }))
    }

    /// What is left of the body, and whether it came to its end.
    pub async fn rest_of_body(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.body().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => return (body, true),
                Err(_) => return (body, false),
            }
        }
    }

    async fn read_trailers(&mut self) -> Result<()> {
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = line.split_once(':').with_context(|| format!("no trailer: {line:?}"))?;
            self.trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Some bytes, at most `most`; `None` at the end of stream.
    async fn piece(&mut self, most: u64) -> Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(Some(self.buffer.drain(..most).collect()))
    }

    /// A line without its line end, which must be a whole one.
    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\n") {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").context("a bare line feed")?;
                return Ok(line.iter().copied().map(char::from).collect());
            }
            ensure!(self.fill().await?, "the end within a line");
        }
    }

    /// False at the end of stream.
    async fn fill(&mut self) -> Result<bool> {
        let before = self.buffer.len();
        self.buffer.reserve(16 << 10);
        self.stream.read_buf(&mut self.buffer).await?;
        Ok(self.buffer.len() > before)
    }
}

/// One request on a connection of its own, and its answer.
///
/// # Errors
/// There is none.
pub async fn ask(port: u16, method: &str, request: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(port).await?;
    connection.send(request).await?;
    connection.answer(method).await?.context("no answer")
}

/// `GET` of a path of a host, on a connection of its own. `extra` are further header lines, each with its line end.
///
/// # Errors
/// There is no answer.
pub async fn get(port: u16, host: &str, path: &str, extra: &str) -> Result<Answer> {
    ask(port, "GET", format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n").as_bytes()).await
}

/// A header line with credentials of the scheme Basic.
#[must_use]
pub fn basic(header: &str, user: &str, password: &str) -> String {
    use base64::Engine as _;
    let word = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("{header}: Basic {word}\r\n")
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(200)).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "this is a test")]

    use super::*;

    async fn read(bytes: &[u8], method: &str) -> Result<Option<Answer>> {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        near.write_all(bytes).await.unwrap();
        drop(near);
        Connection::new(far).answer(method).await
    }

    #[tokio::test]
    async fn interim_answers_chunks_and_trailers() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3;x=y\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n";
        let answer = read(bytes, "GET").await.unwrap().unwrap();
        assert_eq!(answer.interim[0].header("link").unwrap(), "a");
        assert_eq!((answer.status(), answer.body.as_slice(), answer.whole), (200, &b"abc"[..], true));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "9".to_owned())]);
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_whole() {
        let answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "GET").await.unwrap().unwrap();
        assert_eq!((answer.body.as_slice(), answer.whole), (&b"abc"[..], false));
        let answer =
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "GET").await.unwrap();
        assert!(!answer.unwrap().whole);
        assert!(read(b"", "GET").await.unwrap().is_none());
        assert!(read(b"HTTP/1.1 200", "GET").await.is_err());
    }

    #[tokio::test]
    async fn answers_without_a_body() {
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
            let bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
            let answer = read(bytes.as_bytes(), method).await.unwrap().unwrap();
            assert!(answer.whole && answer.body.is_empty());
        }
    }
}
