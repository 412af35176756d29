//! `http_proxy`: a forward proxy.

use crate::table::table;
use crate::value::Secret;

table! {
    /// A forward proxy.
    pub struct HttpProxyPlugin = "v1.HTTPProxyPluginOptions" {
        /// User of basic authentication; none if user and password are both empty.
        http_user: String = "httpUser",
        /// Password of basic authentication.
        http_password: Secret = "httpPassword",
    }
}
