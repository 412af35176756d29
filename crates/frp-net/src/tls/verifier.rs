//! Our checks in the shape that rustls asks for.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::certificate::Certificate;
use super::chain::{self, Usage, VerifyError};
use super::{der, hostname, signature};

/// The certificates that are trusted, and what checks others against them.
struct Authorities {
    roots: Vec<Certificate>,
    provider: Arc<CryptoProvider>,
}

impl Authorities {
    fn verify(
        &self,
        leaf: &Certificate,
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        // One that cannot be read cannot be part of a chain; the others may still form one.
        let intermediates: Vec<_> = intermediates.iter().filter_map(Certificate::parse).collect();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let algorithms = &self.provider.signature_verification_algorithms;
        chain::verify(leaf, &intermediates, &self.roots, usage, now, algorithms)
    }

    /// The same authorities for rustls' own verifier, which knows name constraints.
    fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().map(|root| root.der.clone()));
        Arc::new(store)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.roots.iter().map(|root| &root.display_name)).finish()
    }
}

/// A server's certificate against `transport.tls.trustedCaFile` and the server's name.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    authorities: Authorities,
    host: String,
}

impl ServerVerifier {
    pub(super) fn new(roots: Vec<Certificate>, host: String, provider: Arc<CryptoProvider>) -> Self {
        Self { authorities: Authorities { roots, provider }, host }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = Certificate::parse(end_entity).ok_or_else(|| rejected(VerifyError::Malformed))?;
        let outcome = self.authorities.verify(&leaf, intermediates, Usage::Server, now);
        if outcome == Err(VerifyError::NameConstraints) {
            let provider = Arc::clone(&self.authorities.provider);
            return WebPkiServerVerifier::builder_with_provider(self.authorities.store(), provider)
                .build()
                .map_err(|_| rejected(VerifyError::NameConstraints))?
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        outcome
            .and_then(|()| hostname::verify(&leaf, &self.host).map_err(VerifyError::Hostname))
            .map(|()| ServerCertVerified::assertion())
            .map_err(rejected)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(&self.authorities.provider, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(&self.authorities.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A server's certificate where no authorities are configured: any will do, as in upstream, and so will any
/// signature: checking that the server has the key of a certificate that anybody can make proves nothing, and the
/// certificates that servers before v0.50 generate have RSA keys of 1,024 bits, which the provider refuses to
/// verify with. Such a connection is private against listeners and nothing more.
#[derive(Debug)]
pub(super) struct AnyServer {
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A client's certificate, which must be there, against the server's `transport.tls.trustedCaFile`.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    authorities: Authorities,
    /// Sent to clients: Go's choose by them whether to present their certificate at all.
    subjects: Vec<DistinguishedName>,
}

impl ClientVerifier {
    pub(super) fn new(roots: Vec<Certificate>, provider: Arc<CryptoProvider>) -> Self {
        let content = |root: &Certificate| Some(der::sequence(&root.subject)?.content.to_vec());
        let subjects = roots.iter().filter_map(content).map(|name| DistinguishedName::in_sequence(&name));
        let subjects = subjects.collect();
        Self { authorities: Authorities { roots, provider }, subjects }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let leaf = Certificate::parse(end_entity).ok_or_else(|| rejected(VerifyError::Malformed))?;
        let outcome = self.authorities.verify(&leaf, intermediates, Usage::Client, now);
        if outcome == Err(VerifyError::NameConstraints) {
            let provider = Arc::clone(&self.authorities.provider);
            return WebPkiClientVerifier::builder_with_provider(self.authorities.store(), provider)
                .build()
                .map_err(|_| rejected(VerifyError::NameConstraints))?
                .verify_client_cert(end_entity, intermediates, now);
        }
        outcome.map(|()| ClientCertVerified::assertion()).map_err(rejected)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(&self.authorities.provider, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(&self.authorities.provider, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Our error inside rustls': where the peer can be told something precise, as the error of that alert, else
/// with our text.
fn rejected(error: VerifyError) -> Error {
    let time =
        |seconds: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.unsigned_abs()));
    let certificate_error = match error {
        VerifyError::Malformed => CertificateError::BadEncoding,
        VerifyError::UnhandledCriticalExtension => CertificateError::UnhandledCriticalExtension,
        VerifyError::UnknownAuthority { hint: None } => CertificateError::UnknownIssuer,
        VerifyError::Expired { now, not_after } if not_after >= 0 => {
            CertificateError::ExpiredContext { time: time(now), not_after: time(not_after) }
        }
        VerifyError::NotYetValid { now, not_before } => {
            CertificateError::NotValidYetContext { time: time(now), not_before: time(not_before) }
        }
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(certificate_error)
}

fn verify_tls12_signature(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider.signature_verification_algorithms;
    signature::verify_tls12(message, certificate, signed, algorithms)
}

fn verify_tls13_signature(
    provider: &CryptoProvider,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider.signature_verification_algorithms;
    signature::verify_tls13(message, certificate, signed, algorithms)
}
