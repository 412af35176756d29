//! `https2http`: HTTPS, decrypted for an HTTP service.

use crate::check::CheckError;
use crate::common::HeaderOperations;
use crate::table::table;

table! {
    /// HTTPS, decrypted for an HTTP service.
    pub struct Https2HttpPlugin = "v1.HTTPS2HTTPPluginOptions" {
        /// Host and port of the service.
        local_addr: String = "localAddr",
        /// Replaces the `Host` header.
        host_header_rewrite: String = "hostHeaderRewrite",
        /// Changes to request headers.
        request_headers: HeaderOperations = "requestHeaders",
        /// Offer HTTP/2 to users. Default true.
        enable_http2: Option<bool> = "enableHTTP2",
        /// Path of the certificate, PEM; without certificate or key one is made.
        crt_path: String = "crtPath",
        /// Path of the private key, PEM.
        key_path: String = "keyPath",
    }
}

impl Https2HttpPlugin {
    pub(super) fn complete(&mut self) {
        self.enable_http2.get_or_insert(true);
    }

    /// Whether HTTP/2 is offered.
    #[must_use]
    pub const fn enable_http2(&self) -> bool {
        matches!(self.enable_http2, None | Some(true))
    }

    pub(super) fn check(&self) -> Result<(), CheckError> {
        super::required(&self.local_addr, "localAddr")
    }
}
