//! Client plugins: what handles connections instead of a service (upstream `pkg/config/v1/proxy_plugin.go`). One
//! file per type; [`ClientPlugin`] is the one list of them.

mod http2http;
mod http2https;
mod http_proxy;
mod https2http;
mod https2https;
mod socks5;
mod static_file;
mod tls2raw;
mod unix_domain_socket;
mod virtual_net;

use std::borrow::Cow;

pub use http_proxy::HttpProxyPlugin;
pub use http2http::Http2HttpPlugin;
pub use http2https::Http2HttpsPlugin;
pub use https2http::Https2HttpPlugin;
pub use https2https::Https2HttpsPlugin;
pub use socks5::Socks5Plugin;
pub use static_file::StaticFilePlugin;
pub use tls2raw::Tls2RawPlugin;
pub use unix_domain_socket::UnixDomainSocketPlugin;
pub use virtual_net::VirtualNetPlugin;

use crate::check::CheckError;
use crate::decode::{envelope, tagged, untagged};
use crate::raw::Value;
use crate::table::{self, Decode, DecodeError, Walk};

/// A client plugin with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPlugin {
    /// A forward proxy.
    HttpProxy(HttpProxyPlugin),
    /// A SOCKS5 proxy.
    Socks5(Socks5Plugin),
    /// Files over HTTP.
    StaticFile(StaticFilePlugin),
    /// A service behind a Unix socket.
    UnixDomainSocket(UnixDomainSocketPlugin),
    /// HTTP to HTTP.
    Http2Http(Http2HttpPlugin),
    /// HTTP to HTTPS.
    Http2Https(Http2HttpsPlugin),
    /// HTTPS to HTTP.
    Https2Http(Https2HttpPlugin),
    /// HTTPS to HTTPS.
    Https2Https(Https2HttpsPlugin),
    /// TLS to TCP.
    Tls2Raw(Tls2RawPlugin),
    /// The virtual network.
    VirtualNet(VirtualNetPlugin),
    /// A name from an INI file for which upstream has no options there: it loads, and the proxy does not start.
    NameOnly(String),
}

/// Calls the same method on whichever plugin has options.
macro_rules! each {
    ($config:expr, $plugin:ident => $body:expr, name $name:ident => $other:expr) => {
        match $config {
            ClientPlugin::HttpProxy($plugin) => $body,
            ClientPlugin::Socks5($plugin) => $body,
            ClientPlugin::StaticFile($plugin) => $body,
            ClientPlugin::UnixDomainSocket($plugin) => $body,
            ClientPlugin::Http2Http($plugin) => $body,
            ClientPlugin::Http2Https($plugin) => $body,
            ClientPlugin::Https2Http($plugin) => $body,
            ClientPlugin::Https2Https($plugin) => $body,
            ClientPlugin::Tls2Raw($plugin) => $body,
            ClientPlugin::VirtualNet($plugin) => $body,
            ClientPlugin::NameOnly($name) => $other,
        }
    };
}

impl ClientPlugin {
    /// A plugin of this type without options; `None` if there is no such type.
    #[must_use]
    pub fn new(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "http_proxy" => Self::HttpProxy(HttpProxyPlugin::default()),
            "socks5" => Self::Socks5(Socks5Plugin::default()),
            "static_file" => Self::StaticFile(StaticFilePlugin::default()),
            "unix_domain_socket" => Self::UnixDomainSocket(UnixDomainSocketPlugin::default()),
            "http2http" => Self::Http2Http(Http2HttpPlugin::default()),
            "http2https" => Self::Http2Https(Http2HttpsPlugin::default()),
            "https2http" => Self::Https2Http(Https2HttpPlugin::default()),
            "https2https" => Self::Https2Https(Https2HttpsPlugin::default()),
            "tls2raw" => Self::Tls2Raw(Tls2RawPlugin::default()),
            "virtual_net" => Self::VirtualNet(VirtualNetPlugin::default()),
            _ => return None,
        })
    }

    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::HttpProxy(_) => "http_proxy",
            Self::Socks5(_) => "socks5",
            Self::StaticFile(_) => "static_file",
            Self::UnixDomainSocket(_) => "unix_domain_socket",
            Self::Http2Http(_) => "http2http",
            Self::Http2Https(_) => "http2https",
            Self::Https2Http(_) => "https2http",
            Self::Https2Https(_) => "https2https",
            Self::Tls2Raw(_) => "tls2raw",
            Self::VirtualNet(_) => "virtual_net",
            Self::NameOnly(name) => name,
        }
    }

    pub(crate) fn complete(&mut self) {
        match self {
            Self::Https2Http(plugin) => plugin.complete(),
            Self::Https2Https(plugin) => plugin.complete(),
            Self::HttpProxy(_)
            | Self::Socks5(_)
            | Self::StaticFile(_)
            | Self::UnixDomainSocket(_)
            | Self::Http2Http(_)
            | Self::Http2Https(_)
            | Self::Tls2Raw(_)
            | Self::VirtualNet(_)
            | Self::NameOnly(_) => {}
        }
    }

    /// Checks that the options that the plugin cannot do without are there.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        match self {
            Self::StaticFile(plugin) => plugin.check(),
            Self::UnixDomainSocket(plugin) => plugin.check(),
            Self::Http2Https(plugin) => plugin.check(),
            Self::Https2Http(plugin) => plugin.check(),
            Self::Https2Https(plugin) => plugin.check(),
            Self::Tls2Raw(plugin) => plugin.check(),
            Self::HttpProxy(_)
            | Self::Socks5(_)
            | Self::Http2Http(_)
            | Self::VirtualNet(_)
            | Self::NameOnly(_) => Ok(()),
        }
    }

    /// Reads the options under a proxy's `plugin`.
    pub(crate) fn read(value: &Value, strict: bool) -> Result<Self, DecodeError> {
        let envelope = envelope(value)?;
        if envelope.kind.is_empty() {
            return Err(DecodeError::Value("plugin type is empty".to_owned()));
        }
        let mut plugin = Self::new(&envelope.kind)
            .ok_or_else(|| DecodeError::Value(format!("unknown plugin type: {}", envelope.kind)))?;
        let value = untagged(value);
        let walk = Walk::new(strict);
        each!(&mut plugin, options => table::decode(options, &value, walk), name _name => Ok(()))
            .map_err(|error| DecodeError::Value(format!("unmarshal ClientPluginOptions error: {error}")))?;
        Ok(plugin)
    }
}

/// The text for an option that is missing.
fn required(value: &str, key: &str) -> Result<(), CheckError> {
    if value.is_empty() { Err(CheckError::new(format!("{key} is required"))) } else { Ok(()) }
}

impl Decode for Option<ClientPlugin> {
    fn go_type() -> Cow<'static, str> {
        "v1.TypedClientPluginOptions".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        _go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        *self = match value {
            Value::Null => None,
            value => Some(ClientPlugin::read(value, false).map_err(|error| walk.locate(error))?),
        };
        Ok(())
    }

    fn tree(&self) -> Value {
        let Some(plugin) = self else { return Value::Null };
        let no_options = Value::Object(vec![("options".to_owned(), Value::Null)]);
        tagged(plugin.type_name(), each!(plugin, options => options.tree(), name _name => no_options))
    }
}
