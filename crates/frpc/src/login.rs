//! One attempt to log in: connect, exchange Login and LoginResp, start the encrypted channel (upstream
//! `client/control_session.go`).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use frp_auth::SetError;
use frp_proto::crypto::Algorithm;
use frp_proto::exchange::client::{ClientLogin, LoggedIn as Accepted, LoginError as ExchangeError};
use frp_proto::hello::ClientHello;
use frp_proto::msg::Login;
use frp_proto::release::Release;
use frp_proto::wire::{EncodeError, Framing, WireVersion};
use frp_stream::Stream;
use frp_stream::message::{MessageReader, MessageWriter, session_channel};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::backoff::Failure;
use crate::client::Shared;
use crate::connector::{ConnectError, Connection, Connector};

/// How long the server may take to answer a Login, as upstream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a login attempt failed. The texts are those that users of the original know.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The server cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The proof of who we are cannot be had.
    #[error(transparent)]
    Proof(#[from] SetError),
    /// The login does not fit one message: too many `metadatas`.
    #[error(transparent)]
    TooLong(#[from] EncodeError),
    /// The connection broke before the answer.
    #[error("{0}")]
    Broken(String),
    /// No answer in time.
    #[error("i/o timeout")]
    Timeout,
    /// The server refused, or answered with something that is no LoginResp.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

impl LoginError {
    /// Whether anybody answered, which decides how soon to try again.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Exchange(_) | Self::TooLong(_) | Self::Proof(_) => Failure::Refused,
            Self::Connect(_) | Self::Broken(_) | Self::Timeout => Failure::Unreachable,
        }
    }
}

/// A session that the server has granted.
pub(crate) struct LoggedIn {
    pub(crate) run_id: String,
    pub(crate) connection: Connection,
    pub(crate) reader: MessageReader,
    pub(crate) writer: MessageWriter,
    /// How messages look in the payload of work and visitor connections.
    pub(crate) payload_framing: Framing,
    /// The server is of an old release and ends sessions without pings.
    pub(crate) wants_pings: bool,
}

/// Connects and logs in. `run_id` is that of the session before, empty for the first one.
pub(crate) async fn log_in(
    shared: &Shared,
    connector: &Arc<Connector>,
    run_id: &str,
) -> Result<LoggedIn, LoginError> {
    let connection = connector.connect().await?;
    let mut stream = connection.open().await?.stream;
    let login = login_message(shared, run_id).await?;
    let begun = begin(shared, login)?;
    let accepted = match ask(&mut stream, begun).await {
        // The end of the whole says more than that of the stream.
        Err(LoginError::Broken(_)) if connection.is_closed() => {
            return Err(LoginError::Broken("session shutdown".to_owned()));
        }
        result => result?,
    };
    let (reader, writer) = session_channel(stream, &accepted.channel);
    let Accepted { response, payload_framing, .. } = accepted;
    let wants_pings = response.version.parse().is_ok_and(Release::ends_sessions_without_pings);
    Ok(LoggedIn { run_id: response.run_id, connection, reader, writer, payload_framing, wants_pings })
}

/// The exchange in the wire version that is configured, and the bytes that begin it.
fn begin(shared: &Shared, login: Login) -> Result<(ClientLogin, Vec<u8>), EncodeError> {
    let token = shared.auth.encryption_secret().as_bytes();
    match shared.options.wire {
        WireVersion::V1 => ClientLogin::start(login, token),
        WireVersion::V2 => {
            let bootstrap = shared.options.bootstrap.clone();
            ClientLogin::start_v2(login, token, ClientHello::new(bootstrap, preference(), rand::random()))
        }
    }
}

/// The cipher that this processor does faster, first. Upstream `pkg/proto/wire/crypto.go`.
fn preference() -> [Algorithm; 2] {
    let [aes, chacha] = Algorithm::ALL;
    if has_fast_aes() { [aes, chacha] } else { [chacha, aes] }
}

#[cfg(target_arch = "x86_64")]
fn has_fast_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_fast_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_fast_aes() -> bool {
    false
}

/// Sends the login and waits for the answer, all within [`ANSWER_TIMEOUT`].
async fn ask(stream: &mut Stream, (login, bytes): (ClientLogin, Vec<u8>)) -> Result<Accepted, LoginError> {
    timeout(ANSWER_TIMEOUT, exchange(stream, login, &bytes)).await.unwrap_or(Err(LoginError::Timeout))
}

/// Sends the login and feeds the answer to the machine, never a byte beyond it.
async fn exchange(stream: &mut Stream, mut login: ClientLogin, bytes: &[u8]) -> Result<Accepted, LoginError> {
    let broken = |error: std::io::Error| LoginError::Broken(error.to_string());
    stream.write_all(bytes).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut buffer = [0; 1024];
    loop {
        let wanted = login.wanted()?.min(buffer.len());
        let space = buffer.get_mut(..wanted).unwrap_or_default();
        let read = stream.read(space).await.map_err(broken)?;
        if read == 0 {
            return Err(LoginError::Broken("EOF".to_owned()));
        }
        if let (_, Some(accepted)) = login.receive(buffer.get(..read).unwrap_or_default())? {
            return Ok(accepted);
        }
    }
}

async fn login_message(shared: &Shared, run_id: &str) -> Result<Login, SetError> {
    let options = &shared.options;
    let mut login = Login {
        version: crate::COMPATIBLE_VERSION.to_owned(),
        hostname: hostname(),
        os: go_os().to_owned(),
        arch: go_arch().to_owned(),
        user: options.user.clone(),
        run_id: run_id.to_owned(),
        client_id: options.client_id.clone(),
        metas: options.metadatas.clone(),
        pool_count: options.pool_count,
        timestamp: unix_time(),
        ..Login::default()
    };
    shared.auth.set_login(&mut login).await?;
    Ok(login)
}

/// Seconds since 1970; zero for a clock that stands before it.
pub(crate) fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The operating system in the peer's naming.
fn go_os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}

/// The processor in the peer's naming.
fn go_arch() -> &'static str {
    go_arch_of(std::env::consts::ARCH, cfg!(target_endian = "little"))
}

fn go_arch_of(arch: &'static str, little_endian: bool) -> &'static str {
    match (arch, little_endian) {
        ("x86_64", _) => "amd64",
        ("aarch64", _) => "arm64",
        ("x86", _) => "386",
        ("powerpc64", false) => "ppc64",
        ("powerpc64", true) => "ppc64le",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        ("loongarch64", _) => "loong64",
        // `arm`, `riscv64`, `s390x`, and the big-endian `mips` and `mips64` have one name everywhere.
        (arch, _) => arch,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    fn asking(capacity: usize) -> (impl Future<Output = Result<Accepted, LoginError>>, DuplexStream) {
        let (near, far) = duplex(capacity);
        let mut stream = Stream::boxed(near);
        let begun = ClientLogin::start(Login::default(), b"token").unwrap();
        (async move { ask(&mut stream, begun).await }, far)
    }

    #[test]
    fn a_processor_has_the_name_that_the_peer_knows() {
        for (ours, little_endian, name) in [
            ("x86_64", true, "amd64"),
            ("aarch64", true, "arm64"),
            ("powerpc64", true, "ppc64le"),
            ("powerpc64", false, "ppc64"),
            ("mips", true, "mipsle"),
            ("mips", false, "mips"),
            ("mips64", true, "mips64le"),
            ("riscv64", true, "riscv64"),
        ] {
            assert_eq!(go_arch_of(ours, little_endian), name);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_given_up_after_ten_seconds() {
        let began = Instant::now();
        let (asking, _far) = asking(4096);
        assert!(matches!(asking.await, Err(LoginError::Timeout)));
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_no_login_is_given_up_after_ten_seconds() {
        let began = Instant::now();
        let (asking, _far) = asking(1);
        assert!(matches!(asking.await, Err(LoginError::Timeout)));
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_drops_gains_no_time() {
        let began = Instant::now();
        let (asking, mut far) = asking(4096);
        let drip = async {
            for byte in b"1\0\0\0\0\0\0\0\x20" {
                far.write_all(&[*byte]).await.unwrap();
                sleep(Duration::from_secs(2)).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = asking => assert!(matches!(result, Err(LoginError::Timeout))),
            () = drip => {}
        }
        assert_eq!(began.elapsed(), ANSWER_TIMEOUT);
    }
}
