//! Certificates that vouch for each other, as files.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A PEM block, in lines of 64 characters, which is what every reader takes.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whose own certificate is `NAME.crt` in `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificate: &rcgen::Certificate = issuer.as_ref();
        fs::write(folder.join(format!("{name}.crt")), pem("CERTIFICATE", certificate.der()))?;
        Ok(Self(issuer))
    }

    /// A certificate for `host` and any use of TLS, as `NAME.crt` and `NAME.key` in `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn issue(&self, folder: &Path, name: &str, host: &str) -> Result<()> {
        let now = SystemTime::now();
        self.issue_for(folder, name, host, (now - DAY, now + DAY))
    }

    /// The same, of yesterday.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn issue_expired(&self, folder: &Path, name: &str, host: &str) -> Result<()> {
        let now = SystemTime::now();
        self.issue_for(folder, name, host, (now - 2 * DAY, now - DAY))
    }

    fn issue_for(
        &self,
        folder: &Path,
        name: &str,
        host: &str,
        (from, to): (SystemTime, SystemTime),
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = from.into();
        params.not_after = to.into();
        let certificate = params.signed_by(&key, &self.0)?;
        fs::write(folder.join(format!("{name}.crt")), pem("CERTIFICATE", certificate.der()))?;
        fs::write(folder.join(format!("{name}.key")), pem("PRIVATE KEY", key.serialized_der()))?;
        Ok(())
    }
}
