//! What a configuration file says before anything is known about its keys: a tree of JSON-like values.

pub(crate) mod ini;
pub(crate) mod json;
pub(crate) mod toml;
pub(crate) mod yaml;

use std::fmt;

/// A value as the file gives it.
///
/// Objects keep the order in which upstream's decoder meets the keys: the order of the file for JSON, byte order of
/// the keys for TOML and YAML, which upstream turns into JSON first (upstream `pkg/config/load.go`). A JSON file may
/// hold a key twice, so an object is a list.
///
/// Texts may be secrets: `Debug` shows their length only.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`: the same as a missing key.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in the form in which upstream's JSON decoder meets it, such as `7000`, `0.5` or `1e+21`.
    Number(String),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// A mapping, in decoding order, possibly with repeated keys.
    Object(Vec<(String, Self)>),
}

impl Value {
    /// The kind of value in the words of upstream's error texts.
    #[must_use]
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The last value under `key`, spelled exactly so.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => {
                entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => write!(f, "<{} bytes>", text.len()),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Object(entries) => {
                f.debug_map().entries(entries.iter().map(|(key, value)| (key, value))).finish()
            }
        }
    }
}
