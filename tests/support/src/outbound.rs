//! Proxies on the way from the client to the server, of every kind that `transport.proxyURL` names. They know one user.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http::Connection;
use crate::{tls, within};

/// The one whom the proxies let pass.
pub const USER: &str = "frp";
/// Its password.
pub const PASSWORD: &str = "p@ss";

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CONNECT, with `Basic` credentials.
    Http,
    /// The same within TLS, with the certificate of [`tls`].
    Https,
    /// SOCKS 5, with user and password.
    Socks5,
    /// CONNECT, with NTLM under the name `Negotiate`. The proof is not looked at, only whose it is.
    Ntlm,
}

impl Kind {
    /// Its name in URLs.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Ntlm => "ntlm",
        }
    }
}

/// A proxy on loopback, until it is dropped.
#[derive(Debug)]
pub struct Outbound {
    kind: Kind,
    port: u16,
    targets: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Outbound {
    /// Starts one.
    ///
    /// # Errors
    /// No port.
    pub async fn start(kind: Kind) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let targets = Arc::<Mutex<Vec<String>>>::default();
        let mut tasks = JoinSet::new();
        let connected = Arc::clone(&targets);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((user, _)) = listener.accept().await {
                let connected = Arc::clone(&connected);
                // Who does not keep to the protocol, or may not pass, is closed.
                connections.spawn(async move { serve(kind, user, &connected).await.unwrap_or_default() });
            }
        });
        Ok(Self { kind, port, targets, _tasks: tasks })
    }

    /// Its URL, for this user with the right password.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        format!("{}://{user}:{}@127.0.0.1:{}", self.kind.scheme(), PASSWORD.replace('@', "%40"), self.port)
    }

    /// Where it has connected users to, `host:port` each.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(kind: Kind, user: TcpStream, connected: &Mutex<Vec<String>>) -> Result<()> {
    match kind {
        Kind::Http => http(user, connected).await,
        Kind::Https => http(within("a handshake", tls::accept(user)).await??, connected).await,
        Kind::Socks5 => socks5(user, connected).await,
        Kind::Ntlm => ntlm(user, connected).await,
    }
}

/// Joins both sides.
async fn join(
    mut user: impl AsyncRead + AsyncWrite + Unpin,
    early: &[u8],
    target: String,
    connected: &Mutex<Vec<String>>,
) -> Result<()> {
    let mut server = TcpStream::connect(&target).await?;
    connected.lock().unwrap_or_else(PoisonError::into_inner).push(target);
    server.write_all(early).await?;
    copy_bidirectional(&mut user, &mut server).await?;
    Ok(())
}

/// A CONNECT request: where to, and the credentials.
async fn request(
    connection: &mut Connection<impl AsyncRead + AsyncWrite + Unpin>,
) -> Result<(String, String)> {
    let head = connection.head().await?.context("no request")?;
    let target = head.start.strip_prefix("CONNECT ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let target = target.context("no CONNECT request")?.to_owned();
    ensure!(head.header("host").as_deref() == Some(&target), "{head:?}");
    Ok((target, head.header("proxy-authorization").unwrap_or_default()))
}

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The refusal that asks for credentials.
fn unauthorized(how: &str) -> String {
    format!(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: {how}\r\nContent-Length: 0\r\n\r\n"
    )
}

async fn http(user: impl AsyncRead + AsyncWrite + Unpin, connected: &Mutex<Vec<String>>) -> Result<()> {
    let mut connection = Connection::new(user);
    let (target, credentials) = request(&mut connection).await?;
    if credentials != format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))) {
        return connection.send(unauthorized("Basic realm=\"test\"").as_bytes()).await;
    }
    connection.send(CONNECTED).await?;
    let (user, early) = connection.into_parts();
    join(user, &early, target, connected).await
}

/// The second message of NTLM: Unicode, and neither a name nor anything else about the target.
fn challenge() -> Vec<u8> {
    [b"NTLMSSP\0\x02\0\0\0".as_slice(), &[0; 8], &1_u32.to_le_bytes(), &[7; 8], &[0; 16]].concat()
}

async fn ntlm(user: TcpStream, connected: &Mutex<Vec<String>>) -> Result<()> {
    let mut connection = Connection::new(user);
    let message = |credentials: &str| -> Result<Vec<u8>> {
        let message = credentials.strip_prefix("Negotiate ").context("credentials of another kind")?;
        Ok(STANDARD.decode(message)?)
    };
    let (_, opening) = request(&mut connection).await?;
    ensure!(message(&opening)?.starts_with(b"NTLMSSP\0\x01\0\0\0"), "no opening");
    let asks = unauthorized(&format!("Negotiate {}", STANDARD.encode(challenge())));
    connection.send(asks.as_bytes()).await?;
    let (target, proof) = request(&mut connection).await?;
    let proof = message(&proof)?;
    ensure!(proof.starts_with(b"NTLMSSP\0\x03\0\0\0"), "no proof");
    // Fields of the name: length, room and offset, 36 bytes from the start.
    let number =
        |at: usize| proof.get(at..at + 2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let (length, offset) = number(36).zip(number(40)).context("a proof that is cut off")?;
    let name: Vec<u8> = USER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if proof.get(offset..offset + length) != Some(&name) {
        return connection.send(unauthorized("Negotiate").as_bytes()).await;
    }
    connection.send(CONNECTED).await?;
    let (user, early) = connection.into_parts();
    join(user, &early, target, connected).await
}

/// RFC 1928 and 1929.
async fn socks5(mut user: TcpStream, connected: &Mutex<Vec<String>>) -> Result<()> {
    let text = async |stream: &mut TcpStream| -> Result<Vec<u8>> {
        let mut text = vec![0; stream.read_u8().await?.into()];
        stream.read_exact(&mut text).await?;
        Ok(text)
    };
    ensure!(user.read_u8().await? == 5, "another version");
    ensure!(text(&mut user).await?.contains(&2), "without credentials");
    user.write_all(&[5, 2]).await?;
    ensure!(user.read_u8().await? == 1, "another version of credentials");
    let credentials = (text(&mut user).await?, text(&mut user).await?);
    if credentials != (USER.into(), PASSWORD.into()) {
        return Ok(user.write_all(&[1, 1]).await?);
    }
    user.write_all(&[1, 0]).await?;
    let mut start = [0; 4];
    user.read_exact(&mut start).await?;
    let host = match start {
        [5, 1, 0, 1] => std::net::Ipv4Addr::from(user.read_u32().await?).to_string(),
        [5, 1, 0, 3] => String::from_utf8(text(&mut user).await?)?,
        other => bail!("request {other:?}"),
    };
    let target = format!("{host}:{}", user.read_u16().await?);
    user.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    join(user, &[], target, connected).await
}
