//! Pulling values out of a body, one after the other.

use std::borrow::Cow;

use super::{JsonError, JsonErrorKind};
use crate::limits::MAX_JSON_DEPTH;

/// A position in a body. Every method consumes what it returns, leading white space included.
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
}

/// A JSON string as it stands in the body, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct RawString<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether a backslash occurs.
    pub(crate) escaped: bool,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, depth: 0 }
    }

    pub(crate) const fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { offset: self.at, kind }
    }

    /// The first byte of the next value or punctuation, not consumed; none at the end of the body.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.input.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// The body must end here.
    pub(crate) fn finish(&mut self) -> Result<(), JsonError> {
        if self.peek().is_some() { Err(self.error(JsonErrorKind::TrailingData)) } else { Ok(()) }
    }

    /// The error for a next byte that starts no value of the wanted type.
    pub(crate) fn wrong_type(&mut self, expected: &'static str) -> JsonError {
        match self.peek() {
            None => self.error(JsonErrorKind::UnexpectedEnd),
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.error(JsonErrorKind::WrongType(expected))
            }
            Some(_) => self.error(JsonErrorKind::Syntax),
        }
    }

    fn byte(&mut self, wanted: u8) -> Result<(), JsonError> {
        match self.peek() {
            Some(byte) if byte == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.error(JsonErrorKind::Syntax)),
            None => Err(self.error(JsonErrorKind::UnexpectedEnd)),
        }
    }

    fn literal(&mut self, text: &'static [u8]) -> Result<(), JsonError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        if rest.starts_with(text) {
            self.at += text.len();
            return Ok(());
        }
        let cut = rest.len() < text.len() && text.starts_with(rest);
        Err(self.error(if cut { JsonErrorKind::UnexpectedEnd } else { JsonErrorKind::Syntax }))
    }

    /// Consumes a `null`, if one comes next.
    pub(crate) fn null(&mut self) -> Result<bool, JsonError> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.literal(b"null").map(|()| true)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b't') => self.literal(b"true").map(|()| true),
            Some(b'f') => self.literal(b"false").map(|()| false),
            _ => Err(self.wrong_type("a boolean")),
        }
    }

    /// A number's text, checked against JSON's grammar.
    pub(crate) fn number(&mut self) -> Result<&'a str, JsonError> {
        let Some(b'-' | b'0'..=b'9') = self.peek() else {
            return Err(self.wrong_type("a number"));
        };
        let start = self.at;
        if self.current() == Some(b'-') {
            self.at += 1;
        }
        if self.current() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.current() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.current(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.current(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.input.get(start..self.at).and_then(|text| str::from_utf8(text).ok());
        text.ok_or_else(|| self.error(JsonErrorKind::Syntax))
    }

    fn current(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.current(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        let end = self.current().is_none();
        Err(self.error(if end { JsonErrorKind::UnexpectedEnd } else { JsonErrorKind::Syntax }))
    }

    /// An integer that fits `T`. A fraction or an exponent is an error, as is `-0` for an unsigned `T`.
    pub(crate) fn integer<T: std::str::FromStr>(&mut self, signed: bool) -> Result<T, JsonError> {
        let text = self.number()?;
        let wrong = self.error(JsonErrorKind::Number);
        if !signed && text.starts_with('-') {
            return Err(wrong);
        }
        text.parse().map_err(|_| wrong)
    }

    /// A string as it stands. Its escapes are checked only when it is [decoded](RawString::decode).
    pub(crate) fn raw_string(&mut self) -> Result<RawString<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong_type("a string"));
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.input.len();
                return Err(self.error(JsonErrorKind::UnexpectedEnd));
            };
            self.at += found;
            if rest.get(found) == Some(&b'"') {
                break;
            }
            escaped = true;
            // Whatever is escaped, it cannot end the string.
            self.at += 2;
        }
        let bytes = self.input.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(RawString { bytes, escaped, at: start })
    }

    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.raw_string()?.decode()
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(bracket) {
            return Err(self.wrong_type(expected));
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_JSON_DEPTH { Err(self.error(JsonErrorKind::TooDeep)) } else { Ok(()) }
    }

    /// Whether another member follows inside the open array or object; if not, its end is consumed.
    fn more(&mut self, first: bool, close: u8) -> Result<bool, JsonError> {
        if self.peek() == Some(close) {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            return Ok(false);
        }
        if !first {
            self.byte(b',')?;
        }
        Ok(true)
    }

    /// Reads an object; `member` is called with each key and must consume the value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.open(b'{', "an object")?;
        let mut first = true;
        while self.more(first, b'}')? {
            first = false;
            let key = self.key()?;
            member(self, key)?;
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.error(JsonErrorKind::Syntax)),
            None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
        }
        let key = self.string()?;
        self.byte(b':')?;
        Ok(key)
    }

    /// Reads an array; `element` is called with each index and must consume the value. Returns their number.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), JsonError>,
    ) -> Result<usize, JsonError> {
        self.open(b'[', "an array")?;
        let mut count = 0;
        while self.more(count == 0, b']')? {
            element(self, count)?;
            count += 1;
        }
        Ok(count)
    }

    /// Checks a value of any type and drops it. Keeps its own stack, so that nesting costs a byte a level.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        let mut closers: Vec<u8> = Vec::new();
        loop {
            let opened = match self.peek() {
                Some(b'{') => {
                    self.open(b'{', "")?;
                    closers.push(b'}');
                    true
                }
                Some(b'[') => {
                    self.open(b'[', "")?;
                    closers.push(b']');
                    true
                }
                Some(b'"') => {
                    self.string()?;
                    false
                }
                Some(b't' | b'f') => {
                    self.boolean()?;
                    false
                }
                Some(b'n') => {
                    self.literal(b"null")?;
                    false
                }
                Some(_) => {
                    self.number()?;
                    false
                }
                None => return Err(self.error(JsonErrorKind::UnexpectedEnd)),
            };
            // Close what ends here; stop in front of the next value.
            let mut first = opened;
            loop {
                let Some(&close) = closers.last() else { return Ok(()) };
                if self.more(first, close)? {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                closers.pop();
                first = false;
            }
        }
    }
}

impl<'a> RawString<'a> {
    /// The text: escapes resolved, each byte of invalid UTF-8 and each lone surrogate turned into U+FFFD.
    pub(crate) fn decode(self) -> Result<Cow<'a, str>, JsonError> {
        if let Some(control) = self.bytes.iter().position(|&byte| byte < 0x20) {
            return Err(JsonError { offset: self.at + control, kind: JsonErrorKind::Syntax });
        }
        if self.escaped {
            return self.unescape().map(Cow::Owned);
        }
        Ok(match str::from_utf8(self.bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                let mut text = String::with_capacity(self.bytes.len());
                push_lossy(&mut text, self.bytes);
                Cow::Owned(text)
            }
        })
    }

    /// The offset of the string in its body, for errors.
    pub(crate) const fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { offset: self.at, kind }
    }

    fn unescape(self) -> Result<String, JsonError> {
        let mut text = String::with_capacity(self.bytes.len());
        let mut rest = self.bytes;
        while let Some(plain) = memchr::memchr(b'\\', rest) {
            let offset = self.at + (self.bytes.len() - rest.len()) + plain;
            let wrong = JsonError { offset, kind: JsonErrorKind::Syntax };
            let (before, escape) = rest.split_at(plain);
            push_lossy(&mut text, before);
            let (&letter, after) = escape.get(1..).and_then(<[u8]>::split_first).ok_or(wrong)?;
            rest = after;
            let character = match letter {
                b'"' | b'\\' | b'/' => char::from(letter),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let (unit, after) = hex4(rest).ok_or(wrong)?;
                    rest = after;
                    // A high surrogate counts only with its low half right behind it.
                    let low = rest.strip_prefix(b"\\u").and_then(hex4);
                    match (unit, low) {
                        (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, after))) => {
                            rest = after;
                            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                        _ => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                    }
                }
                _ => return Err(wrong),
            };
            text.push(character);
        }
        push_lossy(&mut text, rest);
        Ok(text)
    }
}

/// Four hex digits as a UTF-16 code unit, and what follows them.
fn hex4(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let mut unit = 0;
    for &digit in digits {
        unit = unit << 4 | char::from(digit).to_digit(16)?;
    }
    Some((unit, rest))
}

/// Appends `bytes` with U+FFFD for each single byte that is not UTF-8: Go counts bytes where Rust's lossy
/// conversion counts sequences.
fn push_lossy(text: &mut String, mut bytes: &[u8]) {
    loop {
        match str::from_utf8(bytes) {
            Ok(valid) => return text.push_str(valid),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(str::from_utf8(valid).unwrap_or_default());
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = rest.get(1..).unwrap_or_default();
            }
        }
    }
}
