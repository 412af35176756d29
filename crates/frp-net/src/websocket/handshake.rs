//! The upgrade from HTTP (RFC 6455 section 4), with the rules and texts of golang.org/x/net/websocket.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use frp_http::head::{Fields, HeadError};
use frp_http::read::{ReadError, read_head};
use frp_stream::Stream;
use rand::Rng;
use sha1::{Digest, Sha1};
use tokio::io::AsyncWriteExt;

use super::{Role, WebSocket};
use crate::http_response::read_response;

/// A head is no longer than this; those that pass a few proxies have some hundred bytes.
const MAX_HEAD: usize = 16 * 1024;
/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a connection did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The server does not grant the upgrade.
    #[error("websocket: bad status {0}")]
    Status(u16),
    /// The server answers 101, but not to us.
    #[error("websocket: missing or bad upgrade")]
    Upgrade,
    /// The server's proof is wrong, or the client has sent no key.
    #[error("websocket: mismatch challenge/response")]
    Challenge,
    /// The server uses an extension that nobody has asked for.
    #[error("websocket: unsupported extensions")]
    Extensions,
    /// A protocol within the connection that nobody has asked for.
    #[error("websocket: missing or bad WebSocket-Protocol")]
    Protocol,
    /// The client asked for another path.
    #[error("websocket: no such path")]
    Path,
    /// The client asked for something else.
    #[error("websocket: not websocket protocol")]
    NotWebSocket,
    /// The client speaks another version.
    #[error("websocket: missing or bad WebSocket Version")]
    Version,
    /// The client does not say where it comes from.
    #[error("websocket: missing or bad Origin")]
    Origin,
    /// What came is no HTTP.
    #[error("websocket: {0}")]
    Head(#[from] HeadError),
    /// The connection ended or failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReadError> for HandshakeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Head(error) => error.into(),
            ReadError::Io(error) => error.into(),
            ReadError::Eof => io::Error::new(io::ErrorKind::UnexpectedEof, "EOF").into(),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// The path; [`super::PATH`] is what every server has.
    pub path: String,
    /// `Host`, and the origin behind `http://`: the server with its port for `websocket`, the server name of TLS
    /// for `wss`.
    pub host: String,
    /// See [`WebSocket::new`]. Default: none, which is right below a mux session.
    pub ping: Option<Duration>,
}

/// The client's handshake on a new connection. Cancelling it loses the connection.
///
/// # Errors
/// When the server does not grant the upgrade, or the connection ends.
pub async fn connect(mut stream: Stream, options: &ClientOptions) -> Result<Stream, HandshakeError> {
    let key = STANDARD.encode(rand::rng().random::<[u8; 16]>());
    let host = without_zone(&options.host);
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nOrigin: http://{}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        options.path,
        options.host.to_lowercase(),
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let response = read_response(&mut stream, MAX_HEAD).await?;
    if response.status() != 101 {
        return Err(HandshakeError::Status(response.status()));
    }
    let field = |name: &[u8]| response.field(name).unwrap_or_default();
    if !field(b"upgrade").eq_ignore_ascii_case(b"websocket")
        || !field(b"connection").eq_ignore_ascii_case(b"upgrade")
    {
        return Err(HandshakeError::Upgrade);
    }
    if field(b"sec-websocket-accept") != proof(key.as_bytes()).as_bytes() {
        return Err(HandshakeError::Challenge);
    }
    if !field(b"sec-websocket-extensions").is_empty() {
        return Err(HandshakeError::Extensions);
    }
    if !field(b"sec-websocket-protocol").is_empty() {
        return Err(HandshakeError::Protocol);
    }
    let rest = response.into_rest();
    Ok(Stream::boxed(WebSocket::new(stream.with_prefix(rest), Role::Client, options.ping)))
}

/// The server's handshake: reads the request, and answers it. `paths` are granted, with any query behind them. A
/// client that is refused is told why, and the connection is shut down. Cancelling it loses the connection.
///
/// # Errors
/// When the client asks for something else, or the connection ends.
pub async fn accept(
    mut stream: Stream,
    paths: &[&str],
    ping: Option<Duration>,
) -> Result<Stream, HandshakeError> {
    let request = read_head(&mut stream, MAX_HEAD).await?;
    let checked = check(request.method(), request.target(), request.fields(), request.text(), paths);
    let answer = match &checked {
        Ok(answer) => answer.clone(),
        Err(error) => refusal(error),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    if let Err(error) = checked {
        let _ = stream.shutdown().await;
        return Err(error);
    }
    let rest = request.into_rest();
    Ok(Stream::boxed(WebSocket::new(stream.with_prefix(rest), Role::Server, ping)))
}

/// The answer to a request, if it is to be granted.
fn check(
    method: &[u8],
    target: &[u8],
    fields: &Fields,
    text: &[u8],
    paths: &[&str],
) -> Result<String, HandshakeError> {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if !paths.iter().any(|granted| granted.as_bytes() == path) {
        return Err(HandshakeError::Path);
    }
    let field = |name: &[u8]| fields.get_by_name(text, name).unwrap_or_default();
    let connection = field(b"connection").to_ascii_lowercase();
    if method != b"GET"
        || !field(b"upgrade").eq_ignore_ascii_case(b"websocket")
        || !connection.windows(7).any(|word| word == b"upgrade")
    {
        return Err(HandshakeError::NotWebSocket);
    }
    let key = field(b"sec-websocket-key");
    if key.is_empty() {
        return Err(HandshakeError::Challenge);
    }
    if field(b"sec-websocket-version") != b"13" {
        return Err(HandshakeError::Version);
    }
    if !is_origin(field(b"origin")) {
        return Err(HandshakeError::Origin);
    }
    let protocol = match field(b"sec-websocket-protocol").trim_ascii() {
        b"" => String::new(),
        list if list.contains(&b',') => return Err(HandshakeError::Protocol),
        one => format!("Sec-WebSocket-Protocol: {}\r\n", String::from_utf8_lossy(one)),
    };
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
        proof(key),
    ))
}

/// What a client is told that is refused.
fn refusal(error: &HandshakeError) -> String {
    match error {
        HandshakeError::Path => "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n"
            .to_owned(),
        HandshakeError::Origin => "HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(),
        HandshakeError::Version => {
            "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\n\r\nmissing or bad WebSocket Version".to_owned()
        }
        other => {
            let text = other.to_string();
            let text = text.strip_prefix("websocket: ").unwrap_or(&text);
            format!("HTTP/1.1 400 Bad Request\r\n\r\n{text}")
        }
    }
}

/// The server's proof that it has understood the key.
fn proof(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Whether Go's `url.ParseRequestURI` takes it: a path, or anything behind a scheme. `null` is neither.
fn is_origin(value: &[u8]) -> bool {
    if value.starts_with(b"/") {
        return true;
    }
    let Some(colon) = value.iter().position(|byte| *byte == b':') else { return false };
    let scheme = value.get(..colon).unwrap_or_default();
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// A zone means nothing to the server: `[fe80::1%eth0]:7000` is `[fe80::1]:7000` in `Host`.
fn without_zone(host: &str) -> String {
    let Some((start, rest)) = host.split_once('%') else { return host.to_owned() };
    match rest.split_once(']') {
        Some((_, end)) if start.starts_with('[') => format!("{start}]{end}"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::websocket::PATH;

    const GOOD: &str = "GET /~!frp HTTP/1.1\r\nHost: a:7000\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://a:7000\r\nSec-WebSocket-Version: 13\r\n\r\n";

    async fn answer(request: &str) -> (Result<Stream, HandshakeError>, String) {
        let (near, mut far) = duplex(1 << 16);
        far.write_all(request.as_bytes()).await.unwrap();
        let result = accept(Stream::boxed(near), &[PATH, "/own"], None).await;
        let mut text = vec![0; 4096];
        let count = far.read(&mut text).await.unwrap();
        text.truncate(count);
        (result, String::from_utf8(text).unwrap())
    }

    #[tokio::test]
    async fn the_two_sides_agree_and_lose_no_byte() {
        let (near, far) = duplex(1 << 16);
        let options =
            ClientOptions { path: PATH.to_owned(), host: "[fe80::1%eth0]:7000".to_owned(), ping: None };
        let (client, server) = tokio::join!(
            async {
                let mut client = connect(Stream::boxed(near), &options).await.unwrap();
                client.write_all(b"hello").await.unwrap();
                client.flush().await.unwrap();
                let mut answer = [0; 5];
                client.read_exact(&mut answer).await.unwrap();
                answer
            },
            async {
                let mut server = accept(Stream::boxed(far), &[PATH], None).await.unwrap();
                let mut question = [0; 5];
                server.read_exact(&mut question).await.unwrap();
                server.write_all(b"world").await.unwrap();
                question
            }
        );
        assert_eq!((&client, &server), (b"world", b"hello"));
    }

    #[tokio::test]
    async fn the_answer_of_the_rfc_and_what_came_early() {
        let (server, text) = answer(&format!("{GOOD}\u{1}")).await;
        assert!(server.is_ok());
        assert_eq!(
            text,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        let (_, text) = answer(&GOOD.replace("13\r\n", "13\r\nSec-WebSocket-Protocol: binary\r\n")).await;
        assert!(text.contains("\r\nSec-WebSocket-Protocol: binary\r\n"));
        for path in ["/~!frp?a=b", "/own"] {
            assert!(answer(&GOOD.replace(PATH, path)).await.0.is_ok());
        }
    }

    #[tokio::test]
    async fn what_is_refused_and_how() {
        for (from, to, start) in [
            ("/~!frp", "/~!frpx", "HTTP/1.1 404 Not Found\r\n"),
            ("/~!frp", "/other", "HTTP/1.1 404 Not Found\r\n"),
            ("Upgrade: WebSocket", "Upgrade: h2c", "HTTP/1.1 400 Bad Request\r\n\r\nnot websocket protocol"),
            ("Origin: http://a:7000", "Origin: null", "HTTP/1.1 403 Forbidden\r\n\r\n"),
            ("Origin: http://a:7000\r\n", "", "HTTP/1.1 403 Forbidden\r\n\r\n"),
            (
                "Version: 13",
                "Version: 8",
                "HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\n\r\nmissing or bad WebSocket Version",
            ),
            (
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                "",
                "HTTP/1.1 400 Bad Request\r\n\r\nmismatch challenge/response",
            ),
        ] {
            let (result, text) = answer(&GOOD.replace(from, to)).await;
            assert!(result.is_err());
            assert!(text.starts_with(start), "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_none() {
        let good = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            proof(b"another key")
        );
        for (answer, expected) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "websocket: bad status 404"),
            (&good.replace("Upgrade: websocket\r\n", ""), "websocket: missing or bad upgrade"),
            (&good, "websocket: mismatch challenge/response"),
        ] {
            let (near, mut far) = duplex(1 << 16);
            far.write_all(answer.as_bytes()).await.unwrap();
            let options = ClientOptions { path: PATH.to_owned(), host: "a".to_owned(), ping: None };
            let error = connect(Stream::boxed(near), &options).await.unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
