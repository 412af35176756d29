//! Connections that have not yet said who they are, counted per source address.
//!
//! A connection is pending from accept until it has logged in or has named a run id of a client that is here. At
//! the cap the oldest pending connection of that address goes and the newcomer stays: whoever fills the table from
//! an address cannot lock a legitimate client of the same address out, because that client needs only a moment.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The table of pending connections. Shared by all accept loops; the lock is never held across an await.
#[derive(Debug)]
pub(crate) struct Pending {
    cap: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    by_address: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

impl Pending {
    /// `cap` is the largest number of pending connections per source address; at least one is always admitted.
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { cap: cap.max(1), table: Mutex::default() })
    }

    /// Admits a connection from `address`, evicting the oldest pending one of that address at the cap.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Slot {
        let evicted = CancellationToken::new();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let id = table.next_id;
        table.next_id += 1;
        let of_address = table.by_address.entry(address).or_default();
        let oldest = if of_address.len() >= self.cap { of_address.pop_first() } else { None };
        of_address.insert(id, evicted.clone());
        drop(table);
        if let Some((_, token)) = oldest {
            tracing::warn!(
                "too many connections from [{address}] that have not logged in, closing the oldest"
            );
            token.cancel();
        }
        Slot { id, address, evicted, pending: Arc::clone(self) }
    }

    fn release(&self, address: IpAddr, id: u64) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = table.by_address.get_mut(&address) {
            of_address.remove(&id);
            if of_address.is_empty() {
                table.by_address.remove(&address);
            }
        }
    }
}

/// One pending connection. Dropped when the connection ends; [`Slot::identified`] frees the place earlier.
#[derive(Debug)]
pub(crate) struct Slot {
    id: u64,
    address: IpAddr,
    evicted: CancellationToken,
    pending: Arc<Pending>,
}

impl Slot {
    /// The connection has logged in or named a valid run id: it no longer counts and can no longer be evicted.
    pub(crate) fn identified(&self) {
        self.pending.release(self.address, self.id);
    }

    /// Resolves when the connection has to make room for a newer one. Never does once it is identified.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pending.release(self.address, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn at_the_cap_the_oldest_of_that_address_goes() {
        let pending = Pending::new(2);
        let first = pending.admit(A);
        let second = pending.admit(A);
        let other = pending.admit(B);
        let third = pending.admit(A);
        assert!(first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled());
        assert!(!third.evicted.is_cancelled());
        assert!(!other.evicted.is_cancelled());
    }

    #[test]
    fn an_identified_connection_neither_counts_nor_goes() {
        let pending = Pending::new(1);
        let first = pending.admit(A);
        first.identified();
        let second = pending.admit(A);
        assert!(!first.evicted.is_cancelled());
        drop(first);
        assert!(!second.evicted.is_cancelled());
        let _third = pending.admit(A);
        assert!(second.evicted.is_cancelled());
    }

    #[test]
    fn a_connection_that_ended_leaves_nothing_behind() {
        let pending = Pending::new(4);
        drop(pending.admit(A));
        assert!(pending.table.lock().unwrap().by_address.is_empty());
    }
}
