//! TOML 1.0, turned into the tree that upstream's detour over JSON gives.

use super::Value;
use crate::value::number;

/// Text that is no TOML, or that JSON cannot say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TomlError {
    /// The text breaks a rule of TOML. The place is counted from 1, in characters.
    #[error("toml: line {line}, column {column}: toml: {message}")]
    Syntax {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// The parser's words.
        message: String,
    },
    /// A float that JSON does not have. Go's text.
    #[error("json: unsupported value: {0}")]
    Number(&'static str),
}

impl TomlError {
    /// The error for bytes that are no UTF-8, of which TOML consists.
    pub(crate) fn not_utf8(line: usize, column: usize) -> Self {
        Self::Syntax { line, column, message: "invalid UTF-8".to_owned() }
    }
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Value, TomlError> {
    // go-toml takes a byte order mark for the first character of a key.
    if text.starts_with('\u{feff}') {
        return Err(TomlError::Syntax {
            line: 1,
            column: 1,
            message: "invalid character at start of key: ï".into(),
        });
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        let (line, column) = place(text, offset);
        TomlError::Syntax { line, column, message: error.message().replace('\n', ", ") }
    })?;
    convert(toml::Value::Table(table))
}

/// Line and column of a byte offset.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn convert(value: toml::Value) -> Result<Value, TomlError> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::Number(number.to_string()),
        toml::Value::Float(number) if number.is_nan() => return Err(TomlError::Number("NaN")),
        toml::Value::Float(f64::INFINITY) => return Err(TomlError::Number("+Inf")),
        toml::Value::Float(f64::NEG_INFINITY) => return Err(TomlError::Number("-Inf")),
        toml::Value::Float(number) => Value::Number(number::json_float(number)),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(datetime) => Value::String(datetime.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => {
            // Tables are sorted by key, as Go's encoder sorts maps.
            let entries = table.into_iter().map(|(key, value)| Ok((key, convert(value)?)));
            Value::Object(entries.collect::<Result<_, TomlError>>()?)
        }
    })
}
