//! Signatures checked with the provider's algorithms: those of certificates and those of handshakes.
//!
//! rustls' own checks parse the certificate with a parser that knows X.509 v3 only; here the key alone counts.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};

use super::certificate::Certificate;
use super::der;

/// A certificate whose signature does not stand. Displays as Go's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    /// The signature is not by that key.
    #[error("x509: invalid signature")]
    Invalid,
    /// Broken long ago.
    #[error("x509: cannot verify signature: insecure algorithm {0}")]
    Insecure(&'static str),
    /// Unknown, or of another kind than the key.
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    Unsupported,
}

/// Object identifiers, in DER, of what Go calls insecure, with its names.
const INSECURE: [(&[u8], &str); 5] = [
    (&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2], "MD2-RSA"),
    (&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "MD5-RSA"),
    (&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "SHA1-RSA"),
    (&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA-SHA1"),
    (&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3], "DSA-SHA1"),
];

/// Checks that the key of `issuer` signed `certificate`.
pub(super) fn verify_certificate(
    certificate: &Certificate,
    issuer: &Certificate,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), SignatureError> {
    let (key_algorithm, key) = der::public_key(&issuer.public_key_info).ok_or(SignatureError::Unsupported)?;
    let algorithm = algorithms.all.iter().find(|a| {
        a.signature_alg_id().as_ref() == certificate.signature_algorithm
            && a.public_key_alg_id().as_ref() == key_algorithm
    });
    match algorithm {
        Some(algorithm) => algorithm
            .verify_signature(key, &certificate.signed, &certificate.signature)
            .map_err(|_| SignatureError::Invalid),
        None => {
            let insecure = INSECURE.iter().find(|(id, _)| certificate.signature_algorithm.starts_with(id));
            Err(insecure.map_or(SignatureError::Unsupported, |(_, name)| SignatureError::Insecure(name)))
        }
    }
}

/// Checks the peer's signature of a TLS 1.2 handshake. There the scheme does not fix the curve: the key's
/// kind decides among the scheme's algorithms.
pub(super) fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let (key_algorithm, key) =
        der::public_key_info(certificate).and_then(der::public_key).ok_or(CertificateError::BadEncoding)?;
    let candidates = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, candidates) = candidates.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let algorithm = candidates.iter().find(|a| a.public_key_alg_id().as_ref() == key_algorithm);
    algorithm
        .ok_or(CertificateError::BadSignature)?
        .verify_signature(key, message, signed.signature())
        .map(|()| HandshakeSignatureValid::assertion())
        .map_err(|_| CertificateError::BadSignature.into())
}

/// Checks the peer's signature of a TLS 1.3 handshake.
pub(super) fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = der::public_key_info(certificate).ok_or(CertificateError::BadEncoding)?;
    verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), signed, algorithms)
}
