//! `plugin` and the keys `plugin_*` of a proxy's section. The latter count as written, without references or ancestors.

use super::reader::Reader;
use crate::common::HeaderOperations;
use crate::plugin::{
    ClientPlugin, Http2HttpsPlugin, HttpProxyPlugin, Https2HttpPlugin, Https2HttpsPlugin, Socks5Plugin,
    StaticFilePlugin, UnixDomainSocketPlugin,
};

/// The plugin, if there is one. A name for which upstream has no INI keys, or that it does not know, is only a name.
pub(super) fn read(reader: Reader<'_>) -> Option<ClientPlugin> {
    let name = reader.get("plugin");
    let key = |key: &str| reader.written(key);
    Some(match name.as_str() {
        "" => return None,
        "http_proxy" => ClientPlugin::HttpProxy(HttpProxyPlugin {
            http_user: key("plugin_http_user"),
            http_password: key("plugin_http_passwd").into(),
        }),
        "socks5" => ClientPlugin::Socks5(Socks5Plugin {
            username: key("plugin_user"),
            password: key("plugin_passwd").into(),
        }),
        "static_file" => ClientPlugin::StaticFile(StaticFilePlugin {
            local_path: key("plugin_local_path"),
            strip_prefix: key("plugin_strip_prefix"),
            http_user: key("plugin_http_user"),
            http_password: key("plugin_http_passwd").into(),
        }),
        "unix_domain_socket" => {
            ClientPlugin::UnixDomainSocket(UnixDomainSocketPlugin { unix_path: key("plugin_unix_path") })
        }
        "http2https" => ClientPlugin::Http2Https(Http2HttpsPlugin {
            local_addr: key("plugin_local_addr"),
            host_header_rewrite: key("plugin_host_header_rewrite"),
            request_headers: headers(reader),
        }),
        "https2http" => ClientPlugin::Https2Http(Https2HttpPlugin {
            local_addr: key("plugin_local_addr"),
            host_header_rewrite: key("plugin_host_header_rewrite"),
            request_headers: headers(reader),
            enable_http2: None,
            crt_path: key("plugin_crt_path"),
            key_path: key("plugin_key_path"),
        }),
        "https2https" => ClientPlugin::Https2Https(Https2HttpsPlugin {
            local_addr: key("plugin_local_addr"),
            host_header_rewrite: key("plugin_host_header_rewrite"),
            request_headers: headers(reader),
            enable_http2: None,
            crt_path: key("plugin_crt_path"),
            key_path: key("plugin_key_path"),
        }),
        _ => ClientPlugin::NameOnly(name),
    })
}

fn headers(reader: Reader<'_>) -> HeaderOperations {
    let mut set = reader.prefixed("plugin_header_");
    set.remove("");
    HeaderOperations { set }
}
