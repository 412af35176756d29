//! `transport.bandwidthLimit`: a number of `MB` or `KB` per second (upstream `pkg/config/types/types.go`).

use crate::value::number;

/// A bandwidth limit as written, and what it comes to in bytes per second. The default is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BandwidthLimit {
    text: String,
    bytes: i64,
}

/// A limit that does not follow the grammar. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BandwidthError {
    /// The text does not end in `MB` or `KB`.
    #[error("unit not support")]
    Unit,
    /// What stands before the unit is no number.
    #[error("{0}")]
    Number(String),
}

impl BandwidthLimit {
    /// Reads `1.5MB` or `100KB`; both units are 1024-based and stand right behind the number. An empty or blank text
    /// is no limit.
    ///
    /// # Errors
    /// The user's text is wrong: see [`BandwidthError`].
    pub fn parse(text: &str) -> Result<Self, BandwidthError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (number, unit) = match (text.strip_suffix("MB"), text.strip_suffix("KB")) {
            (Some(number), _) => (number, 1024.0 * 1024.0),
            (None, Some(number)) => (number, 1024.0),
            (None, None) => return Err(BandwidthError::Unit),
        };
        let number = number::parse_float(number).map_err(BandwidthError::Number)?;
        Ok(Self { text: text.to_owned(), bytes: go_int64(number * unit) })
    }

    /// The trimmed text, as it goes to the server. Empty when no limit is configured.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes per second; zero or less means no limit.
    #[must_use]
    pub const fn bytes(&self) -> i64 {
        self.bytes
    }

    /// Bytes per second if there is a limit.
    #[must_use]
    pub const fn bytes_per_second(&self) -> Option<u64> {
        if self.bytes > 0 { Some(self.bytes.unsigned_abs()) } else { None }
    }
}

impl std::str::FromStr for BandwidthLimit {
    type Err = BandwidthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Go's conversion on amd64: truncation, and the smallest integer for whatever does not fit.
#[expect(clippy::cast_possible_truncation, reason = "checked to be within the range of i64")]
fn go_int64(value: f64) -> i64 {
    // 2^63, the first float above every i64.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_forms() {
        for (text, bytes) in [
            ("1.5MB", 1_572_864),
            (" 100KB ", 102_400),
            ("1e2KB", 102_400),
            (".5MB", 524_288),
            ("5.KB", 5120),
            ("+3KB", 3072),
            ("-1KB", -1024),
            ("1_000KB", 1_024_000),
            ("0x1p4KB", 16_384),
            ("infKB", i64::MIN),
            ("nanMB", i64::MIN),
            ("1e300MB", i64::MIN),
            ("", 0),
        ] {
            let limit = BandwidthLimit::parse(text).unwrap();
            assert_eq!(limit.bytes(), bytes, "{text}");
            assert_eq!(limit.text(), text.trim());
        }
    }

    #[test]
    fn refused_forms() {
        for (text, error) in [
            ("1", "unit not support"),
            ("1mb", "unit not support"),
            ("1 MB", "strconv.ParseFloat: parsing \"1 \": invalid syntax"),
            ("MB", "strconv.ParseFloat: parsing \"\": invalid syntax"),
            ("1e400KB", "strconv.ParseFloat: parsing \"1e400\": value out of range"),
            ("0x10KB", "strconv.ParseFloat: parsing \"0x10\": invalid syntax"),
            ("1__0KB", "strconv.ParseFloat: parsing \"1__0\": invalid syntax"),
        ] {
            assert_eq!(BandwidthLimit::parse(text).unwrap_err().to_string(), error);
        }
    }
}
