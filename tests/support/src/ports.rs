//! Free ports of loopback.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex, PoisonError};

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that is free for TCP and UDP on every address, and that this process has not given before.
///
/// # Panics
/// When the machine has no free port left.
#[must_use]
pub fn free() -> u16 {
    for _ in 0..1000 {
        let Ok(tcp) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)) else { continue };
        let Ok(address) = tcp.local_addr() else { continue };
        if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, address.port())).is_err() {
            continue;
        }
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(address.port()) {
            return address.port();
        }
    }
    #[expect(clippy::panic, reason = "a test cannot go on without a port")]
    {
        panic!("no free port")
    }
}
