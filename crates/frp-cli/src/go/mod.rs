//! Words as Go reads them, with Go's error texts: upstream's flags are values of Go's standard library.

mod csv;
mod duration;
mod number;
mod quote;

pub(crate) use csv::read_record;
pub(crate) use duration::parse_duration;
pub(crate) use number::{parse_bool, parse_int};
pub(crate) use quote::quote;
