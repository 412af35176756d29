//! Why connections and streams end, in the words of upstream's library (quic-go `internal/qerr`).

use std::fmt::{self, Display};
use std::io;

use quinn::{ReadError, TransportErrorCode, WriteError};

/// Why a connection is over, or never was. Displays as quic-go's errors: `timeout: no recent network activity`,
/// `Application error 0x0 (remote)`, `CRYPTO_ERROR 0x178 (remote): tls: no application protocol`.
#[derive(Clone, Debug)]
pub struct ConnectionError(pub(super) quinn::ConnectionError);

impl ConnectionError {
    /// Whether one of the two sides closed it in order.
    #[must_use]
    pub fn is_close(&self) -> bool {
        use quinn::ConnectionError as E;
        match &self.0 {
            E::LocallyClosed => true,
            E::ApplicationClosed(close) => close.error_code.into_inner() == 0,
            _ => false,
        }
    }

    pub(super) fn to_io(&self) -> io::Error {
        use quinn::ConnectionError as E;
        let kind = match &self.0 {
            E::TimedOut => io::ErrorKind::TimedOut,
            E::Reset | E::ConnectionClosed(_) | E::ApplicationClosed(_) => io::ErrorKind::ConnectionReset,
            E::LocallyClosed => io::ErrorKind::NotConnected,
            E::VersionMismatch | E::TransportError(_) | E::CidsExhausted => io::ErrorKind::Other,
        };
        io::Error::new(kind, self.clone())
    }
}

impl Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use quinn::ConnectionError as E;
        match &self.0 {
            E::VersionMismatch => f.write_str("no compatible QUIC version found"),
            E::TransportError(error) => transport(f, error.code, "local", &error.reason),
            E::ConnectionClosed(close) => {
                transport(f, close.error_code, "remote", &String::from_utf8_lossy(&close.reason))
            }
            E::ApplicationClosed(close) => {
                write!(f, "Application error 0x{:x} (remote)", close.error_code.into_inner())?;
                reason(f, &String::from_utf8_lossy(&close.reason))
            }
            E::Reset => f.write_str("received a stateless reset"),
            E::TimedOut => f.write_str("timeout: no recent network activity"),
            E::LocallyClosed => f.write_str("Application error 0x0 (local)"),
            E::CidsExhausted => f.write_str("no connection ids left"),
        }
    }
}

impl std::error::Error for ConnectionError {}

/// The bit that marks an error of the handshake; the alert of TLS is below it (RFC 9001, section 4.8).
const CRYPTO: std::ops::Range<u64> = 0x100..0x200;

fn transport(f: &mut fmt::Formatter<'_>, code: TransportErrorCode, side: &str, why: &str) -> fmt::Result {
    let number = u64::from(code);
    if CRYPTO.contains(&number) {
        write!(f, "CRYPTO_ERROR 0x{number:x} ({side})")?;
        let alert = u8::try_from(number - CRYPTO.start).unwrap_or_default();
        let named = why.is_empty().then(|| crate::tls::alert_name(alert));
        let why = named.as_deref().unwrap_or_else(|| in_go(why));
        let prefix = if why.starts_with("tls: ") { "" } else { "tls: " };
        return write!(f, ": {prefix}{why}");
    }
    // The names of quinn's codes are those of the RFC, as quic-go's are.
    write!(f, "{code:?} ({side})")?;
    reason(f, why)
}

/// What users meet, of what quinn only has as a text of rustls. The rest says it in rustls' words.
fn in_go(why: &str) -> &str {
    match why {
        "invalid peer certificate: UnknownIssuer" => {
            "failed to verify certificate: x509: certificate signed by unknown authority"
        }
        "peer sent no certificates" => "client didn't provide a certificate",
        other => other,
    }
}

fn reason(f: &mut fmt::Formatter<'_>, why: &str) -> fmt::Result {
    if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
}

/// A stream of which no more comes.
pub(super) fn of_read(error: ReadError, stream: quinn::StreamId) -> io::Error {
    match error {
        ReadError::Reset(code) => cancelled(stream, code),
        ReadError::ConnectionLost(error) => ConnectionError(error).to_io(),
        other => io::Error::new(io::ErrorKind::NotConnected, other),
    }
}

/// A stream that takes no more.
pub(super) fn of_write(error: WriteError, stream: quinn::StreamId) -> io::Error {
    match error {
        WriteError::Stopped(code) => cancelled(stream, code),
        WriteError::ConnectionLost(error) => ConnectionError(error).to_io(),
        WriteError::ClosedStream => io::Error::new(io::ErrorKind::BrokenPipe, "stream closed"),
        other => io::Error::new(io::ErrorKind::NotConnected, other),
    }
}

fn cancelled(stream: quinn::StreamId, code: quinn::VarInt) -> io::Error {
    let number = quinn::VarInt::from(stream).into_inner();
    let text = format!("stream {number} canceled by remote with error code {code}");
    io::Error::new(io::ErrorKind::ConnectionReset, text)
}
