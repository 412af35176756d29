//! Constants: numbers, characters and quoted texts as Go reads them.

use crate::number::{parse_float, parse_int, parse_uint};
use crate::quote::quote;

/// A number constant, under every type that can represent it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    /// As written.
    pub(crate) text: String,
    pub(crate) int: Option<i64>,
    /// Set without `int` only for a number that is too large for it.
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
}

const INVALID: &str = "invalid syntax";

impl Number {
    /// A character constant such as `'a'`, quotes included.
    pub(crate) fn from_character(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('\'').unwrap_or(text);
        let (code, rest) = unquote_character(inner, '\'')?;
        if rest != "'" {
            return Err(format!("malformed character constant: {text}"));
        }
        let code = match code {
            Unquoted::Character(c) => u32::from(c),
            Unquoted::Byte(byte) => u32::from(byte),
        };
        Ok(Self {
            text: text.to_owned(),
            int: Some(i64::from(code)),
            uint: Some(u64::from(code)),
            float: Some(f64::from(code)),
            complex: None,
        })
    }

    /// A pair such as `1+2i`.
    pub(crate) fn from_complex(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix('i').unwrap_or(text);
        // The sign of the imaginary part is the last one that is not an exponent's.
        let split = body.char_indices().rev().find(|(at, c)| {
            matches!(c, '+' | '-') && *at > 0 && !body[..*at].ends_with(['e', 'E', 'p', 'P'])
        });
        let pair =
            split.and_then(|(at, _)| Some((parse_float(&body[..at]).ok()?, parse_float(&body[at..]).ok()?)));
        pair.map(|pair| Self::complex(text, pair)).ok_or_else(|| INVALID.to_owned())
    }

    /// Any other number.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(imaginary) = text.strip_suffix('i').and_then(|body| parse_float(body).ok()) {
            return Ok(Self::complex(text, (0.0, imaginary)));
        }
        let int = parse_int(text).ok();
        let uint = parse_uint(text).ok().or_else(|| int.filter(|int| *int == 0).map(|_| 0));
        #[expect(clippy::cast_precision_loss, reason = "a float constant is the nearest one")]
        let whole = int.map(|int| int as f64).or_else(|| uint.map(|uint| uint as f64));
        if whole.is_some() {
            return Ok(Self { text: text.to_owned(), int, uint, float: whole, complex: None });
        }
        let Ok(float) = parse_float(text) else {
            return Err(format!("illegal number syntax: {}", quote(text.as_bytes())));
        };
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(text.as_bytes())));
        }
        let (int, uint) = whole_parts(float);
        Ok(Self { text: text.to_owned(), int, uint, float: Some(float), complex: None })
    }

    fn complex(text: &str, pair: (f64, f64)) -> Self {
        let float = (pair.1 == 0.0).then_some(pair.0);
        let (int, uint) = float.map_or((None, None), whole_parts);
        Self { text: text.to_owned(), int, uint, float, complex: Some(pair) }
    }

    /// Whether the number stands for a float where nothing else decides: it has a point or an exponent.
    pub(crate) fn looks_like_float(&self) -> bool {
        let hexadecimal = self.text.starts_with("0x") || self.text.starts_with("0X");
        let whole_hexadecimal = hexadecimal && self.text.len() > 2 && !self.text.contains(['p', 'P']);
        self.float.is_some()
            && !whole_hexadecimal
            && !self.text.starts_with('\'')
            && self.text.contains(['.', 'e', 'E', 'p', 'P'])
    }
}

/// The integers that are exactly `float`.
fn whole_parts(float: f64) -> (Option<i64>, Option<u64>) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the way back shows whether anything was lost"
    )]
    let (int, uint) = (float as i64, float as u64);
    #[expect(clippy::cast_precision_loss, reason = "compared with the float they came from")]
    let exact = (int as f64 == float, uint as f64 == float);
    (exact.0.then_some(int), exact.1.then_some(uint))
}

/// The value of a quoted text, quotes included: `"..."` or `` `...` ``.
pub(crate) fn unquote(text: &str) -> Result<Vec<u8>, String> {
    if let Some(raw) = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
        // As in Go source, carriage returns are not part of a raw text.
        return Ok(raw.bytes().filter(|byte| *byte != b'\r').collect());
    }
    let mut rest = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or(INVALID)?;
    let mut value = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unquoted, tail) = unquote_character(rest, '"')?;
        match unquoted {
            Unquoted::Character(c) => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unquoted::Byte(byte) => value.push(byte),
        }
        rest = tail;
    }
    Ok(value)
}

enum Unquoted {
    Character(char),
    /// From `\xff` or `\377`, which stand for bytes.
    Byte(u8),
}

/// The first character of a quoted text with its escape resolved, and what follows it.
fn unquote_character(text: &str, quote: char) -> Result<(Unquoted, &str), String> {
    let mut chars = text.chars();
    let character = |c: char| Unquoted::Character(c);
    let unquoted = match chars.next().ok_or(INVALID)? {
        c if c == quote => return Err(INVALID.to_owned()),
        '\\' => match chars.next().ok_or(INVALID)? {
            'a' => character('\x07'),
            'b' => character('\x08'),
            'f' => character('\x0c'),
            'n' => character('\n'),
            'r' => character('\r'),
            't' => character('\t'),
            'v' => character('\x0b'),
            '\\' => character('\\'),
            c if c == quote => character(c),
            'x' => Unquoted::Byte(u8::try_from(take_code(&mut chars, 2, 16)?).map_err(|_| INVALID)?),
            'u' => character(char::from_u32(take_code(&mut chars, 4, 16)?).ok_or(INVALID)?),
            'U' => character(char::from_u32(take_code(&mut chars, 8, 16)?).ok_or(INVALID)?),
            first @ '0'..='7' => {
                let high = first.to_digit(8).ok_or(INVALID)?;
                let code = high * 64 + take_code(&mut chars, 2, 8)?;
                Unquoted::Byte(u8::try_from(code).map_err(|_| INVALID)?)
            }
            _ => return Err(INVALID.to_owned()),
        },
        c => character(c),
    };
    Ok((unquoted, chars.as_str()))
}

fn take_code(chars: &mut std::str::Chars<'_>, digits: usize, base: u32) -> Result<u32, String> {
    let mut code: u32 = 0;
    for _ in 0..digits {
        let digit = chars.next().and_then(|c| c.to_digit(base)).ok_or(INVALID)?;
        code = code.checked_mul(base).and_then(|code| code.checked_add(digit)).ok_or(INVALID)?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_type_that_holds_them() {
        let number = Number::parse("1e3").unwrap();
        assert_eq!((number.int, number.uint, number.float), (Some(1000), Some(1000), Some(1000.0)));
        assert!(number.looks_like_float());
        let number = Number::parse("0x1E").unwrap();
        assert_eq!(number.int, Some(30));
        assert!(!number.looks_like_float());
        assert_eq!(Number::parse("-0").unwrap().uint, Some(0));
        assert_eq!(Number::parse("18446744073709551615").unwrap().int, None);
        assert_eq!(
            Number::parse("99999999999999999999").unwrap_err(),
            "integer overflow: \"99999999999999999999\""
        );
        assert_eq!(Number::parse("089").unwrap_err(), "integer overflow: \"089\"");
        assert_eq!(Number::parse("0x").unwrap_err(), "illegal number syntax: \"0x\"");
        assert_eq!(Number::parse("2i").unwrap().complex, Some((0.0, 2.0)));
        assert_eq!(Number::from_complex("1e+2-2.5i").unwrap().complex, Some((100.0, -2.5)));
        assert_eq!(Number::from_character("'\\n'").unwrap().int, Some(10));
        assert_eq!(Number::from_character("'ab'").unwrap_err(), "malformed character constant: 'ab'");
    }

    #[test]
    fn texts_are_unquoted_as_in_go_source() {
        assert_eq!(unquote(r#""a\"\n\x41\101\u00e9\U0001F600""#).unwrap(), "a\"\nAAé😀".as_bytes());
        assert_eq!(unquote(r#""\xff""#).unwrap(), b"\xff");
        assert_eq!(unquote("`a\\n\r`").unwrap(), b"a\\n");
        for bad in [r#""\'""#, r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\400""#] {
            assert!(unquote(bad).is_err(), "{bad}");
        }
    }
}
