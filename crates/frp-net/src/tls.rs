//! TLS on connections between the two programs: rustls, with certificate checks as lenient and as strict as
//! Go's, because the certificates in use were made for Go.
//!
//! Versions 1.2 and 1.3, no ALPN (`docs/protocol.md`; upstream `pkg/transport/tls.go`, `pkg/util/net/tls.go`).
//! Handshakes run in the caller's task and have no deadline of their own: wrap them in the connection's.
//!
//! Where a peer's certificate is checked, the rules are those of Go's `crypto/x509` and not those of the web:
//! X.509 v1 leaves pass, so does a certificate that is itself in the file of authorities, and an expired
//! authority does not. `chain` has the rules. Differences that remain: RSA keys shorter than 2,048 bits are
//! refused (Go draws the line at 1,024), and so are certificates with policy constraints.

use std::io;
use std::sync::Arc;

use frp_proto::sniff::{TLS_HELLO, TLS_MARKER};
use frp_stream::Stream;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod certificate;
mod chain;
mod client;
mod connection;
mod der;
mod error;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generated;
mod hostname;
mod pem;
mod read_ahead;
mod server;
mod signature;
mod verifier;

pub use client::{ClientTls, ClientTlsOptions};
pub(crate) use error::alert_name;
pub use error::{TlsError, error_text};
pub use files::system_authorities;
pub use server::{ServerTls, ServerTlsOptions};

/// The versions that both sides speak, Go's defaults since its release 1.18.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

type Versions = &'static [&'static SupportedProtocolVersion];

/// The cryptography of both sides, the cheapest cipher first, as in Go (`crypto/tls/cipher_suites.go`): AES-128 on
/// hardware with AES instructions, ChaCha20 elsewhere.
///
/// aws-lc and not ring, measured on 2026-11-23 with rustls 0.23.46 on an AMD EPYC of the fifth generation, one core,
/// records of 16 KiB, encryption and decryption together: AES-128-GCM 0.13 s/GB against 0.22, AES-256-GCM 0.14
/// against 0.23, ChaCha20-Poly1305 0.78 with both; a full TLS 1.3 handshake with P-256, both ends together, 125 us
/// against 146. ring would make each program 2 MB smaller. What aws-lc does at its first random number, it does not
/// do here: see `.cargo/config.toml`.
fn provider() -> Arc<CryptoProvider> {
    provider_for(has_fast_aes())
}

fn provider_for(fast_aes: bool) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let place = match suite.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 1,
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 2,
            _ if fast_aes => 3,
            _ => 0,
        };
        (suite.tls13().is_none(), place)
    });
    Arc::new(provider)
}

/// Whether the processor has instructions for AES-GCM; without them ChaCha20 costs a fraction of it.
fn has_fast_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let found =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let found = false;
    found
}

/// How a peer began its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Without TLS.
    Plain,
    /// With a TLS hello.
    Tls,
    /// With the marker 0x17 and then a TLS hello.
    MarkedTls,
}

/// Reads the first byte and does what it asks for: 0x17 is dropped and TLS follows, 0x16 begins TLS, anything
/// else is plain. `force` refuses plain connections.
///
/// # Errors
/// `non-TLS connection received on a TlsOnly server`, `EOF` for a peer that sent nothing, or the handshake's.
/// Cancelling loses the connection.
pub async fn accept_by_first_byte(
    mut stream: Stream,
    tls: &ServerTls,
    force: bool,
) -> io::Result<(Stream, Security)> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF"));
    }
    let [byte] = first;
    if byte == TLS_MARKER {
        return Ok((tls.accept(stream).await?, Security::MarkedTls));
    }
    let stream = stream.with_prefix(vec![byte].into());
    match byte {
        TLS_HELLO => Ok((tls.accept(stream).await?, Security::Tls)),
        _ if force => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "non-TLS connection received on a TlsOnly server",
        )),
        _ => Ok((stream, Security::Plain)),
    }
}

/// Announces TLS with the marker 0x17, as a client does whose `transport.tls.disableCustomTLSFirstByte` is
/// false; [`ClientTls::connect`] comes next.
///
/// # Errors
/// The stream's.
pub async fn write_marker(stream: &mut Stream) -> io::Result<()> {
    stream.write_all(&[TLS_MARKER]).await
}

#[cfg(test)]
mod tests;
