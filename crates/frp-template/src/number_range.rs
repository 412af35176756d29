//! The list of numbers that `1000-1002,2000` stands for (upstream `pkg/util/util`, `ParseRangeNumbers`).

use crate::limits::MAX_RANGE_NUMBERS;
use crate::number::{self, NumberError};

/// Why a text is not a list of numbers. Displays as upstream's text, except where the list is too long
/// for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A range that runs backwards, or more than one `-` in an item.
    #[error("range number is invalid")]
    Malformed,
    /// An item, or one end of it, that is not a number.
    #[error("range number is invalid, strconv.ParseInt: parsing {}: {reason}", crate::quote::quote(.text.as_bytes()))]
    Number {
        /// What should have been a number.
        text: String,
        /// What is wrong with it.
        reason: NumberError,
    },
    /// More than [`MAX_RANGE_NUMBERS`] numbers. Upstream would go on until its memory ends.
    #[error("range number is invalid, more than {MAX_RANGE_NUMBERS} numbers")]
    TooMany,
}

/// Expands a comma separated list of numbers and inclusive ranges, in its order.
///
/// Blanks around numbers are allowed, a leading `+` and leading zeros too; `-` always separates, so no
/// number is negative. An empty item, and so an empty text, is an error.
///
/// # Errors
/// The first item that is wrong; see [`RangeError`].
pub fn parse(text: &str) -> Result<Vec<i64>, RangeError> {
    let mut numbers = Vec::new();
    for item in text.trim().split(',') {
        let (first, last) = match item.split_once('-') {
            None => {
                let number = parse_number(item)?;
                (number, number)
            }
            Some((_, last)) if last.contains('-') => return Err(RangeError::Malformed),
            Some((first, last)) => (parse_number(first)?, parse_number(last)?),
        };
        if last < first {
            return Err(RangeError::Malformed);
        }
        let wanted = last.abs_diff(first).saturating_add(1);
        if wanted > (MAX_RANGE_NUMBERS - numbers.len()) as u64 {
            return Err(RangeError::TooMany);
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

fn parse_number(text: &str) -> Result<i64, RangeError> {
    let text = text.trim();
    number::parse_decimal(text).map_err(|reason| RangeError::Number { text: text.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_expand_in_order() {
        assert_eq!(parse("1000-1002,2000"), Ok(vec![1000, 1001, 1002, 2000]));
        assert_eq!(parse(" 1 - 3 , 5 "), Ok(vec![1, 2, 3, 5]));
        assert_eq!(parse("+1,007"), Ok(vec![1, 7]));
    }

    #[test]
    fn errors_are_upstreams() {
        for (text, error) in [
            ("5-1", "range number is invalid"),
            ("1-2-3", "range number is invalid"),
            ("a", "range number is invalid, strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("-5", "range number is invalid, strconv.ParseInt: parsing \"\": invalid syntax"),
            ("", "range number is invalid, strconv.ParseInt: parsing \"\": invalid syntax"),
            ("1,", "range number is invalid, strconv.ParseInt: parsing \"\": invalid syntax"),
            (
                "99999999999999999999",
                "range number is invalid, strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text:?}");
        }
    }

    #[test]
    fn huge_ranges_are_refused_before_they_are_expanded() {
        assert_eq!(parse("0-9223372036854775807"), Err(RangeError::TooMany));
        assert_eq!(parse("1-600000,1-600000"), Err(RangeError::TooMany));
        assert_eq!(parse("1-1000000").unwrap().len(), 1_000_000);
    }
}
