//! `unix_domain_socket`: a service behind a Unix socket.

use crate::check::CheckError;
use crate::table::table;

table! {
    /// A service behind a Unix socket.
    pub struct UnixDomainSocketPlugin = "v1.UnixDomainSocketPluginOptions" {
        /// Path of the socket.
        unix_path: String = "unixPath",
    }
}

impl UnixDomainSocketPlugin {
    pub(super) fn check(&self) -> Result<(), CheckError> {
        super::required(&self.unix_path, "unixPath")
    }
}
