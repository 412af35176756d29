//! Which of TOML, JSON and YAML a rendered text is, and how upstream reads it.
//!
//! The content decides: what is TOML is TOML, whatever the file is called. The extension `.toml` only makes a broken
//! file be reported by the TOML parser; anything else that is not TOML is JSON if it starts with `{`, else YAML.

use super::{LoadError, LoadOptions, extension};
use crate::decode::{self, ClientFile, ClientFileError};
use crate::raw::{Value, json, toml, yaml};
use crate::server::ServerConfig;
use crate::table::{self, DecodeError, TypeError, Walk, keys_fold_equal};

/// Common keys of frpc whose fields are texts. See [`coerce_like_upstream`].
const COMMON_TEXT_KEYS: [&str; 5] = ["user", "clientID", "serverAddr", "natHoleStunServer", "dnsServer"];

/// The syntax that a text turned out to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Toml,
    Json,
    Yaml,
}

/// Reads a file of frps.
pub(super) fn server(raw: &[u8], path: &str, options: &LoadOptions) -> Result<ServerConfig, LoadError> {
    let text = render(raw, options)?;
    let (syntax, value) = parse(raw, &text, path, options.strict)?;
    let mut config = ServerConfig::default();
    if syntax == Syntax::Yaml && !options.strict {
        table::decode(&mut config, &value, Walk::coercing())
            .map_err(|error| LoadError::new(lenient_yaml_text(&error)))?;
        return Ok(config);
    }
    table::decode(&mut config, &value, Walk::new(options.strict)).map_err(|error| {
        let located =
            if let DecodeError::Type(error) = &error { located_text(error, &text, syntax) } else { None };
        LoadError::new(located.unwrap_or_else(|| error.to_string()))
    })?;
    Ok(config)
}

/// Reads a file of frpc, or an include.
pub(super) fn client(raw: &[u8], path: &str, options: &LoadOptions) -> Result<ClientFile, LoadError> {
    let text = render(raw, options)?;
    let (syntax, mut value) = parse(raw, &text, path, options.strict)?;
    if syntax == Syntax::Yaml && !options.strict {
        coerce_like_upstream(&mut value);
        return decode::client_lenient_yaml(&value)
            .map_err(|error| LoadError::new(lenient_yaml_text(&error)));
    }
    decode::client(&value, options.strict).map_err(|error: ClientFileError| {
        let located = error.type_error().and_then(|error| located_text(error, &text, syntax));
        LoadError::new(located.unwrap_or_else(|| error.to_string()))
    })
}

fn render(raw: &[u8], options: &LoadOptions) -> Result<String, LoadError> {
    let values = frp_template::Values { envs: options.environment.variables().clone() };
    frp_template::render(&String::from_utf8_lossy(raw), &values, frp_template::FunctionSet::V1)
        .map_err(|error| LoadError::new(error.to_string()))
}

fn parse(raw: &[u8], text: &str, path: &str, strict: bool) -> Result<(Syntax, Value), LoadError> {
    let fault = match utf8_fault(raw).map_or_else(|| toml::parse(text), Err) {
        Ok(value) => return Ok((Syntax::Toml, value)),
        // The text is TOML; it is JSON that cannot say it.
        Err(fault @ toml::TomlError::Number(_)) => return Err(LoadError::new(fault.to_string())),
        Err(fault @ toml::TomlError::Syntax { .. }) => fault,
    };
    if extension(path) == ".toml" {
        return Err(LoadError::new(fault.to_string()));
    }
    if text.trim_start().starts_with('{') {
        let value = if strict { json::parse_first(text) } else { json::parse_all(text) };
        return value.map(|value| (Syntax::Json, value)).map_err(|error| LoadError::new(error.to_string()));
    }
    let mut value = yaml::parse(text, strict)
        .map_err(|error| LoadError::new(format!("error converting YAML to JSON: {error}")))?;
    if strict && let Value::Object(entries) = &mut value {
        // The place for anchors.
        entries.retain(|(key, _)| !key.starts_with('.'));
    }
    Ok((Syntax::Yaml, value))
}

/// TOML is UTF-8 throughout; the text that was rendered has replacement characters instead.
fn utf8_fault(raw: &[u8]) -> Option<toml::TomlError> {
    let valid = std::str::from_utf8(raw).err()?.valid_up_to();
    let before = String::from_utf8_lossy(raw.get(..valid).unwrap_or_default()).into_owned();
    let (line, column) = toml::place(&before, before.len());
    Some(toml::TomlError::Syntax { line, column, message: "invalid UTF-8".to_owned() })
}

/// The text of a type error with a path: upstream rewrites Go's text, and names a line if one looks like `key =`.
fn located_text(error: &TypeError, text: &str, syntax: Syntax) -> Option<String> {
    if error.path.is_empty() {
        return None;
    }
    let line = if syntax == Syntax::Toml { None } else { line_of_key(text, &error.path) };
    let prefix = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    Some(format!("{prefix}field \"{}\": cannot unmarshal {} into {}", error.path, error.found, error.wanted))
}

/// The first line, from 1, that looks like an assignment in TOML to the last key of the path.
fn line_of_key(text: &str, path: &str) -> Option<usize> {
    let key = path.rsplit('.').next()?;
    let header = format!("[[{key}]]");
    let found = text.split('\n').position(|line| {
        let line = line.trim();
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
            || line.contains(&header)
    })?;
    Some(found + 1)
}

fn lenient_yaml_text(error: &DecodeError) -> String {
    format!("error unmarshaling JSON: while decoding JSON: {error}")
}

/// Upstream's YAML reader turns numbers and booleans into texts where it believes the field to be one. For frpc it
/// looks into the wrong struct, and so does it for keys, in any top-level mapping, that are spelled like a common key
/// of the top level.
fn coerce_like_upstream(value: &mut Value) {
    let Value::Object(entries) = value else { return };
    for (_, value) in entries {
        let Value::Object(inner) = value else { continue };
        for (key, value) in inner {
            if COMMON_TEXT_KEYS.iter().any(|name| keys_fold_equal(name, key)) {
                let mut text = String::new();
                if matches!(value, Value::Number(_) | Value::Bool(_))
                    && table::decode(&mut text, value, Walk::coercing()).is_ok()
                {
                    *value = Value::String(text);
                }
            }
        }
    }
}
