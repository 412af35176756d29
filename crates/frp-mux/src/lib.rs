//! yamux: many streams over one connection, a core without I/O and a thin tokio side.

#![forbid(unsafe_code)]

mod config;
mod driver;
pub mod engine;
mod error;
pub mod frame;
mod input;
mod session;
mod shared;
mod stream;
#[cfg(test)]
mod tests;

pub use config::{Config, INITIAL_WINDOW};
pub use driver::Driver;
pub use error::{GoAwayReason, OpenError, ProtocolError, SessionEnd};
pub use session::Session;
pub use stream::MuxStream;
