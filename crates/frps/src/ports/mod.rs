//! Which ports proxies may take, which are taken, and which a proxy had before.
//!
//! One [`Ports`] for TCP and one for UDP. A port is handed out together with the socket that was bound to it, so
//! nobody can take it between the test and the use. Facts are those of upstream `server/ports/ports.go`.

mod set;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::set::PortSet;
use crate::ids::ProxyName;

/// How long a released port stays reserved for the proxy that had it.
const RESERVED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Released ports that are reserved at one time. Clients choose the names, so a day's worth of them has to end
/// somewhere; one more drops the reservation that was released first.
const MAX_RELEASED: usize = 10_000;
/// Longer names, in bytes, get no reservation.
const MAX_RESERVED_NAME: usize = 256;
/// How many free ports are tried when the server chooses.
const RANDOM_TRIES: usize = 5;

/// Why a port was refused. The texts reach clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PortError {
    #[error("port already used")]
    AlreadyUsed,
    #[error("port not allowed")]
    NotAllowed,
    #[error("port unavailable")]
    Unavailable,
    #[error("no available port")]
    NoneAvailable,
}

/// The ports of one network. Shared by all proxies; the lock is never held across an await.
#[derive(Debug)]
pub(crate) struct Ports {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    free: PortSet,
    used: HashMap<u16, ProxyName>,
    reserved: HashMap<ProxyName, Reservation>,
    /// The released ones among the reservations, in the order of their release.
    released: BTreeMap<u64, (Instant, ProxyName)>,
    /// Releases so far: the next key of `released`.
    releases: u64,
}

#[derive(Debug)]
struct Reservation {
    port: u16,
    /// Key in [`Table::released`]; `None` while its proxy holds the port.
    released: Option<u64>,
}

impl Ports {
    /// `allowed` are inclusive ranges; none at all means every port from 1 to 65535.
    pub(crate) fn new(allowed: &[(u16, u16)]) -> Arc<Self> {
        let mut free = PortSet::default();
        if allowed.is_empty() {
            free.insert_range(1, u16::MAX);
        }
        for &(start, end) in allowed {
            free.insert_range(start.max(1), end);
        }
        let table = Table {
            free,
            used: HashMap::new(),
            reserved: HashMap::new(),
            released: BTreeMap::new(),
            releases: 0,
        };
        Arc::new(Self { table: Mutex::new(table) })
    }

    /// Takes `wanted` for `name`, or a port of the server's choice when `wanted` is 0, and binds it with `bind`.
    ///
    /// # Errors
    /// The texts of [`PortError`]; a port that `bind` refuses is unavailable.
    pub(crate) fn acquire<T>(
        self: &Arc<Self>,
        name: &ProxyName,
        wanted: i64,
        bind: impl Fn(u16) -> io::Result<T>,
    ) -> Result<(PortLease, T), PortError> {
        let mut table = self.lock();
        table.forget_old_reservations();
        let (port, socket) =
            if wanted == 0 { table.choose(name, bind)? } else { table.bind_wanted(wanted, bind)? };
        table.take(name, port);
        Ok((PortLease { ports: Arc::clone(self), port }, socket))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn bind_wanted<T>(
        &self,
        wanted: i64,
        bind: impl Fn(u16) -> io::Result<T>,
    ) -> Result<(u16, T), PortError> {
        let port = u16::try_from(wanted).map_err(|_| PortError::NotAllowed)?;
        if self.free.contains(port) {
            return bind(port).map(|socket| (port, socket)).map_err(|_| PortError::Unavailable);
        }
        Err(if self.used.contains_key(&port) { PortError::AlreadyUsed } else { PortError::NotAllowed })
    }

    /// The port that `name` had last if it can be bound, else the first of a few random free ones that can.
    /// Like upstream, a reserved port is not checked against the free set again: it can only be bound if nobody has it.
    fn choose<T>(
        &self,
        name: &ProxyName,
        bind: impl Fn(u16) -> io::Result<T>,
    ) -> Result<(u16, T), PortError> {
        let reserved = self.reserved.get(name).map(|reservation| reservation.port);
        reserved
            .into_iter()
            .chain(self.free.sample(RANDOM_TRIES))
            .find_map(|port| bind(port).ok().map(|socket| (port, socket)))
            .ok_or(PortError::NoneAvailable)
    }

    fn take(&mut self, name: &ProxyName, port: u16) {
        self.free.remove(port);
        self.used.insert(port, name.clone());
        if name.len() > MAX_RESERVED_NAME {
            return;
        }
        let old = self.reserved.insert(name.clone(), Reservation { port, released: None });
        if let Some(release) = old.and_then(|old| old.released) {
            self.released.remove(&release);
        }
    }

    fn release(&mut self, port: u16) {
        let Some(name) = self.used.remove(&port) else { return };
        self.free.insert(port);
        let Some(reservation) = self.reserved.get_mut(&name).filter(|reservation| reservation.port == port)
        else {
            return;
        };
        reservation.released = Some(self.releases);
        self.released.insert(self.releases, (Instant::now(), name));
        self.releases += 1;
        if self.released.len() > MAX_RELEASED {
            self.forget_oldest_reservation();
        }
    }

    fn forget_old_reservations(&mut self) {
        while self.released.first_key_value().is_some_and(|(_, (at, _))| at.elapsed() > RESERVED_FOR) {
            self.forget_oldest_reservation();
        }
    }

    fn forget_oldest_reservation(&mut self) {
        if let Some((_, (_, name))) = self.released.pop_first() {
            self.reserved.remove(&name);
        }
    }
}

/// A port in use. Dropping it gives the port back, so drop the socket first.
#[derive(Debug)]
pub(crate) struct PortLease {
    ports: Arc<Ports>,
    port: u16,
}

impl PortLease {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.ports.lock().release(self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ProxyName {
        ProxyName::from(text)
    }

    #[expect(clippy::unnecessary_wraps, reason = "stands for a bind that can fail")]
    fn any(port: u16) -> io::Result<u16> {
        Ok(port)
    }

    fn none(_: u16) -> io::Result<u16> {
        Err(io::ErrorKind::AddrInUse.into())
    }

    #[test]
    fn a_wanted_port_is_allowed_used_unavailable_or_ours() {
        let ports = Ports::new(&[(1000, 1001), (2000, 2000)]);
        let (lease, socket) = ports.acquire(&name("a"), 1000, any).unwrap();
        assert_eq!((lease.port(), socket), (1000, 1000));
        assert_eq!(ports.acquire(&name("b"), 1000, any).unwrap_err(), PortError::AlreadyUsed);
        assert_eq!(ports.acquire(&name("b"), 1002, any).unwrap_err(), PortError::NotAllowed);
        assert_eq!(ports.acquire(&name("b"), 2000, none).unwrap_err(), PortError::Unavailable);
        drop(lease);
        assert!(ports.acquire(&name("b"), 1000, any).is_ok());
    }

    #[test]
    fn ports_outside_the_range_of_ports_are_not_allowed() {
        let ports = Ports::new(&[]);
        for wanted in [-1, 65_536, i64::MAX, i64::MIN] {
            assert_eq!(ports.acquire(&name("a"), wanted, any).unwrap_err(), PortError::NotAllowed);
        }
    }

    #[test]
    fn zero_chooses_a_free_port_and_gives_up_after_a_few() {
        let ports = Ports::new(&[(3000, 3001)]);
        let (first, _) = ports.acquire(&name("a"), 0, any).unwrap();
        let (second, _) = ports.acquire(&name("b"), 0, any).unwrap();
        let mut got = [first.port(), second.port()];
        got.sort_unstable();
        assert_eq!(got, [3000, 3001]);
        assert_eq!(ports.acquire(&name("c"), 0, any).unwrap_err(), PortError::NoneAvailable);

        let tried = std::cell::Cell::new(0);
        let all = Ports::new(&[]);
        let refused = all.acquire(&name("a"), 0, |_| {
            tried.set(tried.get() + 1);
            none(0)
        });
        assert_eq!(refused.unwrap_err(), PortError::NoneAvailable);
        assert_eq!(tried.get(), RANDOM_TRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_gives_a_proxy_its_last_port_for_a_day() {
        let ports = Ports::new(&[]);
        let (lease, _) = ports.acquire(&name("a"), 4000, any).unwrap();
        drop(lease);
        tokio::time::advance(RESERVED_FOR).await;
        let (lease, _) = ports.acquire(&name("a"), 0, any).unwrap();
        assert_eq!(lease.port(), 4000);
        drop(lease);
        tokio::time::advance(RESERVED_FOR + Duration::from_secs(1)).await;
        ports.lock().forget_old_reservations();
        assert!(ports.lock().reserved.is_empty());
    }

    #[test]
    fn the_port_released_first_goes_when_too_many_are_reserved() {
        let ports = Ports::new(&[]);
        let (held, _) = ports.acquire(&name("held"), 4999, any).unwrap();
        drop(ports.acquire(&name("again"), 5000, any).unwrap());
        for number in 0..MAX_RELEASED {
            drop(ports.acquire(&name(&number.to_string()), 5001, any).unwrap());
            // Used again and again, so it is never the oldest.
            drop(ports.acquire(&name("again"), 5000, any).unwrap());
        }
        let table = ports.lock();
        assert_eq!((table.released.len(), table.reserved.len()), (MAX_RELEASED, MAX_RELEASED + 1));
        assert!(!table.reserved.contains_key("0"));
        assert!(["1", "again", "held"].iter().all(|name| table.reserved.contains_key(*name)));
        drop(table);
        drop(held);
    }

    #[test]
    fn long_names_get_no_reservation() {
        let ports = Ports::new(&[]);
        let longest = "n".repeat(MAX_RESERVED_NAME);
        drop(ports.acquire(&name(&longest), 4000, any).unwrap());
        drop(ports.acquire(&name(&(longest.clone() + "n")), 4001, any).unwrap());
        let table = ports.lock();
        assert_eq!(table.reserved.len(), 1);
        assert!(table.reserved.contains_key(longest.as_str()) && table.used.is_empty());
    }

    #[test]
    fn a_reserved_port_that_is_taken_falls_through_to_a_random_one() {
        let ports = Ports::new(&[]);
        drop(ports.acquire(&name("a"), 4000, any).unwrap());
        let (lease, _) =
            ports.acquire(&name("a"), 0, |port| if port == 4000 { none(port) } else { any(port) }).unwrap();
        assert_ne!(lease.port(), 4000);
    }
}
