//! Ports for listeners, outside the range that the system takes for outgoing connections.
//!
//! The load opens thousands of connections a second. A port of the ephemeral range that is free now may be the
//! source port of one of them when a program wants to listen on it.

use std::fs;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use rand::Rng;

/// Ports below are more likely to be someone's.
const FIRST: u16 = 10_000;
/// How many are tried.
const TRIES: usize = 20_000;

/// Two runs at a time begin at different places.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::rng().random()));

/// A port of 127.0.0.1 that is free, and that this process has not given for a long time.
pub(crate) fn free() -> u16 {
    let count = ephemeral_start().saturating_sub(FIRST).max(1);
    (0..TRIES)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % count)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .unwrap_or_else(frp_test_support::ports::free)
}

/// Where the range of outgoing connections begins; Linux's own default where it cannot be read.
fn ephemeral_start() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768)
}
