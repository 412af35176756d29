//! Free ports of loopback.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

use rand::Rng;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Below the ports that systems give to outgoing connections (32,768 and up on Linux, 49,152 elsewhere): nobody's
/// connection takes one of these between the choice and its use, and a test that dials one on which nobody listens yet
/// is never connected to itself.
const RANGE: Range<u16> = 10_000..32_000;

/// A port that is free for TCP and UDP on every address, and that this process has not given before.
///
/// # Panics
/// When the machine has no free port left.
#[must_use]
pub fn free() -> u16 {
    for _ in 0..1000 {
        let port = rand::rng().random_range(RANGE);
        let bound = (
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)),
        );
        let free = matches!(bound, (Ok(_), Ok(_)));
        if free && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
    #[expect(clippy::panic, reason = "a test cannot go on without a port")]
    {
        panic!("no free port")
    }
}
