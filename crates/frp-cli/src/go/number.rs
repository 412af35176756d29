//! `strconv.ParseBool` and `strconv.ParseInt` with base 0.

use super::quote;

fn syntax(function: &str, word: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", quote(word))
}

/// One of the words that Go takes for a truth value.
pub(crate) fn parse_bool(word: &str) -> Result<bool, String> {
    match word {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(syntax("ParseBool", word)),
    }
}

/// A 64-bit integer: decimal, `0x`, `0b`, `0o` or a leading zero for octal, underscores between digits.
pub(crate) fn parse_int(word: &str) -> Result<i64, String> {
    let (negative, unsigned) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(rest)) => (rest, 16),
        (Some("0b"), Some(rest)) => (rest, 2),
        (Some("0o"), Some(rest)) => (rest, 8),
        _ => match lower.strip_prefix('0') {
            Some(rest) if !rest.is_empty() => (rest, 8),
            _ => (lower.as_str(), 10),
        },
    };
    // After a base prefix an underscore may come at once; at the start of a decimal number and at the end it may not.
    let misplaced =
        digits.contains("__") || digits.ends_with('_') || (radix == 10 && digits.starts_with('_'));
    let digits = digits.replace('_', "");
    if misplaced || digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(syntax("ParseInt", word));
    }
    // All digits are good, so what remains is a number that does not fit.
    let magnitude = i128::from_str_radix(&digits, radix).unwrap_or(i128::MAX);
    i64::try_from(if negative { -magnitude } else { magnitude })
        .map_err(|_| format!("strconv.ParseInt: parsing {}: value out of range", quote(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_has_six_words_each_way() {
        for word in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(word), Ok(true));
        }
        for word in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(word), Ok(false));
        }
        for word in ["", "tRUE", "yes", "on", "2", " true"] {
            assert!(parse_bool(word).is_err(), "{word}");
        }
    }

    #[test]
    fn integers_have_base_zero() {
        for (word, value) in [
            ("7000", 7000),
            ("-1", -1),
            ("+1", 1),
            ("0", 0),
            ("0x11170", 70000),
            ("0X1f", 31),
            ("0210560", 70000),
            ("0o17", 15),
            ("0b101", 5),
            ("70_000", 70000),
            ("0x_1f", 31),
            ("0_7", 7),
            ("-0x8000000000000000", i64::MIN),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_int(word), Ok(value), "{word}");
        }
        for word in
            ["", "-", "+", "abc", "1.5", "1e3", "0x", "08", "_1", "1_", "1__0", " 1", "--1", "0x_", "1x", "é"]
        {
            let expected = format!("strconv.ParseInt: parsing {}: invalid syntax", quote(word));
            assert_eq!(parse_int(word), Err(expected), "{word}");
        }
        for word in
            ["9223372036854775808", "-9223372036854775809", &"9".repeat(80), &format!("0x{}", "f".repeat(80))]
        {
            let expected = format!("strconv.ParseInt: parsing {}: value out of range", quote(word));
            assert_eq!(parse_int(word), Err(expected), "{word}");
        }
    }
}
