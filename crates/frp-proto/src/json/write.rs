//! Appending values to a body.

use super::base64;

/// Writes the members of one object, comma and key included; the caller writes the braces' content only.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Starts a member; its value goes to the returned buffer. `key` must need no escapes.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// As [`key`](Self::key), for a key that is data.
    pub(crate) fn escaped_key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

/// A string with Go's escapes: short forms where JSON has them, `\u00xx` for other control characters,
/// `<`, `>`, `&` and the two line separators as `\uxxxx`, everything else as it is.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let separator = byte == 0xe2 && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
        if !separator && !needs_escape(byte) {
            at += 1;
            continue;
        }
        out.extend_from_slice(bytes.get(plain_from..at).unwrap_or_default());
        if separator {
            out.extend_from_slice(b"\\u202");
            out.push(if bytes.get(at + 2) == Some(&0xa8) { b'8' } else { b'9' });
            at += 3;
        } else {
            write_escape(out, byte);
            at += 1;
        }
        plain_from = at;
    }
    out.extend_from_slice(bytes.get(plain_from..).unwrap_or_default());
    out.push(b'"');
}

const fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&')
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 0xf] {
                out.extend(HEX.get(usize::from(nibble)));
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A byte string as standard base64 with padding.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64::encode_append(bytes, out);
    out.push(b'"');
}
