//! JSON as Go's `encoding/json` reads it: repeated keys kept in order, numbers kept as written, lone surrogates and
//! invalid UTF-8 replaced, and its error texts.

use super::Value;

/// Nesting beyond this is refused. Upstream allows 10,000; no configuration comes near either.
const MAX_DEPTH: usize = 500;

/// Text that is no JSON. Displays as Go's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// A character that cannot stand where it does.
    #[error("invalid character {character} {context}")]
    Character {
        /// The character, quoted.
        character: String,
        /// What was expected there.
        context: &'static str,
    },
    /// The text ends within a value.
    #[error("unexpected end of JSON input")]
    End {
        /// What was expected there.
        context: &'static str,
    },
    /// The text ends within a value, in the words of Go's stream decoder, which strict mode uses.
    #[error("unexpected EOF")]
    StreamEnd,
    /// The text is nested too deeply.
    #[error("exceeded max depth")]
    Depth,
}

/// Reads the first value of `text` and ignores what comes behind it, as strict mode does.
pub(crate) fn parse_first(text: &str) -> Result<Value, JsonError> {
    let mut parser = Parser { bytes: text.as_bytes(), at: 0, depth: 0 };
    parser.value().map_err(|error| match error {
        JsonError::End { .. } => JsonError::StreamEnd,
        error => error,
    })
}

/// Reads the one value that `text` consists of.
pub(crate) fn parse_all(text: &str) -> Result<Value, JsonError> {
    let mut parser = Parser { bytes: text.as_bytes(), at: 0, depth: 0 };
    let value = parser.value().map_err(|error| match error {
        // Go looks at the end by pretending a blank, which is refused within a word.
        JsonError::End { context }
            if context != "in string literal"
                && (context.contains("literal") || context.contains("escape")) =>
        {
            JsonError::Character { character: "' '".to_owned(), context }
        }
        error => error,
    })?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.unexpected("after top-level value")),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error for the next byte, or for the end of the text.
    fn unexpected(&self, context: &'static str) -> JsonError {
        // Like Go, shows the byte as if it were a Latin-1 character.
        match self.peek() {
            Some(byte) => JsonError::Character { character: quote_character(byte), context },
            None => JsonError::End { context },
        }
    }

    fn value(&mut self) -> Result<Value, JsonError> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.word("true", TRUE_CONTEXTS).map(|()| Value::Bool(true)),
            Some(b'f') => self.word("false", FALSE_CONTEXTS).map(|()| Value::Bool(false)),
            Some(b'n') => self.word("null", NULL_CONTEXTS).map(|()| Value::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, JsonError>) -> Result<Value, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut entries = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(entries));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            entries.push((key, self.value()?));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(entries));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn array(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    /// A literal; `contexts` says what is expected at each byte behind the first.
    fn word(&mut self, word: &str, contexts: &[&'static str]) -> Result<(), JsonError> {
        self.at += 1;
        for (expected, context) in word.bytes().skip(1).zip(contexts) {
            if self.peek() != Some(expected) {
                return Err(self.unexpected(context));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default()).into_owned())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &'static str) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected(context));
        }
        self.digits();
        Ok(())
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None | Some(..0x20) => return Err(self.unexpected("in string literal")),
                Some(byte) => {
                    self.at += 1;
                    text.push(byte);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let behind = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // The second escape stands for itself.
            self.at = behind;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

const TRUE_CONTEXTS: &[&str] = &[
    "in literal true (expecting 'r')",
    "in literal true (expecting 'u')",
    "in literal true (expecting 'e')",
];
const FALSE_CONTEXTS: &[&str] = &[
    "in literal false (expecting 'a')",
    "in literal false (expecting 'l')",
    "in literal false (expecting 's')",
    "in literal false (expecting 'e')",
];
const NULL_CONTEXTS: &[&str] = &[
    "in literal null (expecting 'u')",
    "in literal null (expecting 'l')",
    "in literal null (expecting 'l')",
];

fn quote_character(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => r#"'"'"#.to_owned(),
        byte => {
            let quoted = crate::value::number::quote(char::from(byte).encode_utf8(&mut [0; 4]));
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_repeated_keys_and_numbers_as_written() {
        let value = parse_all(" {\"a\": 7e3, \"a\": [true, null, \"x\"]}\n").unwrap();
        assert_eq!(
            value,
            Value::Object(vec![
                ("a".to_owned(), Value::Number("7e3".to_owned())),
                (
                    "a".to_owned(),
                    Value::Array(vec![Value::Bool(true), Value::Null, Value::String("x".to_owned())])
                ),
            ])
        );
    }

    #[test]
    fn surrogates() {
        let value = parse_all(r#""\ud83d\ude00 \ud800 \ud800\u0041""#).unwrap();
        assert_eq!(value, Value::String("\u{1f600} \u{fffd} \u{fffd}A".to_owned()));
    }

    #[test]
    fn texts_of_errors() {
        for (text, error) in [
            ("{\"a\": 01}", "invalid character '1' after object key:value pair"),
            ("{\"a\": tru}", "invalid character '}' in literal true (expecting 'e')"),
            ("{\"a\": 1,}", "invalid character '}' looking for beginning of object key string"),
            ("\"a\tb\"", "invalid character '\\t' in string literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("1 x", "invalid character 'x' after top-level value"),
            ("\"a", "unexpected end of JSON input"),
            ("\"\\", "invalid character ' ' in string escape code"),
            ("tr", "invalid character ' ' in literal true (expecting 'u')"),
            ("-", "invalid character ' ' in numeric literal"),
        ] {
            assert_eq!(parse_all(text).unwrap_err().to_string(), error, "{text}");
        }
        assert_eq!(parse_first("{\"a\": 1").unwrap_err().to_string(), "unexpected EOF");
        assert!(parse_first("{} garbage").is_ok());
        assert_eq!(parse_all(&"[".repeat(100_000)).unwrap_err(), JsonError::Depth);
    }
}
