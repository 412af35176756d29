//! `socks5`: a SOCKS5 proxy.

use crate::table::table;
use crate::value::Secret;

table! {
    /// A SOCKS5 proxy.
    pub struct Socks5Plugin = "v1.Socks5PluginOptions" {
        /// User name; none if user name and password are both empty.
        username: String = "username",
        /// Password.
        password: Secret = "password",
    }
}
