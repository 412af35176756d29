//! Message bodies: JSON exactly as Go's `encoding/json` reads and writes it.
//!
//! A walk over the bytes without an intermediate tree. `read` pulls values out of a body, `write` appends
//! them, `field` says how each Rust type of a message does both, `base64` serves the one byte string.

pub(crate) mod base64;
mod error;
mod field;
mod read;
mod write;

pub use error::{JsonError, JsonErrorKind};
pub(crate) use field::{Field, Object, StructField, read_body, read_object, write_body};
pub(crate) use read::Reader;
pub(crate) use write::{ObjectWriter, write_bytes, write_string};
