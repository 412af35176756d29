//! What a scalar of YAML 1.1 stands for (`gopkg.in/yaml.v2` `resolve.go`).

use base64::Engine;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::YamlError;
use crate::value::number;

/// Base64 as Go reads it: bits behind the last byte do not matter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A scalar as written.
#[derive(Debug)]
pub(super) struct ScalarNode {
    /// Its text.
    pub(super) text: String,
    /// Whether it stands without quotes and may be something other than a text.
    pub(super) plain: bool,
    /// Its tag, with `!!` for those of YAML itself.
    pub(super) tag: Option<String>,
}

/// What a scalar stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond the signed integers.
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl Scalar {
    const fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Unsigned(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Text(_) => "!!str",
        }
    }
}

impl ScalarNode {
    /// Whether it is the key `<<`.
    pub(super) fn is_merge(&self) -> bool {
        self.text == "<<" && (self.plain || self.tag.as_deref() == Some("!!merge"))
    }

    /// What it stands for.
    ///
    /// # Errors
    /// The text does not fit the tag.
    pub(super) fn resolve(&self) -> Result<Scalar, YamlError> {
        let text = || Scalar::Text(self.text.clone());
        let tag = match self.tag.as_deref() {
            None if self.plain => return Ok(resolve_plain(&self.text)),
            None | Some("!!str") => return Ok(text()),
            Some("!!binary") => return self.binary(),
            Some(tag) => tag,
        };
        // Tags of their own mean nothing, and neither do dates.
        if !["!!bool", "!!int", "!!float", "!!null"].contains(&tag) {
            return Ok(text());
        }
        match resolve_plain(&self.text) {
            found if found.tag() == tag => Ok(found),
            #[expect(clippy::cast_precision_loss, reason = "as upstream does")]
            Scalar::Int(number) if tag == "!!float" => Ok(Scalar::Float(number as f64)),
            found => {
                let (found, text) = (found.tag(), &self.text);
                Err(YamlError::Content(format!("cannot decode {found} `{text}` as a {tag}")))
            }
        }
    }

    fn binary(&self) -> Result<Scalar, YamlError> {
        // Go's decoder skips line breaks.
        let text: String = self.text.chars().filter(|character| !matches!(character, '\r' | '\n')).collect();
        let bytes = BASE64
            .decode(text)
            .map_err(|_| YamlError::Content("!!binary value contains invalid base64 data".to_owned()))?;
        Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

fn resolve_plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => number::parse_float(text).ok().map(Scalar::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => resolve_number(&text.replace('_', "")),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn resolve_number(text: &str) -> Option<Scalar> {
    if let Ok(number) = number::parse_int(text, 0) {
        return Some(Scalar::Int(number));
    }
    // Only what has no sign can be beyond the signed integers and still fit.
    if let Some(number) = unsigned(text) {
        return Some(Scalar::Unsigned(number));
    }
    if is_yaml_float(text) {
        return number::parse_float(text).ok().map(Scalar::Float);
    }
    None
}

fn unsigned(text: &str) -> Option<u64> {
    let (radix, digits) = match text.get(..2)? {
        "0x" | "0X" => (16, text.get(2..)?),
        "0b" | "0B" => (2, text.get(2..)?),
        "0o" | "0O" => (8, text.get(2..)?),
        _ if text.starts_with('0') => (8, text.get(1..)?),
        _ => (10, text),
    };
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// A sign, digits with at most one dot, and an exponent; `.5` and `5.` are numbers too.
fn is_yaml_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// A float as the text of a key, in the form of Go's `FormatFloat(value, 'g', -1, 32)`.
pub(super) fn key_float(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "as upstream does")]
    let single = value as f32;
    match single {
        f32::INFINITY => ".inf".to_owned(),
        f32::NEG_INFINITY => "-.inf".to_owned(),
        single if single.is_nan() => ".nan".to_owned(),
        // The shortest text of the single-precision float.
        single => number::general_float(single.to_string().parse().unwrap_or(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        for (text, scalar) in [
            ("yes", Scalar::Bool(true)),
            ("Off", Scalar::Bool(false)),
            ("yEs", Scalar::Text("yEs".to_owned())),
            ("~", Scalar::Null),
            ("017", Scalar::Int(15)),
            ("0o17", Scalar::Int(15)),
            ("0x10", Scalar::Int(16)),
            ("0b101", Scalar::Int(5)),
            ("1_000", Scalar::Int(1000)),
            ("+7", Scalar::Int(7)),
            ("08", Scalar::Float(8.0)),
            ("1e3", Scalar::Float(1000.0)),
            ("1.50", Scalar::Float(1.5)),
            (".5", Scalar::Float(0.5)),
            ("5.", Scalar::Float(5.0)),
            ("12:30", Scalar::Text("12:30".to_owned())),
            ("2020-01-02", Scalar::Text("2020-01-02".to_owned())),
            ("18446744073709551615", Scalar::Unsigned(u64::MAX)),
            ("-", Scalar::Text("-".to_owned())),
            (".", Scalar::Text(".".to_owned())),
        ] {
            assert_eq!(resolve_plain(text), scalar, "{text}");
        }
    }

    #[test]
    fn tags() {
        let node = |text: &str, tag: &str| ScalarNode {
            text: text.to_owned(),
            plain: true,
            tag: Some(tag.to_owned()),
        };
        assert_eq!(node("123", "!!str").resolve().unwrap(), Scalar::Text("123".to_owned()));
        assert_eq!(node("7", "!!float").resolve().unwrap(), Scalar::Float(7.0));
        assert_eq!(node("aGk=", "!!binary").resolve().unwrap(), Scalar::Text("hi".to_owned()));
        assert_eq!(node("x", "!secret").resolve().unwrap(), Scalar::Text("x".to_owned()));
        assert_eq!(
            node("abc", "!!int").resolve().unwrap_err().to_string(),
            "yaml: cannot decode !!str `abc` as a !!int"
        );
    }
}
