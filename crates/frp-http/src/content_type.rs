//! What a body is, by its first bytes: the MIME sniffing standard as Go's `http.DetectContentType` has it.

/// Bytes that are looked at.
pub const SNIFF: usize = 512;

const TEXT: &str = "text/plain; charset=utf-8";

/// The content type of a body that begins with `data`, of which the first [`SNIFF`] bytes count.
#[must_use]
pub fn detect(data: &[u8]) -> &'static str {
    let data = data.get(..SNIFF).unwrap_or(data);
    let text =
        data.iter().position(|byte| !is_space(*byte)).and_then(|at| data.get(at..)).unwrap_or_default();
    if TAGS.iter().any(|tag| is_tag(text, tag)) || text.starts_with(b"<!--") && ends_tag(text.get(4)) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, kind)) = EXACT.iter().find(|(start, _)| data.starts_with(start)) {
        return kind;
    }
    if let Some((_, _, kind)) = BOXED.iter().find(|(outer, inner, _)| {
        data.starts_with(outer) && data.get(8..).is_some_and(|rest| rest.starts_with(inner))
    }) {
        return kind;
    }
    if data.get(34..36) == Some(b"LP")
        && data.get(..34).is_some_and(|start| start.iter().all(|byte| *byte == 0))
    {
        return "application/vnd.ms-fontobject";
    }
    if is_mp4(data) {
        return "video/mp4";
    }
    if text.iter().any(|byte| is_binary(*byte)) { "application/octet-stream" } else { TEXT }
}

const TAGS: [&[u8]; 16] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
];

/// What data begins with, in the standard's order.
const EXACT: [(&[u8], &str); 26] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", TEXT),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\0\0\x02\0", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\0", "application/ogg"),
    (b"MThd\0\0\0\x06", "audio/midi"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\0\x01\0\0", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\0", "application/x-rar-compressed"),
    (b"Rar!\x1a\x07\x01\0", "application/x-rar-compressed"),
    (b"\0asm", "application/wasm"),
];

/// A container, four bytes of any length, its contents.
const BOXED: [(&[u8], &[u8], &str); 4] = [
    (b"RIFF", b"WEBPVP", "image/webp"),
    (b"FORM", b"AIFF", "audio/aiff"),
    (b"RIFF", b"AVI ", "video/avi"),
    (b"RIFF", b"WAVE", "audio/wave"),
];

fn is_tag(text: &[u8], tag: &[u8]) -> bool {
    text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag))
        && ends_tag(text.get(tag.len()))
}

fn ends_tag(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'>'))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

fn is_binary(byte: u8) -> bool {
    matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)
}

fn is_mp4(data: &[u8]) -> bool {
    let Some((length, rest)) = data.split_first_chunk::<4>() else { return false };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if data.len() < 12 || length > data.len() || !length.is_multiple_of(4) || !rest.starts_with(b"ftyp") {
        return false;
    }
    let brands = (8..length).step_by(4).filter(|at| *at != 12);
    brands.into_iter().any(|at| data.get(at..at + 3) == Some(b"mp4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        for (data, kind) in [
            (&b""[..], TEXT),
            (b"just text", TEXT),
            (b" \n<html>", "text/html; charset=utf-8"),
            (b"<!doctype html>", "text/html; charset=utf-8"),
            (b"<htmlx>", TEXT),
            (b"<p>x", "text/html; charset=utf-8"),
            (b"<!-- x", "text/html; charset=utf-8"),
            (b" <?xml ", "text/xml; charset=utf-8"),
            (b"\0\x01\x02\xff", "application/octet-stream"),
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"RIFF1234WEBPVP8", "image/webp"),
            (b"\0\0\0\x10ftypmp42\0\0\0\0", "video/mp4"),
            (b"\0\0\0\x10ftypisom\0\0\0\0", "application/octet-stream"),
            (b"\xef\xbb\xbfx", TEXT),
            (b"PK\x03\x04", "application/zip"),
        ] {
            assert_eq!(detect(data), kind, "{data:?}");
        }
        assert_eq!(detect(&[b"a".repeat(512), b"\0".to_vec()].concat()), TEXT);
    }
}
