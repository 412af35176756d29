//! The system calls of Linux that no safe library has: the only unsafe code of the project, with a note per block why it
//! is sound.

pub(crate) mod datagrams;
mod tcp;

pub use tcp::set_not_sent_low_water_mark;
