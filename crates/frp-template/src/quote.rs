//! Go's quoted form of a text (`strconv.Quote`, the `%q` verb) and of a character (`%#U`).

use std::fmt::Write as _;

/// Bytes as characters; a byte that is not part of one comes back as itself.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Result<char, u8>> + '_ {
    bytes
        .utf8_chunks()
        .flat_map(|chunk| chunk.valid().chars().map(Ok).chain(chunk.invalid().iter().map(|byte| Err(*byte))))
}

/// Whether Go would show `c` as it is: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // The standard library escapes what is not printable. Behind another character it also shows
    // combining marks as they are, as Go does.
    let mut text = String::with_capacity(8);
    text.push('a');
    text.push(c);
    !text.escape_debug().skip(1).any(|c| c == '\\')
}

/// `text` in double quotes, with Go's escapes.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    quote_with(text, '"', false)
}

/// A character in single quotes, with Go's escapes.
#[must_use]
pub fn quote_char(c: char) -> String {
    quote_with(c.encode_utf8(&mut [0; 4]).as_bytes(), '\'', false)
}

/// `text` in the given quotes; `ascii` escapes everything else (the verb `%+q`).
pub(crate) fn quote_with(text: &[u8], quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for rune in runes(text) {
        match rune {
            Ok(c) => push_escaped(&mut out, c, quote, ascii),
            Err(byte) => push_fmt(&mut out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}

fn push_escaped(out: &mut String, c: char, quote: char, ascii: bool) {
    if c == quote || c == '\\' {
        out.push('\\');
        out.push(c);
        return;
    }
    if if ascii { (' '..='~').contains(&c) } else { is_printable(c) } {
        out.push(c);
        return;
    }
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c < ' ' || c == '\x7f' => push_fmt(out, format_args!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => push_fmt(out, format_args!("\\u{:04x}", u32::from(c))),
        c => push_fmt(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

fn push_fmt(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}

/// `U+002D '-'`, without the character when it is not printable (the verb `%#U`).
pub(crate) fn describe(c: char) -> String {
    let code = u32::from(c);
    if is_printable(c) { format!("U+{code:04X} '{c}'") } else { format!("U+{code:04X}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_follows_go() {
        assert_eq!(quote(b"a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quote("日本 é\u{301}".as_bytes()), "\"日本 é\u{301}\"");
        assert_eq!(quote(b"\x00\x07\x08\t\n\r\x0b\x0c\x7f\xff"), r#""\x00\a\b\t\n\r\v\f\x7f\xff""#);
        assert_eq!(
            quote("\u{a0}\u{200c}\u{e000}\u{fffd}\u{10ffff}".as_bytes()),
            r#""\u00a0\u200c\ue000�\U0010ffff""#
        );
        assert_eq!(quote_with("é'".as_bytes(), '\'', true), r"'\u00e9\''");
        assert_eq!(['x', '\'', '"', '\n'].map(quote_char), ["'x'", r"'\''", "'\"'", r"'\n'"]);
        assert_eq!(describe('-'), "U+002D '-'");
        assert_eq!(describe('\u{1}'), "U+0001");
    }
}
