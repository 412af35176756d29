//! From a file in upstream's dialect to lines `[section]` and `key=value` without any peculiarity.

use crate::value::number::quote;

/// Where upstream reads INI differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// `#` and `;` begin a comment inside a value too.
    inline_comments: bool,
    /// A line without delimiter is a key with the value `true`.
    boolean_keys: bool,
}

impl Dialect {
    /// To find out whether a file is INI.
    pub(crate) const DETECT: Self = Self { inline_comments: true, boolean_keys: false };
    /// To read it.
    pub(crate) const LOAD: Self = Self { inline_comments: false, boolean_keys: true };
}

/// A file that is not INI. Displays as go-ini's text, in which lines keep their newline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IniError {
    /// A section without `]`.
    #[error("unclosed section: {0}")]
    UnclosedSection(String),
    /// `[]`
    #[error("empty section name")]
    EmptySection,
    /// A line that begins with a delimiter.
    #[error("empty key name: {0}")]
    EmptyKey(String),
    /// A key that is quoted and empty.
    #[error("error creating new key: empty key name")]
    EmptyQuotedKey,
    /// A line without delimiter.
    #[error("key-value delimiter not found: {0}")]
    NoDelimiter(String),
    /// A quoted key without its end.
    #[error("missing closing key quote: {0}")]
    OpenKey(String),
    /// A quoted value without its end: its first and its last line.
    #[error("missing closing key quote from {} to {}", quote(.0), quote(.1))]
    OpenValue(String, String),
}

/// Turns a file into its normal form. Texts are encoded; [`decode`] gives them back.
pub(super) fn normalise(text: &str, dialect: Dialect) -> Result<String, IniError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { rest: text, ended: false };
    let mut normal = String::with_capacity(text.len());
    // Keys named `-` are numbered within their section.
    let mut counter = 1_usize;
    while !lines.ended {
        let line = lines.next().trim_start();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some(end) = rest.rfind(']') else {
                return Err(IniError::UnclosedSection(line.to_owned()));
            };
            let name = rest.get(..end).unwrap_or_default();
            if name.is_empty() {
                return Err(IniError::EmptySection);
            }
            normal.push('[');
            encode(name, &mut normal);
            normal.push_str("]\n");
            counter = 1;
            continue;
        }
        let (key, value) = match split_key(line) {
            Err(IniError::NoDelimiter(_)) if dialect.boolean_keys => {
                (read_value(line, &mut lines, dialect)?, "true".to_owned())
            }
            split => {
                let (key, rest) = split?;
                if key == "-" {
                    counter += 1;
                    (format!("#{}", counter - 1), read_value(rest, &mut lines, dialect)?)
                } else {
                    (key.to_owned(), read_value(rest, &mut lines, dialect)?)
                }
            }
        };
        if key.is_empty() {
            return Err(IniError::EmptyQuotedKey);
        }
        encode(&key, &mut normal);
        normal.push('=');
        encode(&value, &mut normal);
        normal.push('\n');
    }
    Ok(normal)
}

/// Lines with their newlines.
struct Lines<'t> {
    rest: &'t str,
    /// The last line has been read.
    ended: bool,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> &'t str {
        let length = match self.rest.find('\n') {
            Some(newline) => newline + 1,
            None => {
                self.ended = true;
                self.rest.len()
            }
        };
        let (line, rest) = self.rest.split_at(length);
        self.rest = rest;
        line
    }
}

/// A line's key, and what follows its delimiter.
fn split_key(line: &str) -> Result<(&str, &str), IniError> {
    let no_delimiter = || IniError::NoDelimiter(line.to_owned());
    let key_quote = match line.as_bytes() {
        [b'"', b'"', b'"', ..] if line.len() > 6 => "\"\"\"",
        [b'"', ..] => "\"",
        [b'`', ..] => "`",
        _ => {
            let end = line.find(['=', ':']).ok_or_else(no_delimiter)?;
            if end == 0 {
                return Err(IniError::EmptyKey(line.to_owned()));
            }
            let (key, rest) = line.split_at(end);
            return Ok((key.trim(), rest.get(1..).unwrap_or_default()));
        }
    };
    let inner = line.get(key_quote.len()..).unwrap_or_default();
    let (key, rest) = inner.split_once(key_quote).ok_or_else(|| IniError::OpenKey(line.to_owned()))?;
    let end = rest.find(['=', ':']).ok_or_else(no_delimiter)?;
    Ok((key.trim(), rest.get(end + 1..).unwrap_or_default()))
}

/// A value, which may go on over the following lines.
fn read_value(text: &str, lines: &mut Lines<'_>, dialect: Dialect) -> Result<String, IniError> {
    let text = text.trim_start();
    let quote = match text.as_bytes() {
        [b'"', b'"', b'"', _, ..] => Some("\"\"\""),
        [b'`', ..] => Some("`"),
        _ => None,
    };
    if let Some(quote) = quote {
        let inner = text.get(quote.len()..).unwrap_or_default();
        return match inner.rfind(quote) {
            Some(end) => Ok(inner.get(..end).unwrap_or_default().to_owned()),
            None => read_quoted(text, inner, quote, lines),
        };
    }
    let mut text = text.trim();
    if let Some(start) = text.strip_suffix('\\') {
        return Ok(read_continuation(start, lines));
    }
    if dialect.inline_comments
        && let Some(comment) = text.find(['#', ';'])
    {
        text = text.get(..comment).unwrap_or_default().trim();
    }
    Ok(without_quotes(text).to_owned())
}

/// The rest of a quoted value: everything up to the last closing quote of the first line that has one.
fn read_quoted(
    first_line: &str,
    start: &str,
    quote: &str,
    lines: &mut Lines<'_>,
) -> Result<String, IniError> {
    let mut value = start.to_owned();
    loop {
        let line = lines.next();
        if let Some(end) = line.rfind(quote) {
            value.push_str(line.get(..end).unwrap_or_default());
            return Ok(value);
        }
        value.push_str(line);
        if lines.ended {
            return Err(IniError::OpenValue(first_line.to_owned(), line.to_owned()));
        }
    }
}

/// The lines that follow one that ends in a backslash, joined without anything between.
fn read_continuation(start: &str, lines: &mut Lines<'_>) -> String {
    let mut value = start.to_owned();
    loop {
        let line = lines.next().trim();
        value.push_str(line);
        if line.is_empty() || !value.ends_with('\\') {
            return value;
        }
        value.pop();
    }
}

/// Strips the quotes around a value that has no other such quotes.
fn without_quotes(text: &str) -> &str {
    for quote in ['\'', '"'] {
        let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    text
}

/// Writes every byte that could mean something to a splitter as `%` and two digits.
fn encode(text: &str, normal: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-') {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            for digit in [byte >> 4, byte & 15] {
                normal.push(char::from(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0')));
            }
        }
    }
}

/// The text that [`normalise`] has encoded.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
        let code = digit() * 16 + digit();
        bytes.push(u8::try_from(code).unwrap_or(b'?'));
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The normal form in plain text, a key or section a line.
    fn plain(text: &str, dialect: Dialect) -> String {
        match normalise(text, dialect) {
            Ok(normal) => normal.lines().map(decode).collect::<Vec<_>>().join("|"),
            Err(error) => format!("! {error}"),
        }
    }

    fn load(text: &str) -> String {
        plain(text, Dialect::LOAD)
    }

    #[test]
    fn lines() {
        for (text, expected) in [
            ("\u{feff}\t[a] ; x\r\n\n  # c\n ; c\n k = v \r\n", "[a]|k=v"),
            ("[ a ]", "[ a ]"),
            ("[a]b]", "[a]b]"),
            ("[a] # ]", "[a] # ]"),
            ("url = a=b:c", "url=a=b:c"),
            ("k:v = 1", "k=v = 1"),
            ("two words = 1", "two words=1"),
            ("k = 7 # x", "k=7 # x"),
            ("- = a\n- = b\n[s]\n- = c", "#1=a|#2=b|[s]|#1=c"),
            ("flag", "flag=true"),
            ("\"a=b\" = 1\n`c` : 2\n\"\"\"d e\"\"\"=3", "a=b=1|c=2|d e=3"),
            ("k =", "k="),
        ] {
            assert_eq!(load(text), expected, "{text:?}");
        }
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("k = 'a'\nl = \"a\"\nm = \"a\"b\"\nn = \"a'\no = \"", "k=a|l=a|m=\"a\"b\"|n=\"a'|o=\""),
            ("k = `a ` b` c", "k=a ` b"),
            ("k = `l1\n  l2` tail\nx=1", "k=l1\n  l2|x=1"),
            ("k = \"\"\"a\"b\"\"\"", "k=a\"b"),
            ("k = a\\\n  b\\\nc\nx=1", "k=abc|x=1"),
            ("k = a\\\n\nx=1", "k=a|x=1"),
            ("k = C:\\dir\\\nx=1", "k=C:\\dirx=1"),
            ("k = 'a\\\n'b", "k='a'b"),
            ("k = \u{a0}a\u{a0}", "k=a"),
        ] {
            assert_eq!(load(text), expected, "{text:?}");
        }
    }

    #[test]
    fn errors() {
        for (text, expected) in [
            ("[a\n", "! unclosed section: [a\n"),
            ("[]", "! empty section name"),
            ("= 1\n", "! empty key name: = 1\n"),
            ("\"\" = 1", "! error creating new key: empty key name"),
            ("\"a = 1", "! missing closing key quote: \"a = 1"),
            ("k = `a\nb", "! missing closing key quote from \"`a\\n\" to \"b\""),
        ] {
            assert_eq!(load(text), expected, "{text:?}");
        }
        assert_eq!(plain("[a]\nflag\n", Dialect::DETECT), "! key-value delimiter not found: flag\n");
        assert_eq!(plain("k = a # b\nl = ';'", Dialect::DETECT), "k=a|l='");
    }

    #[test]
    fn any_text_survives_the_way_through_the_splitter() {
        let text = "[é = ]x%41[ ]\n\"  ;k=\" = `\n\r\n# [x] =\u{1}%zz\u{fffd} `\n";
        let ini = super::super::Ini::parse(text, Dialect::LOAD).unwrap();
        let keys: Vec<_> = ini.section("é = ]x%41[ ").unwrap().keys().collect();
        assert_eq!(keys, [(";k=", "\n\r\n# [x] =\u{1}%zz\u{fffd} ")]);
    }
}
