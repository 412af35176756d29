//! Backend connections between two requests.
//!
//! Which one is taken next is the one that was used last. A user that sends its next request soon finds it there, and
//! so does any other of the same site. Upstream keeps five and closes every other at once, which under load is most of
//! them; here those beyond five are closed once they have not been used for a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::Backend;

/// Connections that stay. Upstream `pkg/util/vhost/http.go`, `MaxIdleConnsPerHost`.
const KEPT: usize = 5;
/// How long. Upstream `IdleConnTimeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long those beyond [`KEPT`] stay, and how often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// More are closed at once.
const MOST: usize = 1024;

/// The idle connections of a proxy in a site. The lock is never held across an await.
pub(super) struct Pool {
    sweeper: Arc<Sweeper>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// The one that was used last is the last.
    idle: Vec<(Instant, Backend)>,
    /// The sweeper knows of this pool.
    watched: bool,
}

impl Pool {
    pub(super) fn new(sweeper: &Arc<Sweeper>) -> Arc<Self> {
        Arc::new(Self { sweeper: Arc::clone(sweeper), state: Mutex::default() })
    }

    /// A connection that is, as far as known, alive.
    pub(super) fn take(&self) -> Option<Backend> {
        loop {
            let (_, mut backend) = self.lock().idle.pop()?;
            if backend.conn.is_silent() {
                return Some(backend);
            }
        }
    }

    /// Keeps a connection whose last response was read to its end.
    pub(super) fn put(self: &Arc<Self>, backend: Backend) {
        let mut state = self.lock();
        if state.closed || state.idle.len() >= MOST {
            drop(state);
            return drop(backend);
        }
        state.idle.push((Instant::now(), backend));
        if !state.watched {
            state.watched = true;
            self.sweeper.watch(self);
        }
    }

    /// Closes all connections, and those that come back later.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    /// Closes what is dead, too old or too many. Returns whether any is left.
    fn sweep(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let mut surplus = state.idle.len().saturating_sub(KEPT);
        let idle = std::mem::take(&mut state.idle);
        let mut gone = Vec::new();
        for (since, mut backend) in idle {
            let age = now.saturating_duration_since(since);
            let too_many = surplus > 0 && age >= SWEEP;
            if too_many || age >= IDLE_TIMEOUT || !backend.conn.is_silent() {
                surplus = surplus.saturating_sub(1);
                gone.push(backend);
            } else {
                state.idle.push((since, backend));
            }
        }
        state.watched = !state.idle.is_empty();
        let left = state.watched;
        drop(state);
        drop(gone);
        left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the idle connections of all pools, once a second while there are any.
#[derive(Default)]
pub(crate) struct Sweeper {
    pools: Mutex<Vec<Weak<Pool>>>,
    wake: Notify,
}

impl Sweeper {
    fn watch(&self, pool: &Arc<Pool>) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(pool));
        self.wake.notify_one();
    }

    /// The task of it.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                self.wake.notified().await;
                while !self.sweep() {
                    tokio::time::sleep(SWEEP).await;
                }
            }
        })
        .await;
    }

    /// Returns whether there is nothing left to look at.
    fn sweep(&self) -> bool {
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        let left: Vec<Weak<Pool>> =
            pools.into_iter().filter(|pool| pool.upgrade().is_some_and(|pool| pool.sweep(now))).collect();
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.extend(left);
        pools.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use frp_stream::Stream;
    use tokio::io::{AsyncWriteExt, DuplexStream};
    use tokio::task::JoinSet;

    use super::*;
    use crate::traffic::Traffic;

    fn backend() -> (Backend, DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (Backend::new(Stream::boxed(near), &Arc::<Traffic>::default()), far)
    }

    fn filled(count: usize) -> (Arc<Sweeper>, Arc<Pool>, Vec<DuplexStream>) {
        let sweeper = Arc::<Sweeper>::default();
        let pool = Pool::new(&sweeper);
        let mut peers = Vec::new();
        for _ in 0..count {
            let (backend, peer) = backend();
            pool.put(backend);
            peers.push(peer);
        }
        (sweeper, pool, peers)
    }

    fn left(pool: &Pool) -> usize {
        pool.lock().idle.len()
    }

    #[tokio::test(start_paused = true)]
    async fn five_stay_for_a_minute_and_more_for_a_second() {
        let (sweeper, pool, _peers) = filled(9);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&sweeper).run(CancellationToken::new()));
        tokio::time::sleep(SWEEP / 2).await;
        assert_eq!(left(&pool), 9);
        tokio::time::sleep(SWEEP * 2).await;
        assert_eq!(left(&pool), KEPT);
        tokio::time::sleep(IDLE_TIMEOUT - SWEEP * 4).await;
        assert_eq!(left(&pool), KEPT);
        tokio::time::sleep(SWEEP * 4).await;
        assert_eq!(left(&pool), 0);
        let (late, _peer) = backend();
        pool.put(late);
        tokio::time::sleep(IDLE_TIMEOUT + SWEEP * 2).await;
        assert_eq!(left(&pool), 0);
    }

    #[tokio::test]
    async fn what_died_or_spoke_is_not_taken() {
        let (_sweeper, pool, mut peers) = filled(3);
        peers.remove(1);
        peers.last_mut().unwrap().write_all(b"x").await.unwrap();
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
        let (_sweeper, pool, peers) = filled(3);
        drop(peers);
        assert!(!pool.sweep(Instant::now()));
    }

    #[tokio::test]
    async fn a_closed_pool_keeps_nothing() {
        let (_sweeper, pool, _peers) = filled(3);
        pool.close();
        let (late, _peer) = backend();
        pool.put(late);
        assert!(pool.take().is_none());
    }
}
