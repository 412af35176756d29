//! `http2http`: HTTP to an HTTP service. Upstream does not check `localAddr` here.

use crate::common::HeaderOperations;
use crate::table::table;

table! {
    /// HTTP to an HTTP service.
    pub struct Http2HttpPlugin = "v1.HTTP2HTTPPluginOptions" {
        /// Host and port of the service.
        local_addr: String = "localAddr",
        /// Replaces the `Host` header.
        host_header_rewrite: String = "hostHeaderRewrite",
        /// Changes to request headers.
        request_headers: HeaderOperations = "requestHeaders",
    }
}
