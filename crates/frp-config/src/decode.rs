//! Reading entries whose keys depend on their `type`: proxies, visitors, plugins, and the file of frpc that holds
//! them (upstream `pkg/config/v1/decode.go`).

use std::borrow::Cow;

use crate::client::ClientConfig;
use crate::plugin::ClientPlugin;
use crate::proxy::{ProxyConfig, ProxyType, UnknownProxyType};
use crate::raw::Value;
use crate::table::{self, Decode, DecodeError, TypeError, Walk, keys_fold_equal, table};
use crate::visitor::{UnknownVisitorType, VisitorConfig, VisitorPlugin, VisitorType};

/// A file of frpc, decoded and not yet completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientFile {
    pub(crate) common: ClientConfig,
    pub(crate) proxies: Vec<ProxyConfig>,
    pub(crate) visitors: Vec<VisitorConfig>,
}

table! {
    /// What tells entries apart.
    pub(crate) struct TypedEnvelope = "v1.typedEnvelope" {
        /// The type.
        kind: String = "type",
        /// The plugin, whose own type is read from it.
        plugin: RawValue = "plugin",
    }
}

/// A value that is kept to be read later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawValue(pub(crate) Value);

impl Default for RawValue {
    fn default() -> Self {
        Self(Value::Null)
    }
}

impl Decode for RawValue {
    fn go_type() -> Cow<'static, str> {
        "jsonx.RawMessage".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        _go_type: Option<&'static str>,
        _walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        self.0 = value.clone();
        Ok(())
    }

    fn tree(&self) -> Value {
        self.0.clone()
    }
}

/// An entry without its `type`, which the envelope has read.
pub(crate) fn untagged(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::Object(entries) => Cow::Owned(Value::Object(
            entries.iter().filter(|(key, _)| !keys_fold_equal(key, "type")).cloned().collect(),
        )),
        other => Cow::Borrowed(other),
    }
}

/// An entry with its `type` in front.
pub(crate) fn tagged(kind: &str, tree: Value) -> Value {
    let mut entries = vec![("type".to_owned(), Value::String(kind.to_owned()))];
    if let Value::Object(rest) = tree {
        entries.extend(rest);
    }
    Value::Object(entries)
}

pub(crate) fn envelope(value: &Value) -> Result<TypedEnvelope, DecodeError> {
    let mut envelope = TypedEnvelope::default();
    table::decode(&mut envelope, value, Walk::default())?;
    Ok(envelope)
}

/// Why an entry of a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryError {
    /// The `type` itself is of the wrong type: upstream reports it in the form of the common keys.
    #[error("{0}")]
    Envelope(DecodeError),
    /// Anything else, with upstream's text.
    #[error("{0}")]
    Text(String),
}

/// Reads one proxy.
pub(crate) fn proxy(value: &Value, strict: bool) -> Result<ProxyConfig, EntryError> {
    if *value == Value::Null {
        return Err(EntryError::Text("type is required".to_owned()));
    }
    let envelope = envelope(value).map_err(EntryError::Envelope)?;
    let text = |error: &dyn std::fmt::Display| EntryError::Text(error.to_string());
    let kind =
        ProxyType::from_name(&envelope.kind).ok_or_else(|| text(&UnknownProxyType(envelope.kind.clone())))?;
    let mut config = ProxyConfig::new(kind);
    config
        .decode(value, Walk::new(strict))
        .map_err(|error| EntryError::Text(format!("unmarshal ProxyConfig error: {error}")))?;
    // The plugin was read leniently as part of the entry; unknown keys in it show now.
    if strict && envelope.plugin.0 != Value::Null {
        ClientPlugin::read(&envelope.plugin.0, true)
            .map_err(|error| EntryError::Text(format!("unmarshal proxy plugin error: {error}")))?;
    }
    Ok(config)
}

/// Reads one visitor.
pub(crate) fn visitor(value: &Value, strict: bool) -> Result<VisitorConfig, EntryError> {
    if *value == Value::Null {
        return Err(EntryError::Text("type is required".to_owned()));
    }
    let envelope = envelope(value).map_err(EntryError::Envelope)?;
    let text = |error: &dyn std::fmt::Display| EntryError::Text(error.to_string());
    let kind = VisitorType::from_name(&envelope.kind)
        .ok_or_else(|| text(&UnknownVisitorType(envelope.kind.clone())))?;
    let mut config = VisitorConfig::new(kind);
    config
        .decode(value, Walk::new(strict))
        .map_err(|error| EntryError::Text(format!("unmarshal VisitorConfig error: {error}")))?;
    if strict && envelope.plugin.0 != Value::Null {
        VisitorPlugin::read(&envelope.plugin.0, true)
            .map_err(|error| EntryError::Text(format!("unmarshal visitor plugin error: {error}")))?;
    }
    Ok(config)
}

table! {
    /// The top level of a file of frpc; its lists are read afterwards.
    pub(crate) struct ClientDocument = "v1.rawClientConfig" {
        .. {
            common: ClientConfig,
        }
        proxies: Vec<RawValue> = "proxies",
        visitors: Vec<RawValue> = "visitors",
    }
}

table! {
    /// The top level of a file of frpc in lenient YAML, where upstream reads the lists on the way.
    pub(crate) struct LenientDocument = "v1.ClientConfig" {
        .. {
            common: ClientConfig,
        }
        proxies: Vec<LenientEntry<ProxyConfig>> = "proxies",
        visitors: Vec<LenientEntry<VisitorConfig>> = "visitors",
    }
}

/// An entry that is read in the middle of the walk over its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LenientEntry<T>(Option<T>);

impl<T> Default for LenientEntry<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// The two kinds of entries.
trait Entry: Sized {
    const GO_TYPE: &'static str;
    fn read(value: &Value) -> Result<Self, EntryError>;
    fn show(&self) -> Value;
}

impl Entry for ProxyConfig {
    const GO_TYPE: &'static str = "v1.TypedProxyConfig";

    fn read(value: &Value) -> Result<Self, EntryError> {
        proxy(value, false)
    }

    fn show(&self) -> Value {
        self.tree()
    }
}

impl Entry for VisitorConfig {
    const GO_TYPE: &'static str = "v1.TypedVisitorConfig";

    fn read(value: &Value) -> Result<Self, EntryError> {
        visitor(value, false)
    }

    fn show(&self) -> Value {
        self.tree()
    }
}

impl<T: Entry> Decode for LenientEntry<T> {
    fn go_type() -> Cow<'static, str> {
        T::GO_TYPE.into()
    }

    fn decode(
        &mut self,
        value: &Value,
        _go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        let entry = T::read(value).map_err(|error| match error {
            EntryError::Envelope(error) => walk.locate(error),
            EntryError::Text(text) => DecodeError::Value(text),
        })?;
        self.0 = Some(entry);
        Ok(())
    }

    fn tree(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, Entry::show)
    }
}

/// Why a file of frpc was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientFileError {
    /// At the level of the common keys.
    #[error("{0}")]
    Common(DecodeError),
    /// In the `type` of an entry, which upstream reports like a common key.
    #[error("decode {list} at index {index}: {error}")]
    Envelope {
        /// `proxy` or `visitor`.
        list: &'static str,
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong.
        error: DecodeError,
    },
    /// In an entry.
    #[error("decode {list} at index {index}: {error}")]
    Entry {
        /// `proxy` or `visitor`.
        list: &'static str,
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong.
        error: String,
    },
}

impl ClientFileError {
    /// The type error that upstream's reformatting finds, if it has a path.
    pub(crate) const fn type_error(&self) -> Option<&TypeError> {
        match self {
            Self::Common(DecodeError::Type(error))
            | Self::Envelope { error: DecodeError::Type(error), .. } => Some(error),
            Self::Common(_) | Self::Envelope { .. } | Self::Entry { .. } => None,
        }
    }

    fn entry(list: &'static str, index: usize, error: EntryError) -> Self {
        match error {
            EntryError::Envelope(error) => Self::Envelope { list, index, error },
            EntryError::Text(error) => Self::Entry { list, index, error },
        }
    }
}

/// Reads a file of frpc: all of the top level, then the proxies, then the visitors.
pub(crate) fn client(value: &Value, strict: bool) -> Result<ClientFile, ClientFileError> {
    let mut document = ClientDocument::default();
    table::decode(&mut document, value, Walk::new(strict)).map_err(ClientFileError::Common)?;
    let ClientDocument { common, proxies, visitors } = document;
    Ok(ClientFile {
        common,
        proxies: entries("proxy", &proxies, |value| proxy(value, strict))?,
        visitors: entries("visitor", &visitors, |value| visitor(value, strict))?,
    })
}

/// Reads a file of frpc that is YAML, without strict mode.
pub(crate) fn client_lenient_yaml(value: &Value) -> Result<ClientFile, DecodeError> {
    let mut document = LenientDocument::default();
    table::decode(&mut document, value, Walk::default())?;
    let LenientDocument { common, proxies, visitors } = document;
    Ok(ClientFile {
        common,
        proxies: proxies.into_iter().filter_map(|entry| entry.0).collect(),
        visitors: visitors.into_iter().filter_map(|entry| entry.0).collect(),
    })
}

fn entries<T>(
    list: &'static str,
    values: &[RawValue],
    read: impl Fn(&Value) -> Result<T, EntryError>,
) -> Result<Vec<T>, ClientFileError> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| read(&value.0).map_err(|error| ClientFileError::entry(list, index, error)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::json;
    use crate::server::ServerConfig;

    fn value(text: &str) -> Value {
        json::parse_all(text).unwrap()
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let mut config = ServerConfig::default();
        config.complete();
        let mut read = ServerConfig::default();
        table::decode(&mut read, &config.tree(), Walk::new(true)).unwrap();
        read.complete();
        assert_eq!(read, config);

        for kind in ProxyType::ALL {
            let mut config = ProxyConfig::new(kind);
            config.base_mut().name = "n".to_owned();
            config.base_mut().transport.bandwidth_limit = "1MB".parse().unwrap();
            config.base_mut().backend.plugin = ClientPlugin::new("static_file");
            config.complete();
            assert_eq!(proxy(&config.tree(), true), Ok(config));
        }
        for kind in VisitorType::ALL {
            let mut config = VisitorConfig::new(kind);
            config.complete();
            assert_eq!(visitor(&config.tree(), true), Ok(config));
        }
    }

    #[test]
    fn errors_of_entries() {
        let text = |entry: &str| proxy(&value(entry), true).unwrap_err().to_string();
        assert_eq!(text("null"), "type is required");
        assert_eq!(text("{}"), "unknown proxy type: ");
        assert_eq!(text("3"), "json: cannot unmarshal number into Go value of type v1.typedEnvelope");
        assert_eq!(
            text(r#"{"type": "tcp", "transport": {"useEncryption": 1}}"#),
            "unmarshal ProxyConfig error: json: cannot unmarshal number into Go struct field \
             ProxyTransport.ProxyBaseConfig.transport.useEncryption of type bool"
        );
        assert_eq!(
            text(r#"{"type": "tcp", "transport": {"bandwidthLimit": 5}, "bogus": 1}"#),
            "unmarshal ProxyConfig error: json: cannot unmarshal number into Go struct field \
             ProxyTransport.ProxyBaseConfig.transport.bandwidthLimit of type string"
        );
        assert_eq!(
            text(r#"{"type": "tcp", "plugin": {"type": "socks5", "bogus": 1}}"#),
            "unmarshal proxy plugin error: unmarshal ClientPluginOptions error: json: unknown field \"bogus\""
        );
    }

    #[test]
    fn the_first_fault_in_decoding_order_counts() {
        let text = |file: &str| client(&value(file), true).unwrap_err().to_string();
        assert_eq!(
            text(r#"{"bogus": 1, "serverPort": "x", "proxies": [{}]}"#),
            "json: unknown field \"bogus\"",
        );
        assert_eq!(
            text(r#"{"visitors": [{"type": "tcp"}], "proxies": [{"type": "ssh"}]}"#),
            "decode proxy at index 0: unknown proxy type: ssh",
        );
    }

    #[test]
    fn repeated_keys_merge() {
        let file = r#"{"log": {"to": "a"}, "LOG": {"level": "warn"}, "user": "u", "user": null, "Start": ["x"], "start": ["y"]}"#;
        let common = client(&value(file), true).unwrap().common;
        assert_eq!((common.log.to.as_str(), common.log.level.as_str()), ("a", "warn"));
        assert_eq!((common.user.as_str(), common.start), ("u", vec!["y".to_owned()]));
    }
}
