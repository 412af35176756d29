//! Byte strings, as forgiving as Go's base64.

use ::base64::alphabet;
use ::base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};

/// Standard alphabet, padding demanded, unused bits of the last digit not looked at.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Appends standard base64 with padding.
pub(crate) fn encode_append(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(bytes.len()));
    base64_simd::STANDARD.encode_append(bytes, out);
}

/// How long the base64 of so many bytes is.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Appends what `text` stands for. False, with `out` as it was, if it is not base64 without line breaks, or has loose
/// bits at its end, which [`decode_strict`] forgives.
pub(crate) fn decode_append(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.reserve(text.len() / 4 * 3);
    base64_simd::STANDARD.decode_append(text, out).is_ok()
}

/// Decodes into `out`, replacing what is there. False, with rubbish left in `out`, if it is not base64
/// without line breaks.
pub(super) fn decode_strict(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    if decode_append(text, out) {
        return true;
    }
    out.clear();
    ENGINE.decode_vec(text, out).is_ok()
}

/// As [`decode_strict`], but CR and LF anywhere count for nothing.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let stripped: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    decode_strict(&stripped, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = vec![1, 2, 3];
        decode(text.as_bytes(), &mut out).then_some(out)
    }

    #[test]
    fn as_go() {
        assert_eq!(decoded(""), Some(vec![]));
        assert_eq!(decoded("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(decoded("aGVs\r\nbG8=\n"), Some(b"hello".to_vec()));
        assert_eq!(decoded("aA=\n="), Some(b"h".to_vec()));
        assert!(!decode_strict(b"aA=\n=", &mut Vec::new()));
        assert_eq!(decoded("aB=="), Some(b"h".to_vec()), "loose bits");
        assert!(!decode_append(b"aB==", &mut Vec::new()), "left to the other");
        for bad in ["aGVsbG8", "aA=", "a===", "====", "aGVsbG8=aGVs", "aGVs-_==", "aGVs bG8=", "a", "="] {
            assert_eq!(decoded(bad), None, "{bad}");
            let mut out = vec![1];
            assert!(!decode_append(bad.as_bytes(), &mut out) && out == [1], "{bad}");
        }
    }
}
