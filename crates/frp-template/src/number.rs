//! Numbers as Go's `strconv` reads them.

/// Why a text is not a number. Displays as the end of Go's error text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a number in this grammar.
    #[error("invalid syntax")]
    Syntax,
    /// A number that the type cannot hold.
    #[error("value out of range")]
    Range,
}

/// Go's `strconv.ParseInt(text, 10, 64)`: an optional sign and decimal digits, nothing else.
///
/// # Errors
/// [`NumberError::Syntax`] or [`NumberError::Range`].
pub(crate) fn parse_decimal(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = split_sign(text);
    signed(magnitude(digits, 10)?, negative)
}

/// Go's `strconv.ParseInt(text, 0, 64)`: as a Go literal, so `0x1F`, `0b1`, `0o17`, `017` (octal) and
/// `7_000` are numbers, with an optional sign.
///
/// # Errors
/// [`NumberError::Syntax`] or [`NumberError::Range`].
pub(crate) fn parse_int(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = split_sign(text);
    signed(parse_uint(digits)?, negative)
}

/// Go's `strconv.ParseUint(text, 0, 64)`: like [`parse_int`] but without a sign.
///
/// # Errors
/// [`NumberError::Syntax`] or [`NumberError::Range`].
pub(crate) fn parse_uint(text: &str) -> Result<u64, NumberError> {
    let bytes = text.as_bytes();
    let prefixed =
        |letter: u8| bytes.len() >= 3 && bytes[0] == b'0' && bytes[1].eq_ignore_ascii_case(&letter);
    let (base, digits) = if prefixed(b'x') {
        (16, &text[2..])
    } else if prefixed(b'b') {
        (2, &text[2..])
    } else if prefixed(b'o') {
        (8, &text[2..])
    } else if bytes.len() > 1 && bytes[0] == b'0' {
        (8, &text[1..])
    } else {
        (10, text)
    };
    if !digits.contains('_') {
        return magnitude(digits, base);
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let value = magnitude(&plain, base)?;
    if underscores_separate_digits(text) { Ok(value) } else { Err(NumberError::Syntax) }
}

/// Go's `strconv.ParseFloat(text, 64)`: decimal and hexadecimal floats, underscores between digits,
/// `inf`, `infinity` and `nan` in any case.
///
/// # Errors
/// [`NumberError::Syntax`], or [`NumberError::Range`] when the number rounds to infinity.
pub(crate) fn parse_float(text: &str) -> Result<f64, NumberError> {
    let (negative, unsigned) = split_sign(text);
    let value = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        // `+nan` and `-nan` are no numbers.
        "nan" if unsigned.len() == text.len() => f64::NAN,
        lower => finite(lower)?,
    };
    Ok(if negative { -value } else { value })
}

/// A finite float without its sign, in lower case.
fn finite(text: &str) -> Result<f64, NumberError> {
    if text.contains('_') && !underscores_separate_digits(text) {
        return Err(NumberError::Syntax);
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let value = match plain.strip_prefix("0x") {
        Some(digits) => hexadecimal_float(digits)?,
        None => decimal_float(&plain)?,
    };
    if value.is_infinite() { Err(NumberError::Range) } else { Ok(value) }
}

fn decimal_float(text: &str) -> Result<f64, NumberError> {
    // Rust's grammar is Go's plus the words for infinity and NaN, which are dealt with already.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(NumberError::Syntax);
    }
    text.parse().map_err(|_| NumberError::Syntax)
}

/// `<hex digits>[.<hex digits>]p<exponent>`, after the `0x`; the exponent is mandatory.
fn hexadecimal_float(text: &str) -> Result<f64, NumberError> {
    let (digits, exponent) = text.split_once('p').ok_or(NumberError::Syntax)?;
    let (negative, exponent_digits) = split_sign(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::Syntax);
    }
    // An exponent that does not fit is as good as a very large one.
    let power = exponent_digits.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000);
    let mut exponent = if negative { -power } else { power };

    let mut mantissa: u64 = 0;
    let (mut seen_digit, mut seen_point) = (false, false);
    for byte in digits.bytes() {
        if byte == b'.' && !seen_point {
            seen_point = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16).ok_or(NumberError::Syntax)?);
        seen_digit = true;
        if seen_point {
            exponent -= 4;
        }
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // Beyond the precision of a double: keep the size, and whether anything was left over.
            exponent += 4;
            mantissa |= u64::from(digit != 0);
        }
    }
    if !seen_digit {
        return Err(NumberError::Syntax);
    }
    #[expect(clippy::cast_precision_loss, reason = "rounding to nearest is what is wanted")]
    let mut value = mantissa as f64;
    let step = if exponent < 0 { 0.5 } else { 2.0 };
    for _ in 0..exponent.unsigned_abs().min(4000) {
        value *= step;
    }
    Ok(value)
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn magnitude(digits: &str, base: u32) -> Result<u64, NumberError> {
    if digits.is_empty() {
        return Err(NumberError::Syntax);
    }
    let mut value: Option<u64> = Some(0);
    for c in digits.chars() {
        let digit = c.to_digit(base).ok_or(NumberError::Syntax)?;
        value = value.and_then(|v| v.checked_mul(u64::from(base))?.checked_add(u64::from(digit)));
    }
    value.ok_or(NumberError::Range)
}

fn signed(magnitude: u64, negative: bool) -> Result<i64, NumberError> {
    if negative {
        0i64.checked_sub_unsigned(magnitude).ok_or(NumberError::Range)
    } else {
        i64::try_from(magnitude).map_err(|_| NumberError::Range)
    }
}

/// Whether every underscore stands between two digits, or between a base prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let (_, unsigned) = split_sign(text);
    let bytes = unsigned.as_bytes();
    let prefix = bytes.len() >= 2 && bytes[0] == b'0' && matches!(bytes[1] | 0x20, b'b' | b'o' | b'x');
    let hexadecimal = prefix && bytes[1] | 0x20 == b'x';
    let is_digit = |b: u8| b.is_ascii_digit() || (hexadecimal && b.is_ascii_hexdigit());
    // A base prefix counts as a digit.
    let (mut after_digit, mut after_underscore) = (prefix, false);
    for &byte in &bytes[if prefix { 2 } else { 0 }..] {
        if is_digit(byte) {
            (after_digit, after_underscore) = (true, false);
        } else if byte == b'_' {
            if !after_digit {
                return false;
            }
            (after_digit, after_underscore) = (false, true);
        } else {
            if after_underscore {
                return false;
            }
            after_digit = false;
        }
    }
    !after_underscore
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_follow_the_grammar_of_go_literals() {
        for (text, value) in [
            ("0", 0),
            ("7001", 7001),
            ("+7", 7),
            ("-1", -1),
            ("010", 8),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0b101", 5),
            ("0o17", 15),
            ("7_000", 7000),
            ("0x_1F", 31),
            ("0_7", 7),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_int(text), Ok(value), "{text}");
        }
        for text in ["", "+", "08", "7001.0", "0x", "_1", "1_", "1__0", "abc", "1 ", "--1", "0b2"] {
            assert_eq!(parse_int(text), Err(NumberError::Syntax), "{text:?}");
        }
        assert_eq!(parse_int("9223372036854775808"), Err(NumberError::Range));
        assert_eq!(parse_uint("18446744073709551616"), Err(NumberError::Range));
    }

    #[test]
    fn decimal_integers_know_no_prefix_and_no_underscore() {
        assert_eq!(parse_decimal("007"), Ok(7));
        assert_eq!(parse_decimal("+1"), Ok(1));
        for text in ["0x1", "1_000", "", "1e3", " 1"] {
            assert_eq!(parse_decimal(text), Err(NumberError::Syntax), "{text:?}");
        }
    }

    #[test]
    fn floats_follow_go() {
        for (text, value) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("+3", 3.0),
            ("-1e2", -100.0),
            ("1_000", 1000.0),
            ("0x1p4", 16.0),
            ("0x1.8p1", 3.0),
            ("0x_1p-1", 0.5),
            ("Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text), Ok(value), "{text}");
        }
        assert!(parse_float("NaN").unwrap().is_nan());
        for text in ["", ".", "1 ", "0x10", "1e", "ab", "+nan", "1__0", "1._5", "0x1p", "e5", "1,5"] {
            assert_eq!(parse_float(text), Err(NumberError::Syntax), "{text:?}");
        }
        assert_eq!(parse_float("1e400"), Err(NumberError::Range));
    }
}
