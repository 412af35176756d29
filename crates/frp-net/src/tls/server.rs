//! The server's end.

use std::io;
use std::path::Path;
use std::sync::Arc;

use frp_stream::Stream;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsAcceptor;

use super::connection::TlsConnection;
use super::error::{TlsError, worded};
use super::read_ahead::ReadAhead;
use super::verifier::ClientVerifier;
use super::{VERSIONS, Versions, files, generated, has_fast_aes, provider};

/// The `transport.tls` keys of frps. An empty path is one that is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTlsOptions {
    /// `certFile`: PEM, the server's certificate first. Without it or without `key_file` a certificate is
    /// generated.
    pub cert_file: String,
    /// `keyFile`: PEM; PKCS#1, PKCS#8 or SEC1.
    pub key_file: String,
    /// `trustedCaFile`: if set, clients must have a certificate that one of these vouches for.
    pub trusted_ca_file: String,
}

/// The server's end of TLS. Cheap to clone; one per process, so that sessions can be resumed on any connection.
///
/// Resuming a session saves a server whose certificate has an RSA key most of the handshake's cost, and any server
/// the check of the client's certificate.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) acceptor: TlsAcceptor,
}

impl ServerTls {
    /// Reads the files, or generates a certificate.
    ///
    /// # Errors
    /// When a file cannot be read or used, with upstream's texts.
    pub fn new(options: &ServerTlsOptions) -> Result<Self, TlsError> {
        Self::with_versions(options, &VERSIONS)
    }

    pub(super) fn with_versions(options: &ServerTlsOptions, versions: Versions) -> Result<Self, TlsError> {
        let ServerTlsOptions { cert_file, key_file, trusted_ca_file } = options;
        let provider = provider();
        let key = if cert_file.is_empty() || key_file.is_empty() {
            generated::certified_key(&provider)?
        } else {
            files::certified_key(Path::new(cert_file), Path::new(key_file), &provider)?
        };
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let config = if trusted_ca_file.is_empty() {
            config.with_no_client_auth()
        } else {
            let authorities = files::authorities(Path::new(trusted_ca_file))?;
            config.with_client_cert_verifier(Arc::new(ClientVerifier::new(authorities, provider)))
        };
        let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        // A client without AES instructions asks for ChaCha20 first and gets it; where we have none, it gets it too.
        config.ignore_client_order = !has_fast_aes();
        // Sessions are kept by the clients, encrypted, and not here; each handshake gives one, as in Go.
        config.ticketer = Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { acceptor: Arc::new(config).into() })
    }

    /// The handshake. Cancelling it loses the connection; there is no deadline here.
    ///
    /// # Errors
    /// The peer's fault or the connection's, with Go's texts: `tls: client didn't provide a certificate`.
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        let accepted = self.acceptor.accept(ReadAhead::new(stream)).await.map_err(worded)?;
        Ok(Stream::boxed(TlsConnection::new(accepted)))
    }
}

impl ServerTls {
    /// The same for QUIC, which brings its own records.
    pub(crate) fn for_quic(&self) -> ServerConfig {
        let mut config = (**self.acceptor.config()).clone();
        config.alpn_protocols = vec![crate::quic::ALPN.to_vec()];
        config
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
