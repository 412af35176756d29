//! Connections that have not yet said who they are, counted per source: an IPv4 address, or an IPv6 network of 64
//! bits, which is the least that one host is given and whose 2^64 addresses it may use as it likes.
//!
//! A connection is pending from accept until it has logged in or has named a run id of a client that is here. At
//! the cap the oldest pending connection of that source goes and the newcomer stays: whoever fills the table from
//! a source cannot lock a legitimate client of the same source out, because that client needs only a moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    by_source: HashMap<Source, BTreeMap<u64, CancellationToken>>,
    /// Connections that are not counted yet.
    expected: HashSet<u64>,
}

/// What is counted together; see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

impl Pending {
    /// `cap` is the largest number of pending connections per source; at least one is always admitted.
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { cap: cap.max(1), table: Mutex::default() })
    }

    /// Admits a connection from `address`, evicting the oldest pending one of its source at the cap.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Slot {
        self.admit_of(address.into(), format_args!("from [{address}] "))
    }

    /// Admits a connection to a table in which all sources count as one.
    pub(crate) fn admit_one_of_all(self: &Arc<Self>) -> Slot {
        self.admit_of(Source(Ipv6Addr::UNSPECIFIED.into()), format_args!(""))
    }

    /// A connection that says it is from `address`, which counts as soon as it has arrived. Until then it displaces nobody.
    pub(crate) fn expect(self: &Arc<Self>, address: IpAddr) -> (Slot, Arrival) {
        let slot = self.slot(address.into());
        self.lock().expected.insert(slot.id);
        let arrival =
            Arrival { id: slot.id, address, evicted: slot.evicted.clone(), pending: Arc::clone(self) };
        (slot, arrival)
    }

    fn admit_of(self: &Arc<Self>, source: Source, named: fmt::Arguments<'_>) -> Slot {
        let slot = self.slot(source);
        self.count(self.lock(), slot.id, source, &slot.evicted, named);
        slot
    }

    fn slot(self: &Arc<Self>, source: Source) -> Slot {
        let mut table = self.lock();
        let id = table.next_id;
        table.next_id += 1;
        drop(table);
        Slot { id, source, evicted: CancellationToken::new(), pending: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(
        &self,
        mut table: MutexGuard<'_, Table>,
        id: u64,
        source: Source,
        evicted: &CancellationToken,
        named: fmt::Arguments<'_>,
    ) {
        let of_source = table.by_source.entry(source).or_default();
        let oldest = if of_source.len() >= self.cap { of_source.pop_first() } else { None };
        of_source.insert(id, evicted.clone());
        drop(table);
        if let Some((_, token)) = oldest {
            tracing::warn!("too many connections {named}that have not logged in, closing the oldest");
            token.cancel();
        }
    }

    fn release(&self, source: Source, id: u64) {
        let mut table = self.lock();
        table.expected.remove(&id);
        if let Some(of_source) = table.by_source.get_mut(&source) {
            of_source.remove(&id);
            if of_source.is_empty() {
                table.by_source.remove(&source);
            }
        }
    }
}

/// One pending connection. Dropped when the connection ends; [`Slot::identified`] frees the place earlier.
#[derive(Debug)]
pub(crate) struct Slot {
    id: u64,
    source: Source,
    evicted: CancellationToken,
    pending: Arc<Pending>,
}

impl Slot {
    /// The connection has logged in or named a valid run id: it no longer counts and can no longer be evicted.
    pub(crate) fn identified(&self) {
        self.pending.release(self.source, self.id);
    }

    /// Resolves when the connection has to make room for a newer one. Never does once it is identified.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pending.release(self.source, self.id);
    }
}

/// That a connection may still turn out to come from where it says.
#[derive(Debug)]
pub(crate) struct Arrival {
    id: u64,
    address: IpAddr,
    evicted: CancellationToken,
    pending: Arc<Pending>,
}

impl Arrival {
    /// It does: it counts from now on, unless it is identified or has ended already.
    pub(crate) fn admit(self) {
        let mut table = self.pending.lock();
        if table.expected.remove(&self.id) {
            let (source, named) = (self.address.into(), self.address);
            self.pending.count(table, self.id, source, &self.evicted, format_args!("from [{named}] "));
        }
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
    fn the_addresses_of_an_ipv6_network_are_one_source() {
        let pending = Pending::new(1);
        let first = pending.admit("2001:db8:0:1::1".parse().unwrap());
        let _other_network = pending.admit("2001:db8:0:2::1".parse().unwrap());
        assert!(!first.evicted.is_cancelled());
        let _same_network = pending.admit("2001:db8:0:1:ffff::2".parse().unwrap());
        assert!(first.evicted.is_cancelled());
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
    fn who_is_only_expected_displaces_nobody() {
        let pending = Pending::new(1);
        let first = pending.admit(A);
        let (second, arrival) = pending.expect(A);
        assert!(!first.evicted.is_cancelled());
        arrival.admit();
        assert!(first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled());
        let _third = pending.admit(A);
        assert!(second.evicted.is_cancelled());
    }

    #[test]
    fn who_was_identified_or_has_ended_arrives_too_late_to_count() {
        let pending = Pending::new(1);
        let first = pending.admit(A);
        let (second, arrival) = pending.expect(A);
        second.identified();
        arrival.admit();
        let (third, arrival) = pending.expect(A);
        drop(third);
        arrival.admit();
        assert!(!first.evicted.is_cancelled());
    }

    #[test]
    fn a_connection_that_ended_leaves_nothing_behind() {
        let pending = Pending::new(4);
        drop(pending.admit(A));
        drop(pending.expect(A));
        let (slot, arrival) = pending.expect(A);
        arrival.admit();
        drop(slot);
        let table = pending.table.lock().unwrap();
        assert!(table.by_source.is_empty() && table.expected.is_empty());
    }
}
