//! Starting and stopping proxies.

use super::StringMap;
use super::define::wire_struct;
use crate::Secret;

wire_struct! {
    /// Asks the server to run a proxy.
    pub struct NewProxy {
        /// Full name, see [`crate::names`].
        proxy_name: String = "proxy_name",
        /// `tcp`, `udp` and so on; empty means `tcp`.
        proxy_type: String = "proxy_type",
        /// Whether its work connections are encrypted.
        use_encryption: bool = "use_encryption",
        /// Whether its work connections are compressed.
        use_compression: bool = "use_compression",
        /// The configured text, for example `1MB`. What the server cannot parse sets no limit.
        bandwidth_limit: String = "bandwidth_limit",
        /// `server`; absent means `client`.
        bandwidth_limit_mode: String = "bandwidth_limit_mode",
        /// Name of the load balancing group; may be empty.
        group: String = "group",
        /// What admits to the group.
        group_key: Secret = "group_key",
        /// Free text for the server's plugins.
        metas: StringMap = "metas" [keys],
        /// Free text for the dashboard.
        annotations: StringMap = "annotations",
        /// tcp and udp: the public port; 0 lets the server choose.
        remote_port: i64 = "remote_port",
        /// http, https, tcpmux: the domains.
        custom_domains: Vec<String> = "custom_domains",
        /// http, https, tcpmux: the label under the server's own domain.
        subdomain: String = "subdomain",
        /// http: the path prefixes.
        locations: Vec<String> = "locations",
        /// http, tcpmux: user of basic authentication.
        http_user: String = "http_user",
        /// http, tcpmux: password of basic authentication.
        http_pwd: Secret = "http_pwd",
        /// http: replaces the request's host.
        host_header_rewrite: String = "host_header_rewrite",
        /// http: headers set in requests.
        headers: StringMap = "headers" [keys],
        /// http: headers set in responses.
        response_headers: StringMap = "response_headers" [keys],
        /// http, tcpmux: route only requests of this user.
        route_by_http_user: String = "route_by_http_user",
        /// stcp, sudp, xtcp: the secret key.
        sk: Secret = "sk",
        /// stcp, sudp, xtcp: whose visitors are let in.
        allow_users: Vec<String> = "allow_users",
        /// tcpmux: `httpconnect`.
        multiplexer: String = "multiplexer",
    }
}

wire_struct! {
    /// The server's answer to [`NewProxy`].
    pub struct NewProxyResp {
        /// Full name, as asked.
        proxy_name: String = "proxy_name",
        /// Where users reach the proxy, for example `:6000`.
        remote_addr: String = "remote_addr",
        /// Why the proxy does not run; empty on success.
        error: String = "error",
    }
}

wire_struct! {
    /// Tells the server to stop a proxy.
    pub struct CloseProxy {
        /// Full name.
        proxy_name: String = "proxy_name",
    }
}
