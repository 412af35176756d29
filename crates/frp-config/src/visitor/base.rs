//! The keys that every visitor has.

use super::VisitorPlugin;
use crate::check::CheckError;
use crate::common::default_text;
use crate::table::table;
use crate::value::Secret;

table! {
    /// The keys that every visitor has. The type is the variant of [`super::VisitorConfig`].
    pub struct VisitorBase = "v1.VisitorBaseConfig" {
        /// The visitor's name, unique per client.
        name: String = "name",
        /// Whether to start it. Unset means yes.
        enabled: Option<bool> = "enabled",
        /// How its connections are carried; must agree with the proxy's.
        transport: VisitorTransport = "transport",
        /// What the proxy asks for.
        secret_key: Secret = "secretKey",
        /// User of the proxy's client. Default: the own user.
        server_user: String = "serverUser",
        /// Name of the proxy, without user prefix.
        server_name: String = "serverName",
        /// Address to listen on. Default `127.0.0.1`.
        bind_addr: String = "bindAddr",
        /// Port to listen on; negative listens nowhere.
        bind_port: i64 = "bindPort",
        /// What takes the connections instead of a listener.
        plugin: Option<VisitorPlugin> = "plugin",
    }
}

table! {
    /// `transport` of a visitor.
    pub struct VisitorTransport = "v1.VisitorTransport" {
        /// Encrypt connections with the token.
        use_encryption: bool = "useEncryption",
        /// Compress connections.
        use_compression: bool = "useCompression",
    }
}

impl VisitorBase {
    /// Whether the visitor is to be started.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        matches!(self.enabled, None | Some(true))
    }

    pub(super) fn complete(&mut self) {
        default_text(&mut self.bind_addr, "127.0.0.1");
    }

    pub(super) fn check(&self) -> Result<(), CheckError> {
        if self.name.is_empty() {
            return Err(CheckError::new("name is required"));
        }
        if self.server_name.is_empty() {
            return Err(CheckError::new("server name is required"));
        }
        if self.bind_port == 0 {
            return Err(CheckError::new("bind port is required"));
        }
        Ok(())
    }
}
