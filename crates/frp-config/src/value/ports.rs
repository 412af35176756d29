//! Port lists such as `2000-3000,3001` (upstream `pkg/config/types/types.go`).

use crate::table::table;
use crate::value::number;

table! {
    /// One entry of `allowPorts`: a single port, or an inclusive range.
    pub struct PortsRange = "types.PortsRange" {
        /// First port of the range.
        start: i64 = "start",
        /// Last port of the range, inclusive.
        end: i64 = "end",
        /// One port. When positive it wins over `start` and `end`.
        single: i64 = "single",
    }
}

impl PortsRange {
    /// The inclusive bounds, whichever way they are written.
    #[must_use]
    pub const fn bounds(&self) -> (i64, i64) {
        if self.single > 0 { (self.single, self.single) } else { (self.start, self.end) }
    }
}

/// A port list that does not follow its grammar. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortRangeError {
    /// More than one `-` in an item, or an end before its start.
    #[error("range number is invalid")]
    Range,
    /// An item that is no base 10 number.
    #[error("range number is invalid, {0}")]
    Number(String),
}

/// Reads `2000-3000,3001`: items separated by commas, each `N` or `A-B` with blanks allowed around numbers.
///
/// # Errors
/// The user's list is wrong: see [`PortRangeError`]. An empty text is an error too.
pub fn parse_list(text: &str) -> Result<Vec<PortsRange>, PortRangeError> {
    text.trim().split(',').map(parse_item).collect()
}

fn parse_item(item: &str) -> Result<PortsRange, PortRangeError> {
    let number = |text: &str| number::parse_int(text.trim(), 10).map_err(PortRangeError::Number);
    let parts: Vec<&str> = item.split('-').collect();
    match parts.as_slice() {
        [single] => Ok(PortsRange { single: number(single)?, ..PortsRange::default() }),
        [start, end] => {
            let (start, end) = (number(start)?, number(end)?);
            if end < start { Err(PortRangeError::Range) } else { Ok(PortsRange { start, end, single: 0 }) }
        }
        _ => Err(PortRangeError::Range),
    }
}

/// Writes a list back in the form of [`parse_list`].
#[must_use]
pub fn list_text(ranges: &[PortsRange]) -> String {
    let texts: Vec<String> = ranges
        .iter()
        .map(|range| {
            if range.single > 0 { range.single.to_string() } else { format!("{}-{}", range.start, range.end) }
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let ranges = parse_list(" 2000-3000, 3001 ,+1 - 007").unwrap();
        assert_eq!(
            ranges.iter().map(PortsRange::bounds).collect::<Vec<_>>(),
            [(2000, 3000), (3001, 3001), (1, 7)]
        );
        assert_eq!(list_text(&ranges), "2000-3000,3001,1-7");
    }

    #[test]
    fn refusals() {
        let text = |list: &str| parse_list(list).unwrap_err().to_string();
        assert_eq!(text("3-2"), "range number is invalid");
        assert_eq!(text("1-2-3"), "range number is invalid");
        assert_eq!(text("a"), "range number is invalid, strconv.ParseInt: parsing \"a\": invalid syntax");
        assert_eq!(text(""), "range number is invalid, strconv.ParseInt: parsing \"\": invalid syntax");
        assert_eq!(text("-5"), "range number is invalid, strconv.ParseInt: parsing \"\": invalid syntax");
    }
}
