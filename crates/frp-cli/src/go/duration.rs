//! `time.ParseDuration`.

/// One more than the largest positive duration; as a negative one it is the last that fits.
const LIMIT: u64 = 1 << 63;

/// Nanoseconds of a duration such as `1h30m`, `1.5s` or `-20ms`.
///
/// # Errors
///
/// Go's text for a wrong number, a missing or an unknown unit.
pub(crate) fn parse_duration(word: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(word));
    let (negative, mut rest) = match word.as_bytes().first() {
        Some(b'-') => (true, word.get(1..).unwrap_or_default()),
        Some(b'+') => (false, word.get(1..).unwrap_or_default()),
        _ => (false, word),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        if whole > LIMIT {
            return Err(invalid());
        }
        let end = after
            .find(|character: char| character == '.' || character.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(word)));
        }
        let Some(scale) = nanoseconds(unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(word)));
        };
        let part = part(whole, fraction, scale).ok_or_else(invalid)?;
        total = total.checked_add(part).filter(|total| *total <= LIMIT).ok_or_else(invalid)?;
        rest = after;
    }
    match i64::try_from(total) {
        Ok(total) => Ok(if negative { -total } else { total }),
        // 2^63 has no positive counterpart.
        Err(_) if negative => Ok(i64::MIN),
        Err(_) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The two letters that look alike: micro sign and Greek mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn part(whole: u64, fraction: &str, scale: u64) -> Option<u64> {
    // Less than a nanosecond is cut off, so 18 digits are enough for hours.
    let (mut part, mut unit) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        unit *= 10;
    }
    let part = u64::try_from(part * u128::from(scale) / unit).ok()?;
    whole.checked_mul(scale)?.checked_add(part).filter(|total| *total <= LIMIT)
}

/// Quotes as package `time` does it: every byte outside of printable ASCII as `\x..`.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' | 0x7f => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (word, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000_000_000),
            ("1.5s", 1_500_000_000),
            ("-1h30m", -5_400_000_000_000),
            ("+.5ms", 500_000),
            ("1.ns", 1),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("2540400h10m10.000000000s", 9_145_440_610_000_000_000),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_duration(word), Ok(nanoseconds), "{word}");
        }
    }

    #[test]
    fn wrong_durations_have_the_texts_of_go() {
        for (word, message) in [
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("soon", "time: invalid duration \"soon\""),
            (".s", "time: invalid duration \".s\""),
            ("5", "time: missing unit in duration \"5\""),
            ("1s5", "time: missing unit in duration \"1s5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("5 s", "time: unknown unit \" s\" in duration \"5 s\""),
            ("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""),
            ("9223372036854775809", "time: invalid duration \"9223372036854775809\""),
            ("99999999999999999999", "time: invalid duration \"99999999999999999999\""),
            ("3000000h", "time: invalid duration \"3000000h\""),
            ("5é", "time: unknown unit \"\\xc3\\xa9\" in duration \"5\\xc3\\xa9\""),
        ] {
            assert_eq!(parse_duration(word), Err(message.to_owned()), "{word}");
        }
    }
}
