//! Numbers as Go's `strconv` reads and writes them, with its error texts.

/// Reads a whole integer in `base` 10, or in base 0: `0x`, `0o`, `0b`, a leading `0` for octal, and underscores
/// between digits.
///
/// # Errors
/// Go's text, such as `strconv.ParseInt: parsing "a": invalid syntax`.
pub(crate) fn parse_int(text: &str, base: u32) -> Result<i64, String> {
    let refuse = |what: &str| format!("strconv.ParseInt: parsing {}: {what}", quote(text));
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (radix, digits) = if base == 0 {
        if !underscores_ok(digits) {
            return Err(refuse("invalid syntax"));
        }
        let (radix, digits) = split_radix(digits);
        (radix, digits.replace('_', ""))
    } else {
        (base, digits.to_owned())
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(refuse("invalid syntax"));
    }
    let signed = if negative { format!("-{digits}") } else { digits };
    i64::from_str_radix(&signed, radix).map_err(|_| refuse("value out of range"))
}

/// The radix that a base 0 prefix names, and the digits behind it.
fn split_radix(digits: &str) -> (u32, &str) {
    let behind = digits.get(2..).unwrap_or_default();
    match digits.get(..2).unwrap_or_default().to_ascii_lowercase().as_str() {
        "0x" => (16, behind),
        "0b" => (2, behind),
        "0o" => (8, behind),
        _ if digits.starts_with('0') && digits.len() > 1 => (8, digits.get(1..).unwrap_or_default()),
        _ => (10, digits),
    }
}

/// Whether each underscore of an unsigned number stands behind a digit or base prefix and before a digit.
fn underscores_ok(number: &str) -> bool {
    let lower = number.to_ascii_lowercase();
    let hex = lower.starts_with("0x");
    let prefixed = hex || lower.starts_with("0b") || lower.starts_with("0o");
    let mut previous = if prefixed { '0' } else { '!' };
    for character in lower.chars().skip(if prefixed { 2 } else { 0 }) {
        let class = match character {
            '0'..='9' => '0',
            'a'..='f' if hex => '0',
            '_' => '_',
            _ => '!',
        };
        if (class == '_' && previous != '0') || (previous == '_' && class != '0') {
            return false;
        }
        previous = class;
    }
    previous != '_'
}

/// Reads a float as Go's `ParseFloat` with 64 bits: decimal or hexadecimal with a `p` exponent, `inf`, `nan`.
/// Underscores may stand between digits.
///
/// # Errors
/// Go's text, such as `strconv.ParseFloat: parsing "1 ": invalid syntax`.
pub(crate) fn parse_float(text: &str) -> Result<f64, String> {
    let refuse = |what: &str| format!("strconv.ParseFloat: parsing {}: {what}", quote(text));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Ok(sign * f64::INFINITY),
        "nan" if unsigned.len() == text.len() => return Ok(f64::NAN),
        _ => {}
    }
    if !underscores_ok(unsigned) {
        return Err(refuse("invalid syntax"));
    }
    let unsigned = unsigned.replace('_', "");
    if unsigned.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x")) {
        let magnitude =
            hex_float(unsigned.get(2..).unwrap_or_default()).ok_or_else(|| refuse("invalid syntax"))?;
        return if magnitude.is_finite() { Ok(sign * magnitude) } else { Err(refuse("value out of range")) };
    }
    if !is_decimal_float(&unsigned) {
        return Err(refuse("invalid syntax"));
    }
    match unsigned.parse::<f64>() {
        Ok(magnitude) if magnitude.is_finite() => Ok(sign * magnitude),
        Ok(_) => Err(refuse("value out of range")),
        Err(_) => Err(refuse("invalid syntax")),
    }
}

/// Digits with at most one dot and at least one digit, then an optional exponent.
fn is_decimal_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at).unwrap_or_default(), Some(text.get(at + 1..).unwrap_or_default())),
        None => (text, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let dots = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    digits > 0 && dots <= 1 && digits + dots == mantissa.len() && exponent_ok
}

/// The magnitude of a hexadecimal float without its `0x`; the `p` exponent is mandatory.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = exponent.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    Some(value * 2.0_f64.powi(shift))
}

/// A float in the form of Go's JSON encoder: shortest digits, plain from 1e-6 up to 1e21, with an exponent beyond.
pub(crate) fn json_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        // Rust writes `1e21` and `1.5e-7`; Go's encoder writes `1e+21` and `1.5e-7`.
        return explicit_exponent_sign(&format!("{value:e}"));
    }
    format!("{value}")
}

/// A float as Go's `FormatFloat(value, 'g', -1, 64)`: an exponent below 1e-4 and from 1e21 on.
pub(crate) fn general_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = explicit_exponent_sign(&format!("{value:e}"));
        // 'g' pads the exponent to two digits.
        return match text.rsplit_once(['+', '-']) {
            Some((_, digits)) if digits.len() == 1 => {
                let at = text.len() - 1;
                format!("{}0{digits}", text.get(..at).unwrap_or_default())
            }
            _ => text,
        };
    }
    format!("{value}")
}

fn explicit_exponent_sign(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text.to_owned(),
    }
}

/// A text in double quotes as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    frp_template::quote::quote(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in
            [("7_000", 7000), ("0x1F", 31), ("0b1", 1), ("0o17", 15), ("010", 8), ("-5", -5), ("0", 0)]
        {
            assert_eq!(parse_int(text, 0), Ok(value), "{text}");
        }
        for text in ["", "_1", "1__0", "0x", "08", "7 ", "1_"] {
            assert!(parse_int(text, 0).is_err(), "{text}");
        }
        assert_eq!(parse_int("+007", 10), Ok(7));
        assert!(parse_int("7_0", 10).is_err());
        assert_eq!(
            parse_int("9223372036854775808", 10).unwrap_err(),
            "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"
        );
    }

    #[test]
    fn float_texts() {
        for (value, text) in [
            (0.5, "0.5"),
            (1e-7, "1e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (7000.0, "7000"),
            (-0.0, "-0"),
        ] {
            assert_eq!(json_float(value), text);
        }
        assert_eq!(general_float(1.5), "1.5");
        assert_eq!(general_float(1e3), "1000");
        assert_eq!(general_float(1e21), "1e+21");
        assert_eq!(general_float(1e-7), "1e-07");
    }
}
