//! `tls2raw`: TLS, decrypted for a TCP service.

use crate::check::CheckError;
use crate::table::table;

table! {
    /// TLS, decrypted for a TCP service.
    pub struct Tls2RawPlugin = "v1.TLS2RawPluginOptions" {
        /// Host and port of the service.
        local_addr: String = "localAddr",
        /// Path of the certificate, PEM; without certificate or key one is made.
        crt_path: String = "crtPath",
        /// Path of the private key, PEM.
        key_path: String = "keyPath",
    }
}

impl Tls2RawPlugin {
    pub(super) fn check(&self) -> Result<(), CheckError> {
        super::required(&self.local_addr, "localAddr")
    }
}
