//! Integers, floats and complex numbers.

use super::Printer;
use crate::quote::{describe, quote_with};
use crate::value::Value;

impl Printer {
    pub(super) fn integer(&mut self, value: &Value<'_>, magnitude: u64, negative: bool, verb: char) {
        match verb {
            'v' | 'd' => self.digits(magnitude, negative, 10, verb),
            'b' => self.digits(magnitude, negative, 2, verb),
            'o' | 'O' => self.digits(magnitude, negative, 8, verb),
            'x' | 'X' => self.digits(magnitude, negative, 16, verb),
            'c' => {
                let c = character(magnitude, negative);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes(), self.flags.zero);
            }
            'q' => {
                let text = character(magnitude, negative).to_string();
                let quoted = quote_with(text.as_bytes(), '\'', self.flags.plus);
                self.pad(quoted.as_bytes(), self.flags.zero);
            }
            'U' => self.code_point(magnitude, negative),
            _ => self.bad_verb(value, verb),
        }
    }

    fn digits(&mut self, magnitude: u64, negative: bool, base: u32, verb: char) {
        let flags = self.flags;
        if flags.precision == Some(0) && magnitude == 0 {
            self.pad(b"", false);
            return;
        }
        let sign = sign(negative, flags.plus, flags.space);
        let least = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let digits = match (base, verb) {
            (2, _) => format!("{magnitude:b}"),
            (8, _) => format!("{magnitude:o}"),
            (16, 'X') => format!("{magnitude:X}"),
            (16, _) => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        let prefix = match (base, verb) {
            (8, 'O') => "0o",
            (2, _) if flags.sharp => "0b",
            (16, 'X') if flags.sharp => "0X",
            (16, _) if flags.sharp => "0x",
            (8, _) if flags.sharp && zeros.is_empty() && !digits.starts_with('0') => "0",
            _ => "",
        };
        self.pad(format!("{sign}{prefix}{zeros}{digits}").as_bytes(), false);
    }

    /// `U+0061`, and with `#` the character behind it.
    fn code_point(&mut self, magnitude: u64, negative: bool) {
        let code = if negative { magnitude.wrapping_neg() } else { magnitude };
        let digits = self.flags.precision.unwrap_or(4).max(4);
        let code_digits = format!("{code:X}");
        let zeros = "0".repeat(digits.saturating_sub(code_digits.len()));
        let mut text = format!("U+{zeros}{code_digits}");
        let described = u32::try_from(code).ok().and_then(char::from_u32).map(describe);
        if let Some((_, c)) =
            described.as_ref().and_then(|text| text.split_once(' ')).filter(|_| self.flags.sharp)
        {
            text.push(' ');
            text.push_str(c);
        }
        self.pad(text.as_bytes(), false);
    }

    pub(super) fn float(&mut self, value: &Value<'_>, number: f64, verb: char) {
        let precision = self.flags.precision;
        let text = match verb {
            'v' | 'g' | 'G' => general(number, precision),
            'e' | 'E' => exponential(number, precision.unwrap_or(6)),
            'f' | 'F' => fixed(number, precision.unwrap_or(6)),
            _ => return self.bad_verb(value, verb),
        };
        let text = match number {
            n if n.is_nan() => "NaN".to_owned(),
            n if n.is_infinite() => "Inf".to_owned(),
            _ if verb.is_uppercase() => text.to_uppercase(),
            _ => text,
        };
        let infinite = number.is_infinite();
        let sign = match sign(number.is_sign_negative(), self.flags.plus, self.flags.space) {
            // An infinity always shows its sign.
            "" if infinite => "+",
            sign => sign,
        };
        if !number.is_finite() || !self.flags.zero || self.flags.minus {
            self.pad(format!("{sign}{text}").as_bytes(), self.flags.zero && number.is_finite());
            return;
        }
        let zeros = self.flags.width.unwrap_or(0).saturating_sub(sign.len() + text.len());
        self.push(format!("{sign}{}{text}", "0".repeat(zeros)).as_bytes());
    }

    pub(super) fn complex(&mut self, value: &Value<'_>, real: f64, imaginary: f64, verb: char) {
        if !matches!(verb, 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F') {
            return self.bad_verb(value, verb);
        }
        let plus = self.flags.plus;
        self.push(b"(");
        self.float(value, real, verb);
        self.flags.plus = true;
        self.float(value, imaginary, verb);
        self.push(b"i)");
        self.flags.plus = plus;
    }
}

fn sign(negative: bool, plus: bool, space: bool) -> &'static str {
    match (negative, plus, space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

/// The character of a code; U+FFFD for what is none.
fn character(magnitude: u64, negative: bool) -> char {
    let code = if negative { None } else { u32::try_from(magnitude).ok() };
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// No float has more digits than this behind its point; only zeros follow. Rust takes no precision above 65,535.
const MOST_DIGITS: usize = 1100;

/// A plain number with so many digits behind the point.
fn fixed(number: f64, precision: usize) -> String {
    let zeros = "0".repeat(precision.saturating_sub(MOST_DIGITS));
    format!("{:.*}{zeros}", precision.min(MOST_DIGITS), number.abs())
}

/// Go's exponents have a sign and two digits.
fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{:.*e}", precision.min(MOST_DIGITS), number.abs());
    let zeros = "0".repeat(precision.saturating_sub(MOST_DIGITS));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    go_exponent(&format!("{mantissa}{zeros}e{exponent}"))
}

fn go_exponent(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The shorter of a plain number and one with an exponent, by Go's rule for `%g`.
fn general(number: f64, precision: Option<usize>) -> String {
    let number = number.abs();
    // One digit, a point, the others, and the exponent.
    let text = match precision {
        None => format!("{number:e}"),
        // Zeros at the end go anyway.
        Some(precision) => format!("{:.*e}", precision.clamp(1, MOST_DIGITS) - 1, number),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    while digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
    }
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let threshold = match precision.map(|precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX)) {
        None => 6,
        Some(precision) if precision > count && count >= point => count,
        Some(precision) => precision,
    };
    if exponent < -4 || exponent >= threshold {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return go_exponent(&format!("{first}{point}{rest}e{exponent}"));
    }
    let at = usize::try_from(point).unwrap_or(0);
    if at == 0 {
        let zeros = usize::try_from(-point).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros)).trim_end_matches('.').to_owned();
    }
    if at >= digits.len() {
        return format!("{digits}{}", "0".repeat(at - digits.len()));
    }
    format!("{}.{}", &digits[..at], &digits[at..])
}
