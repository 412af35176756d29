//! The client's end.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use frp_stream::Stream;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsConnector;

use super::connection::TlsConnection;
use super::error::{TlsError, worded};
use super::read_ahead::ReadAhead;
use super::verifier::{AnyServer, ServerVerifier};
use super::{VERSIONS, Versions, files, provider};

/// The `transport.tls` keys of frpc. An empty path is one that is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTlsOptions {
    /// `certFile`: PEM, the client's certificate first. Without it or without `key_file` none is presented.
    pub cert_file: String,
    /// `keyFile`: PEM; PKCS#1, PKCS#8 or SEC1.
    pub key_file: String,
    /// `trustedCaFile`: if set, one of these must vouch for the server's certificate, and that must name the
    /// server. If not, any certificate will do.
    pub trusted_ca_file: String,
    /// `serverName`, or `serverAddr` where that is not set: what the certificate must name, and the server name
    /// indication (which is left out for an IP literal).
    pub server_name: String,
}

/// The client's end of TLS. Cheap to clone; one per process, so that sessions can be resumed.
#[derive(Clone)]
pub struct ClientTls {
    pub(super) connector: TlsConnector,
    pub(super) server_name: ServerName<'static>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read or used, with upstream's texts.
    pub fn new(options: &ClientTlsOptions) -> Result<Self, TlsError> {
        Self::with_versions(options, &VERSIONS)
    }

    pub(super) fn with_versions(options: &ClientTlsOptions, versions: Versions) -> Result<Self, TlsError> {
        let ClientTlsOptions { cert_file, key_file, trusted_ca_file, server_name } = options;
        let provider = provider();
        let certificate = if cert_file.is_empty() || key_file.is_empty() {
            None
        } else {
            Some(files::certified_key(Path::new(cert_file), Path::new(key_file), &provider)?)
        };
        let verifier: Arc<dyn ServerCertVerifier> = if trusted_ca_file.is_empty() {
            Arc::new(AnyServer { provider: Arc::clone(&provider) })
        } else {
            let authorities = files::authorities(Path::new(trusted_ca_file))?;
            Arc::new(ServerVerifier::new(authorities, server_name.clone(), Arc::clone(&provider)))
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match certificate {
            Some(key) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => config.with_no_client_auth(),
        };
        Ok(Self { connector: Arc::new(config).into(), server_name: indication(server_name) })
    }

    /// The handshake. Cancelling it loses the connection; there is no deadline here.
    ///
    /// # Errors
    /// The peer's fault or the connection's, with Go's texts: `tls: failed to verify certificate: x509:
    /// certificate signed by unknown authority`. With TLS 1.3 a server that refuses the client's certificate is
    /// noticed by the first read only.
    pub async fn connect(&self, stream: Stream) -> io::Result<Stream> {
        let connected =
            self.connector.connect(self.server_name.clone(), ReadAhead::new(stream)).await.map_err(worded)?;
        Ok(Stream::boxed(TlsConnection::new(connected)))
    }
}

impl ClientTls {
    /// The same for QUIC, which brings its own records, and the server's name.
    pub(crate) fn for_quic(&self) -> (ClientConfig, String) {
        let mut config = (**self.connector.config()).clone();
        config.alpn_protocols = vec![crate::quic::ALPN.to_vec()];
        (config, self.server_name.to_str().into_owned())
    }
}

/// What to tell the server about its name. For an IP literal, and for what is no name at all, an address: then
/// nothing is sent. (The verifier has the name from the configuration.)
fn indication(server_name: &str) -> ServerName<'static> {
    let bare = server_name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(server_name);
    ServerName::try_from(bare.to_owned())
        .unwrap_or_else(|_| ServerName::IpAddress(IpAddr::from(Ipv4Addr::UNSPECIFIED).into()))
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
