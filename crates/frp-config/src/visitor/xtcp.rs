//! `xtcp`: a local port that leads to an xtcp proxy, past the server.

use super::VisitorBase;
use crate::check::CheckError;
use crate::common::{NatTraversalConfig, default_number, default_text};
use crate::table::table;

table! {
    /// An xtcp visitor.
    pub struct XtcpVisitor = "v1.XTCPVisitorConfig" {
        .. {
            /// The keys of every visitor.
            base: VisitorBase,
        }
        /// `quic` or `kcp` between the two clients. Default `quic`.
        protocol: String = "protocol",
        /// Keep the direct connection open while nobody uses it.
        keep_tunnel_open: bool = "keepTunnelOpen",
        /// Attempts per hour to keep it open. Default 8.
        max_retries_an_hour: i64 = "maxRetriesAnHour",
        /// Seconds between those attempts at least. Default 90.
        min_retry_interval: i64 = "minRetryInterval",
        /// Name of another visitor for users who wait too long.
        fallback_to: String = "fallbackTo",
        /// Milliseconds that are too long. Default 1000.
        fallback_timeout_ms: i64 = "fallbackTimeoutMs",
        /// How the direct connection is found.
        nat_traversal: Option<NatTraversalConfig> = "natTraversal",
    }
}

impl XtcpVisitor {
    pub(super) fn complete(&mut self) {
        default_text(&mut self.protocol, "quic");
        default_number(&mut self.max_retries_an_hour, 8);
        default_number(&mut self.min_retry_interval, 90);
        default_number(&mut self.fallback_timeout_ms, 1000);
    }

    pub(super) fn check(&self) -> Result<(), CheckError> {
        if ["kcp", "quic"].contains(&self.protocol.as_str()) {
            Ok(())
        } else {
            Err(CheckError::new("protocol should be kcp or quic"))
        }
    }
}
