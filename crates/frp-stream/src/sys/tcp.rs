//! Options of TCP connections.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::socklen;

/// Sets how many bytes a TCP connection takes beyond those that it can send at once (`TCP_NOTSENT_LOWAT`, tcp(7)).
///
/// # Errors
/// The socket is none of TCP, or the system does not have the option.
#[expect(unsafe_code, reason = "no safe crate that we use has this option")]
pub fn set_not_sent_low_water_mark(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open, since it is borrowed from its owner; the pointer is to as many bytes as are told,
    // which live until the call returns, and the kernel only reads them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const bytes).cast(),
            socklen::<u32>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
