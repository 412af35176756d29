//! Ports for listeners, outside the range that the system takes for outgoing connections.
//!
//! The load opens thousands of connections a second. A port of the ephemeral range that is free now may be the
//! source port of one of them when a program wants to listen on it.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port that is tried.
const FIRST: u16 = 11_000;

static NEXT: AtomicU16 = AtomicU16::new(FIRST);

/// A port of 127.0.0.1 that is free and that this process has not given before.
pub(crate) fn free() -> u16 {
    let end = ephemeral_start();
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= end {
            return frp_test_support::ports::free();
        }
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where the range of outgoing connections begins; Linux's own default where it cannot be read.
fn ephemeral_start() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768)
}
