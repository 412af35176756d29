//! Certificates, keys and authorities from files (upstream `pkg/transport/tls.go`, Go `tls.X509KeyPair` and
//! `x509.CertPool`).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};
use rustls::sign::{CertifiedKey, SigningKey};

use super::certificate::Certificate;
use super::error::TlsError;
use super::pem::{self, Block};

const CERTIFICATE: &str = "CERTIFICATE";

/// The certificates of a file of authorities. Blocks that are something else, or that cannot be read, are
/// skipped.
pub(super) fn authorities(path: &Path) -> Result<Vec<Certificate>, TlsError> {
    let blocks = pem::blocks(&read(path)?);
    let certificates = blocks.into_iter().filter(|b| b.label == CERTIFICATE && !b.has_headers);
    let authorities: Vec<_> =
        certificates.filter_map(|b| Certificate::parse(&CertificateDer::from(b.content))).collect();
    if authorities.is_empty() {
        return Err(TlsError::NoAuthorities { path: path.to_owned() });
    }
    Ok(authorities)
}

/// Where systems keep the authorities that they trust, one file each. Those of Go's `crypto/x509/root_linux.go` and its
/// like.
const SYSTEM_FILES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The file of the system's authorities, for [`super::ClientTlsOptions::trusted_ca_file`]: that of `SSL_CERT_FILE` in the
/// environment, or the first that is there. Where there is none, the most usual name, which the error then names.
#[must_use]
pub fn system_authorities() -> String {
    if let Some(file) = std::env::var("SSL_CERT_FILE").ok().filter(|file| !file.is_empty()) {
        return file;
    }
    let found = SYSTEM_FILES.into_iter().find(|file| Path::new(file).exists());
    found.or(SYSTEM_FILES.first().copied()).unwrap_or_default().to_owned()
}

/// A certificate, with those of its issuers if the file has them, and its key.
pub(super) fn certified_key(
    certificate_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let certificate_blocks = pem::blocks(&read(certificate_file)?);
    let key_blocks = pem::blocks(&read(key_file)?);
    let chain = chain(certificate_blocks)?;
    let leaf = chain.first().and_then(Certificate::parse).ok_or(TlsError::MalformedCertificate)?;
    let key = signing_key(key_blocks, provider)?;
    match key.public_key() {
        Some(public) if public.as_ref() != leaf.public_key_info => Err(TlsError::KeyMismatch),
        _ => Ok(CertifiedKey::new(chain, key)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|cause| TlsError::Read { path: path.to_owned(), cause })
}

fn chain(blocks: Vec<Block>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (certificates, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.label == CERTIFICATE);
    if !certificates.is_empty() {
        return Ok(certificates.into_iter().map(|b| b.content.into()).collect());
    }
    Err(TlsError::NoCertificate(match others.as_slice() {
        [] => "failed to find any PEM data in certificate input".to_owned(),
        [only] if is_key(only) => "failed to find certificate PEM data in certificate input, but did find a \
                                   private key; PEM inputs may have been switched"
            .to_owned(),
        others => format!(
            "failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the \
             following types: {}",
            labels(others)
        ),
    }))
}

pub(super) fn signing_key(
    blocks: Vec<Block>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, TlsError> {
    let found = match blocks.iter().position(is_key) {
        Some(index) => blocks.into_iter().nth(index),
        None => {
            return Err(TlsError::NoKey(match blocks.as_slice() {
                [] => "failed to find any PEM data in key input".to_owned(),
                [only] if only.label == CERTIFICATE => {
                    "found a certificate rather than a key in the PEM for the private key".to_owned()
                }
                others => format!(
                    "failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping \
                     PEM blocks of the following types: {}",
                    labels(others)
                ),
            }));
        }
    };
    let der = found.map(|b| b.content).unwrap_or_default();
    // As Go does: the label does not matter, the content does.
    let forms = [
        PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der.clone())),
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.clone())),
        PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
    ];
    let load = |form| provider.key_provider.load_private_key(form).ok();
    forms.into_iter().find_map(load).ok_or(TlsError::MalformedKey)
}

fn is_key(block: &Block) -> bool {
    block.label == "PRIVATE KEY" || block.label.ends_with(" PRIVATE KEY")
}

/// A list as Go prints a slice of strings.
fn labels(blocks: &[Block]) -> String {
    format!("[{}]", blocks.iter().map(|b| b.label.as_str()).collect::<Vec<_>>().join(" "))
}
