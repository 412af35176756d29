//! The encoding of forms, as Go's `net/url` has it.

use std::collections::BTreeMap;

/// `QueryEscape`: a space as `+`.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// Names with values, in the order of the names.
pub(crate) fn encoded(values: &BTreeMap<&str, &str>) -> String {
    let pairs: Vec<_> =
        values.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

/// The first value of each name. None when an escape is none.
pub(crate) fn decoded(text: &str) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        values.entry(unescaped(name)?).or_insert(unescaped(value)?);
    }
    Some(values)
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let digit =
                    |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let digits: Vec<u8> = digits.iter().map(digit).collect::<Option<_>>()?;
                bytes.push(digits.iter().fold(0, |byte, digit| (byte << 4) | digit));
                rest = after;
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let values =
            BTreeMap::from([("scope", ""), ("a b", "ö&=+%/~"), ("grant_type", "client_credentials")]);
        let text = encoded(&values);
        assert_eq!(text, "a+b=%C3%B6%26%3D%2B%25%2F~&grant_type=client_credentials&scope=");
        let back = decoded(&text).unwrap();
        assert!(back.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(values));
    }

    #[test]
    fn what_is_no_form() {
        assert_eq!(decoded(""), Some(BTreeMap::new()));
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%+1=b"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
