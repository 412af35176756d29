//! Visitor connections of stcp, sudp and xtcp.

use super::define::wire_struct;
use crate::Secret;

wire_struct! {
    /// The first message of a visitor stream.
    pub struct NewVisitorConn {
        /// The visitor's own session; clients before v0.50.0 send none.
        run_id: String = "run_id",
        /// Full name of the proxy it visits.
        proxy_name: String = "proxy_name",
        /// [`crate::digest::auth_key`] of the secret key and `timestamp`.
        sign_key: Secret = "sign_key",
        /// Unix seconds.
        timestamp: i64 = "timestamp",
        /// Whether the leg between visitor and server is encrypted.
        use_encryption: bool = "use_encryption",
        /// Whether the leg between visitor and server is compressed.
        use_compression: bool = "use_compression",
    }
}

wire_struct! {
    /// The server's answer to [`NewVisitorConn`]. Raw payload follows it in both directions.
    pub struct NewVisitorConnResp {
        /// Full name, as asked.
        proxy_name: String = "proxy_name",
        /// Why the visitor was refused; empty on success.
        error: String = "error",
    }
}
