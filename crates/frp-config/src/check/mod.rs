//! Rules for completed configurations, with upstream's texts (upstream `pkg/config/v1/validation`). What concerns one
//! proxy, visitor or plugin stands with its type.

mod annotations;
mod auth;
mod client;
mod server;

pub(crate) use annotations::annotations;
pub use client::{Circumstances, client, common};
pub use server::server;

use crate::common::{LogConfig, WebServerConfig};

/// Whether a request can name this path, and a server can compare it byte by byte.
fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
}

/// What is wrong with a configuration: one text, or several joined by newlines, exactly as upstream prints them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(String);

impl CheckError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Features that need to be allowed on the command line, by `--allow-unsafe`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnsafeFeatures(Vec<String>);

impl UnsafeFeatures {
    /// A token source of type `exec`.
    pub const TOKEN_SOURCE_EXEC: &'static str = "TokenSourceExec";

    /// Allows the features of these names; unknown names mean nothing.
    #[must_use]
    pub fn allow(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether the feature is allowed.
    #[must_use]
    pub fn is_enabled(&self, feature: &str) -> bool {
        self.0.iter().any(|name| name == feature)
    }

    fn require(&self, feature: &str) -> Result<(), CheckError> {
        if self.is_enabled(feature) {
            return Ok(());
        }
        Err(CheckError::new(format!(
            "unsafe feature \"{feature}\" is not enabled. To enable it, ensure it is allowed in the configuration or \
             command line flags"
        )))
    }
}

/// Collects all that is wrong, in the order of the checks.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    pub(crate) fn note(&mut self, outcome: Result<(), CheckError>) {
        if let Err(error) = outcome {
            self.0.push(error.0);
        }
    }

    /// Notes `text` unless the condition holds.
    pub(crate) fn require(&mut self, holds: bool, text: impl Into<String>) {
        if !holds {
            self.0.push(text.into());
        }
    }

    pub(crate) fn finish(self) -> Result<(), CheckError> {
        if self.0.is_empty() { Ok(()) } else { Err(CheckError(self.0.join("\n"))) }
    }
}

/// Checks that a port is in range; 0 is allowed.
pub(crate) fn port(port: i64, path: &str) -> Result<(), CheckError> {
    if u16::try_from(port).is_ok() {
        return Ok(());
    }
    Err(CheckError::new(format!("{path}: port number {port} must be in the range 0..65535")))
}

fn log(config: &LogConfig) -> Result<(), CheckError> {
    if ["trace", "debug", "info", "warn", "error"].contains(&config.level.as_str()) {
        return Ok(());
    }
    Err(CheckError::new("invalid log level, optional values are [trace debug info warn error]"))
}

fn web_server(config: &WebServerConfig) -> Result<(), CheckError> {
    if let Some(tls) = &config.tls {
        if tls.cert_file.is_empty() {
            return Err(CheckError::new("tls.certFile must be specified when tls is enabled"));
        }
        if tls.key_file.is_empty() {
            return Err(CheckError::new("tls.keyFile must be specified when tls is enabled"));
        }
    }
    port(config.port, "webServer.port")
}
