//! The certificate of a server that has none configured.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::error::TlsError;

/// Room for a client whose clock is behind.
const BEFORE: Duration = Duration::from_secs(60 * 60);
const AFTER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A new self-signed certificate with a key of its own, valid from an hour ago for ten years, without subject,
/// names or extensions, as upstream's (`pkg/transport/tls.go`, `newRandomTLSKeyPair`). Nobody can verify it; it
/// carries a key and nothing else.
///
/// The key is ECDSA on P-256 where upstream's is RSA-2048: it takes no time to make, handshakes cost a server a
/// fraction, and every release of frpc since TLS was added accepts it.
pub(super) fn certified_key(provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + AFTER).into();
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing_key = provider.key_provider.load_private_key(der)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&signing_key)))
}
