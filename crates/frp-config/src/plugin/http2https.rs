//! `http2https`: HTTP to an HTTPS service.

use crate::check::CheckError;
use crate::common::HeaderOperations;
use crate::table::table;

table! {
    /// HTTP to an HTTPS service.
    pub struct Http2HttpsPlugin = "v1.HTTP2HTTPSPluginOptions" {
        /// Host and port of the service.
        local_addr: String = "localAddr",
        /// Replaces the `Host` header.
        host_header_rewrite: String = "hostHeaderRewrite",
        /// Changes to request headers.
        request_headers: HeaderOperations = "requestHeaders",
    }
}

impl Http2HttpsPlugin {
    pub(super) fn check(&self) -> Result<(), CheckError> {
        super::required(&self.local_addr, "localAddr")
    }
}
