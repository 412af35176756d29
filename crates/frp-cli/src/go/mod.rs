//! Words as Go reads them, with Go's error texts: upstream's flags are values of Go's standard library.

mod csv;
mod duration;
mod number;

pub(crate) use csv::read_record;
pub(crate) use duration::parse_duration;
pub(crate) use number::{parse_bool, parse_int};

/// A text in double quotes as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    frp_template::quote::quote(text.as_bytes())
}
