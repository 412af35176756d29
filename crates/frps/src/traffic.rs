//! What a proxy has carried, for the figures that operators look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counters of one proxy. Payload bytes: after decryption and decompression, before encryption and compression.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes from users to the client.
    inbound: AtomicU64,
    /// Bytes from the client to users.
    outbound: AtomicU64,
    /// User connections that are joined now.
    connections: AtomicI64,
    /// Datagrams that were dropped because they do not fit into one message.
    oversized: AtomicU64,
}

impl Traffic {
    pub(crate) fn add_inbound(&self, bytes: u64) {
        self.inbound.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_outbound(&self, bytes: u64) {
        self.outbound.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a dropped datagram and returns how many there were so far.
    pub(crate) fn count_oversized(&self) -> u64 {
        self.oversized.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a user connection until the guard is dropped.
    pub(crate) fn count_connection(traffic: &Arc<Self>) -> CountedConnection {
        traffic.connections.fetch_add(1, Ordering::Relaxed);
        CountedConnection(Arc::clone(traffic))
    }
}

/// One user connection in the count of a proxy.
#[derive(Debug)]
pub(crate) struct CountedConnection(Arc<Traffic>);

impl CountedConnection {
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.0
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
