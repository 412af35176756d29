//! The readers of each syntax, for the targets of `fuzz/`. No part of the interface.

use crate::raw::ini::{Dialect, Ini};
use crate::raw::{Value, json, toml, yaml};

/// A section's name, and its keys with the lengths of their values, references resolved.
pub type Section = (String, Vec<(String, usize)>);

/// Reads TOML.
///
/// # Errors
/// The text that is shown.
pub fn toml(text: &str) -> Result<Value, String> {
    toml::parse(text).map_err(|error| error.to_string())
}

/// Reads the first document of YAML.
///
/// # Errors
/// The text that is shown.
pub fn yaml(text: &str, strict: bool) -> Result<Value, String> {
    yaml::parse(text, strict).map_err(|error| error.to_string())
}

/// Reads the JSON value that the text begins with.
///
/// # Errors
/// The text that is shown.
pub fn json_first(text: &str) -> Result<Value, String> {
    json::parse_first(text).map_err(|error| error.to_string())
}

/// Reads a text that is one JSON value.
///
/// # Errors
/// The text that is shown.
pub fn json_all(text: &str) -> Result<Value, String> {
    json::parse_all(text).map_err(|error| error.to_string())
}

/// Reads INI, as it is when the format is detected or as it is when a file is loaded.
///
/// # Errors
/// The text that is shown.
pub fn ini(text: &str, detect: bool) -> Result<Vec<Section>, String> {
    let dialect = if detect { Dialect::DETECT } else { Dialect::LOAD };
    let ini = Ini::parse(text, dialect).map_err(|error| error.to_string())?;
    let sections = ini.sections().iter().map(|section| {
        let length = |key| ini.value(section.name(), key).map_or(0, |value| value.len());
        (section.name().to_owned(), section.keys().map(|(key, _)| (key.to_owned(), length(key))).collect())
    });
    Ok(sections.collect())
}
