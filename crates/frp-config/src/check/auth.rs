//! Rules for `auth`.

use super::{CheckError, Findings, UnsafeFeatures};
use crate::client::{AuthClientConfig, AuthOidcClientConfig};
use crate::common::{ExecSource, ValueSource};
use crate::server::AuthServerConfig;
use crate::value::Secret;

pub(super) fn server(auth: &AuthServerConfig, allowed: &UnsafeFeatures, findings: &mut Findings) {
    method_and_scopes(&auth.method, &auth.additional_scopes, findings);
    token(&auth.token, auth.token_source.as_ref(), allowed, findings);
}

pub(super) fn client(auth: &AuthClientConfig, allowed: &UnsafeFeatures, findings: &mut Findings) {
    method_and_scopes(&auth.method, &auth.additional_scopes, findings);
    token(&auth.token, auth.token_source.as_ref(), allowed, findings);
    oidc_source(&auth.oidc, allowed, findings);
    if auth.method == "oidc" && auth.oidc.token_source.is_none() {
        findings.note(oidc_credentials(&auth.oidc));
    }
}

fn method_and_scopes(method: &str, scopes: &[String], findings: &mut Findings) {
    findings.require(
        ["token", "oidc"].contains(&method),
        "invalid auth method, optional values are [token oidc]",
    );
    findings.require(
        scopes.iter().all(|scope| ["HeartBeats", "NewWorkConns"].contains(&scope.as_str())),
        "invalid auth additional scopes, optional values are [HeartBeats NewWorkConns]",
    );
}

fn token(token: &Secret, source: Option<&ValueSource>, allowed: &UnsafeFeatures, findings: &mut Findings) {
    let Some(source) = source else { return };
    findings.require(token.is_empty(), "cannot specify both auth.token and auth.tokenSource");
    value_source(source, "auth.tokenSource", allowed, findings);
}

fn value_source(source: &ValueSource, path: &str, allowed: &UnsafeFeatures, findings: &mut Findings) {
    if source.kind == "exec" {
        findings.note(allowed.require(UnsafeFeatures::TOKEN_SOURCE_EXEC));
    }
    if let Err(error) = source.check() {
        findings.require(false, format!("invalid {path}: {error}"));
    }
}

impl ValueSource {
    /// Checks that the source says all that its type needs.
    ///
    /// # Errors
    /// The configuration is at fault; upstream's text, without `invalid auth.tokenSource: ` before it.
    pub fn check(&self) -> Result<(), CheckError> {
        match self.kind.as_str() {
            "file" => {
                let file = self
                    .file
                    .as_ref()
                    .ok_or_else(|| CheckError::new("file configuration is required when type is 'file'"))?;
                if file.path.is_empty() { Err(CheckError::new("file path cannot be empty")) } else { Ok(()) }
            }
            "exec" => self
                .exec
                .as_ref()
                .ok_or_else(|| CheckError::new("exec configuration is required when type is 'exec'"))?
                .check(),
            other => Err(CheckError::new(format!(
                "unsupported value source type: {other} (only 'file' and 'exec' are supported)"
            ))),
        }
    }
}

impl ExecSource {
    fn check(&self) -> Result<(), CheckError> {
        if self.command.is_empty() {
            return Err(CheckError::new("exec command cannot be empty"));
        }
        for variable in &self.env {
            if variable.name.is_empty() {
                return Err(CheckError::new("exec env name cannot be empty"));
            }
            if variable.name.contains('=') {
                return Err(CheckError::new("exec env name cannot contain '='"));
            }
        }
        Ok(())
    }
}

fn oidc_source(oidc: &AuthOidcClientConfig, allowed: &UnsafeFeatures, findings: &mut Findings) {
    let Some(source) = &oidc.token_source else { return };
    let alone =
        AuthOidcClientConfig { token_source: oidc.token_source.clone(), ..AuthOidcClientConfig::default() };
    findings.require(
        *oidc == alone,
        "cannot specify both auth.oidc.tokenSource and any other field of auth.oidc",
    );
    value_source(source, "auth.oidc.tokenSource", allowed, findings);
}

/// What the client credentials flow needs; all faults in one text.
fn oidc_credentials(oidc: &AuthOidcClientConfig) -> Result<(), CheckError> {
    let mut faults = Vec::new();
    if oidc.client_id.is_empty() {
        faults.push("auth.oidc.clientID is required");
    }
    faults.extend(endpoint_fault(&oidc.token_endpoint_url));
    if oidc.additional_endpoint_params.contains_key("scope") {
        faults.push("auth.oidc.additionalEndpointParams.scope is not allowed; use auth.oidc.scope instead");
    }
    if !oidc.audience.is_empty() && oidc.additional_endpoint_params.contains_key("audience") {
        faults.push("cannot specify both auth.oidc.audience and auth.oidc.additionalEndpointParams.audience");
    }
    if faults.is_empty() { Ok(()) } else { Err(CheckError::new(faults.join("; "))) }
}

fn endpoint_fault(url: &str) -> Option<&'static str> {
    if url.is_empty() {
        return Some("auth.oidc.tokenEndpointURL is required");
    }
    match absolute_url_scheme(url).as_deref() {
        None => Some("auth.oidc.tokenEndpointURL must be an absolute http or https URL"),
        Some("http" | "https") => None,
        Some(_) => Some("auth.oidc.tokenEndpointURL must use http or https"),
    }
}

/// The scheme, in lower case, of a URL with scheme and host, as Go's `net/url` finds them.
fn absolute_url_scheme(url: &str) -> Option<String> {
    if url.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let url = url.split('#').next().unwrap_or_default();
    let (scheme, rest) = url.split_once(':')?;
    let scheme_ok = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let authority = rest.strip_prefix("//")?.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port_ok = match host.strip_prefix('[') {
        Some(literal) => literal.split_once(']').is_some_and(|(_, port)| is_port_suffix(port)),
        None => host.find(':').is_none_or(|at| is_port_suffix(host.get(at..).unwrap_or_default())),
    };
    let characters_ok = host
        .chars()
        .all(|character| !matches!(character, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'));
    (scheme_ok && port_ok && characters_ok && !host.is_empty()).then(|| scheme.to_ascii_lowercase())
}

/// Nothing, or a colon and digits.
fn is_port_suffix(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}
