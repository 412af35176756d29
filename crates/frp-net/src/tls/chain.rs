//! Whether a chain of certificates leads to a trusted one: Go's `Certificate.Verify`.
//!
//! Go differs from the rules of the web, and from those of rustls, where frp set-ups need it:
//!
//! - The leaf may be X.509 v1, or an authority itself.
//! - A certificate in the file of authorities is trusted as it is, also as the leaf.
//! - Trusted certificates are checked like others: one that has expired, or that may not sign, is no issuer.
//!
//! Name constraints are left to rustls' own verifier ([`VerifyError::NameConstraints`]): they are intricate,
//! and a set-up that has them is one for the web anyway. Policies are not checked; a certificate whose critical
//! policy constraints would need it is refused.

use rustls::crypto::WebPkiSupportedAlgorithms;

use super::certificate::{Certificate, ExtendedUsage};
use super::hostname::HostnameError;
use super::signature::{self, SignatureError};

/// Signatures that are checked for one peer before giving up, so that a peer cannot make us work for long.
const MOST_SIGNATURE_CHECKS: usize = 100;

/// What the leaf is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Server,
    Client,
}

/// Why a certificate is not accepted. Displays as the errors of Go's `crypto/x509`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VerifyError {
    #[error("x509: malformed certificate")]
    Malformed,
    #[error("x509: unhandled critical extension")]
    UnhandledCriticalExtension,
    #[error(
        "x509: certificate has expired or is not yet valid: current time {} is after {}",
        rfc3339(*now), rfc3339(*not_after)
    )]
    Expired { now: i64, not_after: i64 },
    #[error(
        "x509: certificate has expired or is not yet valid: current time {} is before {}",
        rfc3339(*now), rfc3339(*not_before)
    )]
    NotYetValid { now: i64, not_before: i64 },
    #[error("{0}")]
    Hostname(HostnameError),
    #[error("x509: certificate signed by unknown authority{}", hint.as_ref().map_or("", |h| h.as_str()))]
    UnknownAuthority { hint: Option<String> },
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    CannotSign,
    #[error("x509: certificate is not authorized to sign other certificates")]
    NotAuthorizedToSign,
    #[error("x509: too many intermediates for path length constraint")]
    TooManyIntermediates,
    #[error("x509: certificate specifies an incompatible key usage")]
    IncompatibleUsage,
    #[error("{0}")]
    Signature(#[from] SignatureError),
    #[error("x509: signature check attempts limit reached while verifying certificate chain")]
    TooManyChecks,
    /// There is a chain, and its authorities limit the names they sign for. Not decided here.
    #[error("x509: a root or intermediate certificate is not authorized to sign for this name")]
    NameConstraints,
}

fn rfc3339(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0)
        .map_or_else(|| seconds.to_string(), |t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Checks everything about `leaf` but its host name. `now` is in Unix seconds.
pub(super) fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    usage: Usage,
    now: i64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), VerifyError> {
    check_dates_and_extensions(leaf, now)?;
    let mut search =
        Search { intermediates, roots, usage, now, algorithms, signature_checks: 0, rejected: None };
    let found = if roots.iter().any(|root| root.der == leaf.der) {
        search.accepts(&[leaf])
    } else {
        search.extend(&mut vec![leaf])?
    };
    match search.rejected {
        _ if found => Ok(()),
        Some(rejection) => Err(rejection),
        None => Err(VerifyError::UnknownAuthority { hint: None }),
    }
}

fn check_dates_and_extensions(certificate: &Certificate, now: i64) -> Result<(), VerifyError> {
    let Certificate { not_before, not_after, .. } = *certificate;
    if certificate.has_unhandled_critical_extension {
        Err(VerifyError::UnhandledCriticalExtension)
    } else if now < not_before {
        Err(VerifyError::NotYetValid { now, not_before })
    } else if now > not_after {
        Err(VerifyError::Expired { now, not_after })
    } else {
        Ok(())
    }
}

/// A depth-first search for a chain to a root.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a [Certificate],
    usage: Usage,
    now: i64,
    algorithms: &'a WebPkiSupportedAlgorithms,
    signature_checks: usize,
    /// Why a complete chain was not accepted.
    rejected: Option<VerifyError>,
}

impl<'a> Search<'a> {
    /// Looks for an issuer of the last certificate of `chain`, among the roots and then the intermediates.
    /// `Ok(false)`: all chains that reached a root were rejected, or only some.
    ///
    /// The recursion ends: every level costs a signature check and those are counted.
    fn extend(&mut self, chain: &mut Vec<&'a Certificate>) -> Result<bool, VerifyError> {
        let (roots, intermediates) = (self.roots, self.intermediates);
        let Some(&child) = chain.last() else { return Ok(false) };
        // As in Go: a candidate that did not sign is a hint, one that signed and is not valid is the reason.
        let mut hint: Option<(VerifyError, &Certificate)> = None;
        let mut reason = None;
        let mut reached_root = false;
        let candidates = roots.iter().map(|c| (c, true));
        let candidates = candidates.chain(intermediates.iter().map(|c| (c, false)));
        for (candidate, is_root) in candidates {
            if candidate.subject != child.issuer || is_in_chain(candidate, chain) {
                continue;
            }
            self.signature_checks += 1;
            if self.signature_checks > MOST_SIGNATURE_CHECKS {
                return Err(VerifyError::TooManyChecks);
            }
            if let Err(error) = self.check_signature(child, candidate) {
                hint.get_or_insert((error, candidate));
                continue;
            }
            if let Err(error) = self.check_issuer(candidate, is_root, chain.len()) {
                reason = Some(error);
                continue;
            }
            chain.push(candidate);
            let accepted = if is_root { Ok(self.accepts(chain)) } else { self.extend(chain) };
            chain.pop();
            match accepted {
                Ok(true) => return Ok(true),
                Ok(false) => reached_root = true,
                Err(VerifyError::TooManyChecks) => return Err(VerifyError::TooManyChecks),
                Err(error) => reason = Some(error),
            }
        }
        match reason {
            _ if reached_root => return Ok(false),
            Some(reason) => return Err(reason),
            None => {}
        }
        let hint = hint.map(|(error, candidate)| {
            let name = &candidate.display_name;
            format!(
                " (possibly because of {:?} while trying to verify candidate authority certificate {name:?})",
                error.to_string()
            )
        });
        Err(VerifyError::UnknownAuthority { hint })
    }

    /// Whether `issuer` is one that may have signed `child`, and did.
    fn check_signature(&self, child: &Certificate, issuer: &Certificate) -> Result<(), VerifyError> {
        // Before version 3 a certificate could not say whether it is an authority.
        let is_authority = match issuer.basic_constraints {
            Some(basic) => basic.is_authority,
            None => !issuer.is_version_3,
        };
        if !is_authority || !issuer.may_sign_certificates {
            return Err(VerifyError::CannotSign);
        }
        Ok(signature::verify_certificate(child, issuer, self.algorithms)?)
    }

    /// Whether `issuer` is valid above `depth` other certificates.
    fn check_issuer(&self, issuer: &Certificate, is_root: bool, depth: usize) -> Result<(), VerifyError> {
        check_dates_and_extensions(issuer, self.now)?;
        if !is_root && issuer.basic_constraints.is_none() {
            return Err(VerifyError::NotAuthorizedToSign);
        }
        let path_length = issuer.basic_constraints.and_then(|basic| basic.path_length);
        let intermediates_below = depth.saturating_sub(1);
        if path_length.is_some_and(|most| intermediates_below > usize::try_from(most).unwrap_or(usize::MAX)) {
            return Err(VerifyError::TooManyIntermediates);
        }
        Ok(())
    }

    /// The checks of a complete chain.
    fn accepts(&mut self, chain: &[&Certificate]) -> bool {
        let allows = |usage: ExtendedUsage| {
            usage.any
                || match self.usage {
                    Usage::Server => usage.server,
                    Usage::Client => usage.client,
                }
        };
        let rejection = if !chain.iter().filter_map(|c| c.extended_usage).all(allows) {
            VerifyError::IncompatibleUsage
        } else if chain.iter().skip(1).any(|c| c.has_name_constraints) {
            VerifyError::NameConstraints
        } else {
            return true;
        };
        // A chain that is only constrained in its names can still be found good by others.
        if self.rejected != Some(VerifyError::NameConstraints) {
            self.rejected = Some(rejection);
        }
        false
    }
}

/// Whether a certificate of the same name, key and alternative names is in the chain: it would lead in a circle.
fn is_in_chain(candidate: &Certificate, chain: &[&Certificate]) -> bool {
    chain.iter().any(|c| {
        c.subject == candidate.subject
            && c.public_key_info == candidate.public_key_info
            && c.alternative_names == candidate.alternative_names
    })
}
