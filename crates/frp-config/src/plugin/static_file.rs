//! `static_file`: files over HTTP.

use crate::check::CheckError;
use crate::table::table;
use crate::value::Secret;

table! {
    /// Files over HTTP.
    pub struct StaticFilePlugin = "v1.StaticFilePluginOptions" {
        /// The folder.
        local_path: String = "localPath",
        /// Path under which the folder is served.
        strip_prefix: String = "stripPrefix",
        /// User of basic authentication; none if user and password are both empty.
        http_user: String = "httpUser",
        /// Password of basic authentication.
        http_password: Secret = "httpPassword",
    }
}

impl StaticFilePlugin {
    pub(super) fn check(&self) -> Result<(), CheckError> {
        super::required(&self.local_path, "localPath")
    }
}
