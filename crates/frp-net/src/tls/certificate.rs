//! A certificate, reduced to the facts that verification needs.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::der;

/// A parsed certificate. Versions 1 to 3, with or without extensions, subject or names.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) der: CertificateDer<'static>,
    /// The signed part, for its issuer's signature.
    pub(super) signed: Vec<u8>,
    /// Content of the signature's `AlgorithmIdentifier`.
    pub(super) signature_algorithm: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// Distinguished names in DER, compared byte by byte.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// `SubjectPublicKeyInfo` in DER.
    pub(super) public_key_info: Vec<u8>,
    /// Only version 3 certificates can and must say that they are an authority.
    pub(super) is_version_3: bool,
    /// Unix seconds; both ends are within the validity.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) basic_constraints: Option<BasicConstraints>,
    /// Whether its key usage, if any, includes signing certificates.
    pub(super) may_sign_certificates: bool,
    /// `None`: no such extension, good for anything.
    pub(super) extended_usage: Option<ExtendedUsage>,
    /// Contents of the extension, to tell certificates of one name and key apart.
    pub(super) alternative_names: Option<Vec<u8>>,
    pub(super) dns_names: Vec<String>,
    pub(super) ip_addresses: Vec<IpAddr>,
    pub(super) has_name_constraints: bool,
    pub(super) has_unhandled_critical_extension: bool,
    pub(super) common_name: String,
    /// What to call it in an error.
    pub(super) display_name: String,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BasicConstraints {
    pub(super) is_authority: bool,
    pub(super) path_length: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ExtendedUsage {
    pub(super) any: bool,
    pub(super) server: bool,
    pub(super) client: bool,
}

impl Certificate {
    /// Parses DER. `None` if it is not a certificate, or one that contradicts itself.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (trailing, parsed) = X509Certificate::from_der(der).ok()?;
        let (signed, signature_algorithm, signature) = der::certificate(der)?;
        // The signed part says how it is signed, too.
        if !trailing.is_empty() || parsed.tbs_certificate.signature != parsed.signature_algorithm {
            return None;
        }
        let mut attributes = parsed.subject().iter_common_name().chain(parsed.subject().iter_organization());
        let common_name =
            parsed.subject().iter_common_name().last().and_then(|a| a.as_str().ok()).unwrap_or_default();
        let display_name = attributes
            .find_map(|a| a.as_str().ok())
            .map_or_else(|| format!("serial:{}", parsed.tbs_certificate.serial), str::to_owned);
        let mut certificate = Self {
            der: der.clone().into_owned(),
            signed: signed.whole.to_vec(),
            signature_algorithm: signature_algorithm.to_vec(),
            signature: signature.to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            // The same bytes as for handshakes: the parser leaves out what follows the key.
            public_key_info: der::public_key_info(der)?.to_vec(),
            is_version_3: parsed.version() == X509Version::V3,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            basic_constraints: None,
            may_sign_certificates: true,
            extended_usage: None,
            alternative_names: None,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            has_name_constraints: false,
            has_unhandled_critical_extension: false,
            common_name: common_name.to_owned(),
            display_name,
        };
        let extensions = parsed.extensions();
        for (index, extension) in extensions.iter().enumerate() {
            if extensions.iter().take(index).any(|earlier| earlier.oid == extension.oid) {
                return None;
            }
            certificate.take(extension)?;
        }
        Some(certificate)
    }

    /// Notes one extension. `None` if it is one that matters and cannot be read.
    fn take(&mut self, extension: &X509Extension<'_>) -> Option<()> {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) => {
                self.basic_constraints =
                    Some(BasicConstraints { is_authority: basic.ca, path_length: basic.path_len_constraint });
            }
            // A key usage without any bit says nothing (Go `CheckSignatureFrom`).
            ParsedExtension::KeyUsage(usage) => {
                self.may_sign_certificates = usage.flags == 0 || usage.key_cert_sign();
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.extended_usage = Some(ExtendedUsage {
                    any: usage.any,
                    server: usage.server_auth,
                    client: usage.client_auth,
                });
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                self.alternative_names = Some(extension.value.to_vec());
                let mut readable = false;
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                        GeneralName::IPAddress(bytes) => self.ip_addresses.push(ip_address(bytes)?),
                        GeneralName::RFC822Name(_) | GeneralName::URI(_) => {}
                        _ => continue,
                    }
                    readable = true;
                }
                self.has_unhandled_critical_extension |= extension.critical && !readable;
            }
            ParsedExtension::NameConstraints(_) => self.has_name_constraints = true,
            ParsedExtension::AuthorityKeyIdentifier(_)
            | ParsedExtension::SubjectKeyIdentifier(_)
            | ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::CRLDistributionPoints(_)
            | ParsedExtension::AuthorityInfoAccess(_) => {}
            _ if decides(extension) => return None,
            _ => self.has_unhandled_critical_extension |= extension.critical,
        }
        Some(())
    }
}

/// Whether an extension is one of those that the checks read, here without having been understood.
fn decides(extension: &X509Extension<'_>) -> bool {
    [
        oid::OID_X509_EXT_BASIC_CONSTRAINTS,
        oid::OID_X509_EXT_KEY_USAGE,
        oid::OID_X509_EXT_EXTENDED_KEY_USAGE,
        oid::OID_X509_EXT_SUBJECT_ALT_NAME,
        oid::OID_X509_EXT_NAME_CONSTRAINTS,
    ]
    .contains(&extension.oid)
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}
