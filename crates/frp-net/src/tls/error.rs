//! TLS errors in Go's words.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::chain::VerifyError;
use crate::error_text::os_error;

/// A certificate, key or authority that cannot be used: our own configuration's fault. Displays as upstream's
/// error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("open {}: {}", path.display(), os_error(cause))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// `transport.tls.trustedCaFile` holds no certificate.
    #[error("failed to parse CA certificate from file {path:?}: no valid PEM certificates found")]
    NoAuthorities {
        /// The file.
        path: PathBuf,
    },
    /// The certificate's file holds no certificate, but this.
    #[error("tls: {0}")]
    NoCertificate(String),
    /// The key's file holds no key, but this.
    #[error("tls: {0}")]
    NoKey(String),
    /// The first certificate of the file is none that we understand.
    #[error("x509: malformed certificate")]
    MalformedCertificate,
    /// The key is of no kind that we understand, or too short.
    #[error("tls: failed to parse private key")]
    MalformedKey,
    /// The key is another certificate's.
    #[error("tls: private key does not match public key")]
    KeyMismatch,
    /// A certificate could not be generated.
    #[error("failed to generate a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// The TLS library refused its configuration.
    #[error("tls: {0}")]
    Library(#[from] Error),
}

/// The text of an error of a TLS stream or handshake as Go's `crypto/tls` would word it, such as `tls: failed to
/// verify certificate: x509: certificate signed by unknown authority` or `remote error: tls: bad certificate`.
/// Other errors as [`os_error`].
#[must_use]
pub fn error_text(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => tls_text(error),
        // The words of tokio-rustls for a peer that goes away in the handshake, and of rustls afterwards.
        None if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_some() => {
            let in_handshake = error.to_string().contains("handshake");
            if in_handshake { "EOF" } else { "unexpected EOF" }.to_owned()
        }
        None => os_error(error),
    }
}

/// The same error with the text of [`error_text`]. System errors pass unchanged.
pub(super) fn worded(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.get_ref().is_none() {
        return error;
    }
    io::Error::new(error.kind(), error_text(&error))
}

fn tls_text(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        Error::InvalidCertificate(cause) => {
            format!("tls: failed to verify certificate: {}", certificate_text(cause))
        }
        Error::NoCertificatesPresented => "tls: client didn't provide a certificate".to_owned(),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "tls: first record does not look like a TLS handshake".to_owned(),
        Error::DecryptError => "local error: tls: bad record MAC".to_owned(),
        other => format!("tls: {other}"),
    }
}

fn certificate_text(error: &CertificateError) -> String {
    let seconds = |time: &rustls::pki_types::UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let ours = match error {
        CertificateError::BadEncoding => VerifyError::Malformed,
        CertificateError::UnhandledCriticalExtension => VerifyError::UnhandledCriticalExtension,
        CertificateError::UnknownIssuer => VerifyError::UnknownAuthority { hint: None },
        CertificateError::ExpiredContext { time, not_after } => {
            VerifyError::Expired { now: seconds(time), not_after: seconds(not_after) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            VerifyError::NotYetValid { now: seconds(time), not_before: seconds(not_before) }
        }
        CertificateError::BadSignature => {
            return "invalid signature by the certificate's key".to_owned();
        }
        CertificateError::Other(error) => return error.to_string(),
        other => return other.to_string(),
    };
    ours.to_string()
}

/// Go's name of an alert.
pub(crate) fn alert_name(alert: u8) -> String {
    alert_text(alert.into())
}

/// Go's names of the alerts (`crypto/tls/alert.go`).
fn alert_text(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::CloseNotify => "close notify",
        Alert::UnexpectedMessage => "unexpected message",
        Alert::BadRecordMac => "bad record MAC",
        Alert::DecryptionFailed => "decryption failed",
        Alert::RecordOverflow => "record overflow",
        Alert::HandshakeFailure => "handshake failure",
        Alert::BadCertificate => "bad certificate",
        Alert::UnsupportedCertificate => "unsupported certificate",
        Alert::CertificateRevoked => "revoked certificate",
        Alert::CertificateExpired => "expired certificate",
        Alert::CertificateUnknown => "unknown certificate",
        Alert::IllegalParameter => "illegal parameter",
        Alert::UnknownCA => "unknown certificate authority",
        Alert::AccessDenied => "access denied",
        Alert::DecodeError => "error decoding message",
        Alert::DecryptError => "error decrypting message",
        Alert::ProtocolVersion => "protocol version not supported",
        Alert::InsufficientSecurity => "insufficient security level",
        Alert::InternalError => "internal error",
        Alert::InappropriateFallback => "inappropriate fallback",
        Alert::UserCanceled => "user canceled",
        Alert::NoRenegotiation => "no renegotiation",
        Alert::MissingExtension => "missing extension",
        Alert::UnsupportedExtension => "unsupported extension",
        Alert::UnrecognisedName => "unrecognized name",
        Alert::UnknownPSKIdentity => "unknown PSK identity",
        Alert::CertificateRequired => "certificate required",
        Alert::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    }
    .to_owned()
}
