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
    let (syntax, value) = parse(&text, path, options.strict)?;
    let mut config = ServerConfig::default();
    if syntax == Syntax::Yaml && !options.strict {
        table::decode(&mut config, &value, Walk::coercing())
            .map_err(|error| LoadError::new(lenient_yaml_text(&error)))?;
        return Ok(config);
    }
    table::decode(&mut config, &value, Walk::new(options.strict)).map_err(|error| {
        let located = if let DecodeError::Type(error) = &error {
            located_text(error, &text.text, syntax)
        } else {
            None
        };
        LoadError::new(located.unwrap_or_else(|| error.to_string()))
    })?;
    Ok(config)
}

/// Reads a file of frpc, or an include.
pub(super) fn client(raw: &[u8], path: &str, options: &LoadOptions) -> Result<ClientFile, LoadError> {
    let text = render(raw, options)?;
    let (syntax, mut value) = parse(&text, path, options.strict)?;
    if syntax == Syntax::Yaml && !options.strict {
        coerce_like_upstream(&mut value);
        return decode::client_lenient_yaml(&value)
            .map_err(|error| LoadError::new(lenient_yaml_text(&error)));
    }
    decode::client(&value, options.strict).map_err(|error: ClientFileError| {
        let located = error.type_error().and_then(|error| located_text(error, &text.text, syntax));
        LoadError::new(located.unwrap_or_else(|| error.to_string()))
    })
}

/// A file after its template, with what its bytes were.
struct Text {
    text: String,
    encoding: Encoding,
}

/// How the bytes of a file make a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    /// With a byte order mark. Only the YAML reader understands it.
    Utf16,
    /// UTF-8 but for some bytes, the first of them at this line and column. Only JSON takes them; what YAML says to
    /// them depends on the bytes.
    Broken {
        line: usize,
        column: usize,
        yaml: &'static str,
    },
}

fn render(raw: &[u8], options: &LoadOptions) -> Result<Text, LoadError> {
    if let Some(text) = utf16(raw) {
        // A template would have to be in UTF-8.
        return Ok(Text { text, encoding: Encoding::Utf16 });
    }
    let encoding = std::str::from_utf8(raw).err().map_or(Encoding::Utf8, |error| {
        let (before, behind) = raw.split_at_checked(error.valid_up_to()).unwrap_or((raw, &[]));
        let before = String::from_utf8_lossy(before);
        let (line, column) = toml::place(&before, before.len());
        Encoding::Broken { line, column, yaml: yaml::utf8_fault(behind) }
    });
    let values = frp_template::Values { envs: options.environment.variables().clone() };
    let text = frp_template::render(&String::from_utf8_lossy(raw), &values, frp_template::FunctionSet::V1)
        .map_err(|error| LoadError::new(error.to_string()))?;
    Ok(Text { text, encoding })
}

/// A text in UTF-16 without its byte order mark.
fn utf16(raw: &[u8]) -> Option<String> {
    let (order, units): (fn([u8; 2]) -> u16, _) = match raw {
        [0xff, 0xfe, units @ ..] => (u16::from_le_bytes, units),
        [0xfe, 0xff, units @ ..] => (u16::from_be_bytes, units),
        _ => return None,
    };
    let units = units.chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

fn parse(Text { text, encoding }: &Text, path: &str, strict: bool) -> Result<(Syntax, Value), LoadError> {
    let fault = match parse_toml(text, *encoding) {
        Ok(value) => return Ok((Syntax::Toml, value)),
        // The text is TOML; it is JSON that cannot say it.
        Err(fault @ toml::TomlError::Number(_)) => return Err(LoadError::new(fault.to_string())),
        Err(fault @ toml::TomlError::Syntax { .. }) => fault,
    };
    if extension(path) == ".toml" {
        return Err(LoadError::new(fault.to_string()));
    }
    if *encoding != Encoding::Utf16 && text.trim_start().starts_with('{') {
        let value = if strict { json::parse_first(text) } else { json::parse_all(text) };
        return value.map(|value| (Syntax::Json, value)).map_err(|error| LoadError::new(error.to_string()));
    }
    let value = match encoding {
        Encoding::Broken { yaml, .. } => Err(yaml::YamlError::Content((*yaml).to_owned())),
        Encoding::Utf8 | Encoding::Utf16 => yaml::parse(text, strict),
    };
    let mut value =
        value.map_err(|error| LoadError::new(format!("error converting YAML to JSON: {error}")))?;
    if strict && let Value::Object(entries) = &mut value {
        // The place for anchors.
        entries.retain(|(key, _)| !key.starts_with('.'));
    }
    Ok((Syntax::Yaml, value))
}

fn parse_toml(text: &str, encoding: Encoding) -> Result<Value, toml::TomlError> {
    match encoding {
        Encoding::Utf8 => toml::parse(text),
        Encoding::Utf16 => Err(toml::TomlError::not_utf8(1, 1)),
        Encoding::Broken { line, column, .. } => Err(toml::TomlError::not_utf8(line, column)),
    }
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
