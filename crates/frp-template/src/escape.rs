//! The functions `html`, `js` and `urlquery`: texts made safe for other languages.

use crate::quote::{is_printable, runes};

pub(crate) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    out
}

pub(crate) fn javascript(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for rune in runes(text) {
        match rune {
            Ok(c @ ('\\' | '\'' | '"')) => out.extend_from_slice(format!("\\{c}").as_bytes()),
            Ok(c @ ('<' | '>' | '&' | '=')) => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
            }
            Ok(c) if c >= ' ' && (c.is_ascii() || is_printable(c)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Ok(c) => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            // A byte that is no character shows as itself: Go takes its replacement for printable.
            Err(byte) => out.push(byte),
        }
    }
    out
}

pub(crate) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_escapes() {
        assert_eq!(html(b"<a href='x'>&\"\0"), "&lt;a href=&#39;x&#39;&gt;&amp;&#34;\u{fffd}".as_bytes());
        assert_eq!(
            javascript("it's <b>=&\\\"\né\u{a0}".as_bytes()),
            r#"it\'s \u003Cb\u003E\u003D\u0026\\\"\u000Aé\u00A0"#.as_bytes()
        );
        assert_eq!(url_query("a b&c/é~".as_bytes()), b"a+b%26c%2F%C3%A9~");
    }
}
