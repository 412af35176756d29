//! The system calls of Linux that no safe library has: the only unsafe code of this crate, with a note per block why it
//! is sound.

pub(crate) mod datagrams;
mod resident;
mod tcp;

pub use resident::{keep_freed_memory, release_what_only_the_start_needed};
pub use tcp::set_not_sent_low_water_mark;

/// How long a `T` is, as the system's calls are told.
#[expect(clippy::cast_possible_truncation, reason = "these are some dozens of bytes")]
const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
