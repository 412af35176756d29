//! TLS of services behind an https proxy, and of their users. There is one certificate, ECDSA P-256, for
//! [`DOMAIN`], every name right below it, the host of the samples, and 127.0.0.1.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The name that the certificate is for.
pub const DOMAIN: &str = "site.test";

/// Both ends' settings.
struct Ends {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    certificate: String,
}

static ENDS: LazyLock<std::result::Result<Ends, String>> =
    LazyLock::new(|| make().map_err(|error| format!("{error:#}")));

fn make() -> Result<Ends> {
    let names =
        vec![DOMAIN.to_owned(), format!("*.{DOMAIN}"), "www.example.com".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Whole handshakes, as from users that come for the first time.
    client.resumption = rustls::client::Resumption::disabled();
    Ok(Ends {
        acceptor: TlsAcceptor::from(Arc::new(server)),
        connector: TlsConnector::from(Arc::new(client)),
        certificate: pem(made.cert.der()),
    })
}

/// A certificate as PEM (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

fn ends() -> Result<&'static Ends> {
    ENDS.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The certificate, for those who shall trust it, as PEM.
///
/// # Errors
/// It could not be made.
pub fn certificate_pem() -> Result<String> {
    Ok(ends()?.certificate.clone())
}

/// The service's handshake.
///
/// # Errors
/// The peer does not complete it.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<server::TlsStream<S>> {
    Ok(ends()?.acceptor.accept(stream).await?)
}

/// The user's handshake, as one who wants `host` and trusts nobody but [`accept`].
///
/// # Errors
/// The peer does not complete it, or is another.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
) -> Result<client::TlsStream<S>> {
    let name = ServerName::try_from(host.to_owned()).context("a host name")?;
    Ok(ends()?.connector.connect(name, stream).await?)
}
