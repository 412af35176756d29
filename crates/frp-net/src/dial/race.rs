//! Racing the addresses of a name (RFC 8305, section 5).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::ConnectFailure;

/// Head start of each address over the next one: Go's `FallbackDelay`. (RFC 8305 recommends 250 ms.)
pub(crate) const STAGGER: Duration = Duration::from_millis(300);

/// Alternates the families, beginning with that of the first address, so that a dead family costs one head
/// start and not one for each of its addresses (RFC 8305, section 4).
pub(crate) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let ipv4_first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv4() == ipv4_first);
    let mut second = second.into_iter();
    let mut mixed = Vec::with_capacity(first.len() + second.len());
    for address in first {
        mixed.push(address);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed
}

/// Starts an attempt at each address, [`STAGGER`] after the one before or as soon as one failed,
/// and returns the first connection; all other attempts are dropped. `addresses` must not be empty.
pub(crate) async fn first_connection<T, F>(
    addresses: &[SocketAddr],
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, (SocketAddr, ConnectFailure)>
where
    F: Future<Output = Result<T, (&'static str, io::Error)>>,
{
    let mut waiting = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    // The error of the best address says most; a later one's stands in until that is known.
    let mut failures: Vec<Option<ConnectFailure>> = Vec::new();
    let attempt = |index: usize, address| {
        let connecting = connect(address);
        async move { (index, connecting.await) }
    };
    let mut next_start = Instant::now();
    loop {
        if under_way.is_empty() || Instant::now() >= next_start {
            match waiting.next() {
                Some(address) => {
                    under_way.push(attempt(failures.len(), address));
                    failures.push(None);
                    next_start = Instant::now() + STAGGER;
                }
                None if under_way.is_empty() => break,
                None => {}
            }
        }
        tokio::select! {
            Some((index, outcome)) = under_way.next() => match outcome {
                Ok(connection) => return Ok(connection),
                Err((call, cause)) => {
                    if let Some(failure) = failures.get_mut(index) {
                        *failure = Some(ConnectFailure::System { call, cause });
                    }
                    // An address that failed needs no head start any more.
                    next_start = Instant::now();
                }
            },
            () = sleep_until(next_start), if waiting.len() > 0 => {}
            () = sleep_until(deadline) => break,
        }
    }
    let first = addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let failure = failures.into_iter().next().flatten().unwrap_or(ConnectFailure::Timeout);
    Err((first, failure))
}
