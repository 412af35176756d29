//! Values with a grammar of their own.

pub mod bandwidth;
pub(crate) mod number;
pub mod ports;
pub mod secret;

pub use bandwidth::{BandwidthError, BandwidthLimit};
pub use ports::{PortRangeError, PortsRange};
pub use secret::{Pairs, Secret};
