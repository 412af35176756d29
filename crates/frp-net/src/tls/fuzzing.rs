//! The readers of files and certificates, for the targets of `fuzz/`. No part of the interface.

use rustls::pki_types::CertificateDer;

use super::certificate::Certificate;
use super::chain::{self, Usage};
use super::{der, files, generated, hostname, pem, provider};

/// Labels and contents of the blocks of a PEM file that have no headers.
pub fn pem_blocks(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let plain = pem::blocks(file).into_iter().filter(|block| !block.has_headers);
    plain.map(|block| (block.label, block.content)).collect()
}

/// Whether a PEM file has a private key that can be used.
pub fn has_key(file: &[u8]) -> bool {
    files::signing_key(pem::blocks(file), &provider()).is_ok()
}

/// Judges a certificate as that of the server `host`, and as a client's, with itself as intermediate and then as
/// authority. `None` if it is no certificate; otherwise the texts of what is wrong with it.
pub fn judge(certificate: &[u8], host: &str) -> Option<Vec<String>> {
    let der = CertificateDer::from(certificate);
    let info = der::public_key_info(certificate);
    let parsed = Certificate::parse(&der)?;
    assert_eq!(info, Some(&parsed.public_key_info[..]), "two readers of one certificate disagree");
    let own = [Certificate::parse(&der)?];
    let provider = provider();
    let algorithms = &provider.signature_verification_algorithms;
    let now = i64::midpoint(parsed.not_before, parsed.not_after);
    let mut wrong = Vec::new();
    for (intermediates, roots) in [(&own[..], &own[..]), (&own, &[]), (&[], &own)] {
        for usage in [Usage::Server, Usage::Client] {
            let outcome = chain::verify(&parsed, intermediates, roots, usage, now, algorithms);
            wrong.extend(outcome.err().map(|error| error.to_string()));
        }
    }
    wrong.extend(hostname::verify(&parsed, host).err().map(|error| error.to_string()));
    Some(wrong)
}

/// A certificate as a server without one makes it.
pub fn generated() -> Option<Vec<u8>> {
    generated::certified_key(&provider()).ok()?.cert.first().map(|certificate| certificate.to_vec())
}
