//! The work connections of one control that wait for a user, and the users that wait for one.
//!
//! Shared by all proxies of the control, first come first served on both sides. Upstream `server/control.go`,
//! `GetWorkConn`; unlike it, a connection that dies while it waits is noticed, dropped and replaced.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use frp_proto::msg::ReqWorkConn;
use frp_proto::wire::WireVersion;
use frp_stream::Stream;
use frp_stream::io::Probe;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, warn};

use super::outbound::Outbound;

/// Room in the pool beyond the number of connections that the client wants to keep there.
const SPARE: usize = 10;
/// With fewer users waiting, those that gave up are not looked for.
const FEW_USERS: usize = 64;
/// A connection that died sooner than this is replaced only after this pause, so that a client whose connections
/// die at once is not asked in a loop.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// A connection that was asked for so long ago is no longer expected. What the client could not open it does not tell.
const LOST_AFTER: Duration = Duration::from_secs(3);
/// The pause before any other replacement: when all connections die with their session, the control ends meanwhile.
const REPLACE_PAUSE: Duration = Duration::from_millis(100);

/// A connection from the client that carries one user connection, or the datagrams of one udp proxy.
#[derive(Debug)]
pub(crate) struct WorkConn {
    pub(crate) stream: Stream,
    /// What its first message came in, and its second goes out in.
    pub(crate) wire: WireVersion,
    /// Address of the client.
    pub(crate) peer: SocketAddr,
    /// Our address that the client connected to.
    pub(crate) local: SocketAddr,
}

/// Why there is no work connection. The texts reach logs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TakeError {
    #[error("timeout trying to get work connection")]
    Timeout,
    #[error("control is closed")]
    Closed,
    #[error("control is already closed")]
    AlreadyClosed,
    #[error("every work connection was dead")]
    Dead,
}

/// Why a work connection was not taken into the pool. The texts reach clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PutError {
    #[error("work connection pool is full, discarding")]
    Full,
    #[error("control is closed")]
    Closed,
}

/// See the module. Owns one watcher task per waiting connection; [`WorkPool::close`] stops them all.
#[derive(Debug)]
pub(crate) struct WorkPool {
    capacity: usize,
    /// How long a user waits for a work connection (`userConnTimeout`).
    patience: Duration,
    outbound: Outbound,
    /// Span of the control: the lines of the pool carry its run id but no proxy.
    span: Span,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    idle: VecDeque<Idle>,
    users: VecDeque<oneshot::Sender<WorkConn>>,
    /// When those connections were asked for that have not come, the latest last.
    asked: VecDeque<Instant>,
    /// With so many users waiting, those that gave up are cleared away.
    clear_at: usize,
    watchers: JoinSet<()>,
}

/// A waiting connection. Whoever empties the place has it: a user who takes it, or its watcher once it is dead.
#[derive(Debug)]
struct Idle {
    place: Arc<Place>,
    watcher: AbortHandle,
}

type Place = Mutex<Option<WorkConn>>;

impl State {
    /// Connections that were asked for and may still come.
    fn expected(&mut self) -> usize {
        while self.asked.front().is_some_and(|asked| asked.elapsed() > LOST_AFTER) {
            self.asked.pop_front();
        }
        self.asked.len()
    }
}

/// What a user finds.
enum Found {
    Conn(WorkConn),
    Queue(oneshot::Receiver<WorkConn>),
}

impl WorkPool {
    /// A pool for a client that wants `pool_count` connections kept ready.
    pub(crate) fn new(pool_count: usize, patience: Duration, outbound: Outbound, span: Span) -> Arc<Self> {
        Arc::new(Self {
            capacity: pool_count.saturating_add(SPARE),
            patience,
            outbound,
            span,
            state: Mutex::default(),
        })
    }

    /// Hands a new work connection to the user that waits longest, else keeps it for the next one.
    ///
    /// # Errors
    /// When the pool is full or closed; the connection comes back.
    pub(crate) fn put(self: &Arc<Self>, mut conn: WorkConn) -> Result<(), (PutError, Box<WorkConn>)> {
        let mut state = self.lock();
        if state.closed {
            return Err((PutError::Closed, Box::new(conn)));
        }
        // Not the first one: that it did not come tells that it never will.
        state.asked.pop_back();
        while let Some(user) = state.users.pop_front() {
            match user.send(conn) {
                Ok(()) => return Ok(()),
                Err(unwanted) => conn = unwanted,
            }
        }
        if state.idle.len() >= self.capacity {
            return Err((PutError::Full, Box::new(conn)));
        }
        let place = Arc::new(Mutex::new(Some(conn)));
        while state.watchers.try_join_next().is_some() {}
        let watcher = Arc::clone(self).watch(Arc::clone(&place)).instrument(self.span.clone());
        let watcher = state.watchers.spawn(watcher);
        state.idle.push_back(Idle { place, watcher });
        Ok(())
    }

    /// Takes a work connection, asking the client for one if none waits, and asks for another to replace it.
    ///
    /// Safe to cancel before a connection was found; a connection found but not returned is closed.
    ///
    /// # Errors
    /// When the client does not answer in time or its control is closing.
    pub(crate) async fn take(&self) -> Result<WorkConn, TakeError> {
        let conn = match self.find()? {
            Found::Conn(conn) => {
                self.span.in_scope(|| debug!("get work connection from pool"));
                conn
            }
            Found::Queue(place) => self.wait_in(place).await.inspect_err(|error| self.log(error))?,
        };
        if self.is_short() {
            // Failing to ask only means that the control is closing.
            let _ = self.outbound.send(ReqWorkConn {}).await;
        }
        Ok(conn)
    }

    /// Closes every waiting connection, sends every waiting user away, and takes in nothing more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.idle.clear();
        state.users.clear();
        state.watchers.abort_all();
    }

    fn find(&self) -> Result<Found, TakeError> {
        let mut state = self.lock();
        if state.closed {
            return Err(TakeError::Closed);
        }
        while let Some(idle) = state.idle.pop_front() {
            if let Some(conn) = lock(&idle.place).take() {
                idle.watcher.abort();
                return Ok(Found::Conn(conn));
            }
        }
        // Not for each newcomer: a burst of thousands would look at all before it, every time.
        if state.users.len() >= state.clear_at {
            state.users.retain(|user| !user.is_closed());
            state.clear_at = FEW_USERS.max(state.users.len() * 2);
        }
        let (user, queue) = oneshot::channel();
        state.users.push_back(user);
        Ok(Found::Queue(queue))
    }

    /// Whether the next connection that comes would find room here; it counts as asked for then. A full pool's
    /// answer is a connection for nothing, on both sides.
    fn is_short(&self) -> bool {
        let mut state = self.lock();
        let unclaimed = (state.idle.len() + state.expected()).saturating_sub(state.users.len());
        let is_short = unclaimed < self.capacity;
        if is_short {
            state.asked.push_back(Instant::now());
        }
        is_short
    }

    async fn wait_in(&self, mut queue: oneshot::Receiver<WorkConn>) -> Result<WorkConn, TakeError> {
        let answer = tokio::time::timeout(self.patience, async {
            {
                let mut state = self.lock();
                // What never came is forgotten here, too: with a client that opens nothing, nobody else looks.
                state.expected();
                state.asked.push_back(Instant::now());
            }
            self.outbound.send(ReqWorkConn {}).await.map_err(|_| TakeError::AlreadyClosed)?;
            (&mut queue).await.map_err(|_| TakeError::Closed)
        });
        if let Ok(answer) = answer.await {
            return answer;
        }
        // One may have been handed over at this very moment.
        queue.close();
        queue.try_recv().map_err(|_| TakeError::Timeout)
    }

    fn log(&self, error: &TakeError) {
        self.span.in_scope(|| match error {
            TakeError::Timeout => warn!("{error}"),
            TakeError::Closed => warn!("no work connections available, {error}"),
            TakeError::AlreadyClosed | TakeError::Dead => {}
        });
    }

    /// Task of one waiting connection: ends when a user took it, or when it died and its successor was asked for.
    async fn watch(self: Arc<Self>, place: Arc<Place>) {
        let since = Instant::now();
        if !died(&place).await {
            return;
        }
        self.lock().idle.retain(|idle| !Arc::ptr_eq(&idle.place, &place));
        tokio::time::sleep(if since.elapsed() < SHORT_LIFE { SHORT_LIFE } else { REPLACE_PAUSE }).await;
        if self.outbound.send(ReqWorkConn {}).await.is_ok() {
            debug!("replaced a work connection that the client had closed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Waits until the connection is dead and empties its place. False when a user took it first, or when the client
/// sent something before its time: whoever takes the connection gets that, too.
async fn died(place: &Place) -> bool {
    poll_fn(|cx| {
        let mut place = lock(place);
        let Some(conn) = place.as_mut() else { return Poll::Ready(false) };
        match ready!(conn.stream.poll_probe(cx)) {
            Probe::Data => Poll::Ready(false),
            Probe::Closed | Probe::Failed(_) => {
                *place = None;
                Poll::Ready(true)
            }
        }
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use frp_proto::msg::MessageKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::super::outbound::Queued;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn pool(pool_count: usize) -> (Arc<WorkPool>, mpsc::Receiver<Queued>) {
        let (outbound, asked) = Outbound::new(CancellationToken::new());
        (WorkPool::new(pool_count, PATIENCE, outbound, Span::none()), asked)
    }

    fn conn() -> (WorkConn, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        (
            WorkConn { stream: Stream::boxed(ours), wire: WireVersion::V1, peer: nowhere, local: nowhere },
            theirs,
        )
    }

    async fn mark(conn: &mut WorkConn, client: &mut DuplexStream) {
        conn.stream.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn the_oldest_connection_goes_first_and_is_replaced() {
        let (pool, mut asked) = pool(1);
        let (first, mut first_client) = conn();
        let (second, _second_client) = conn();
        pool.put(first).unwrap();
        pool.put(second).unwrap();
        let mut taken = pool.take().await.unwrap();
        mark(&mut taken, &mut first_client).await;
        assert_eq!(asked.recv().await.unwrap().kind(), MessageKind::ReqWorkConn);
        assert!(asked.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_empty_pool_asks_once_and_again_for_the_replacement() {
        let (pool, mut asked) = pool(0);
        let (late, mut client) = conn();
        let serve = async {
            assert_eq!(asked.recv().await.unwrap().kind(), MessageKind::ReqWorkConn);
            pool.put(late).unwrap();
        };
        let (taken, ()) = tokio::join!(pool.take(), serve);
        mark(&mut taken.unwrap(), &mut client).await;
        assert_eq!(asked.recv().await.unwrap().kind(), MessageKind::ReqWorkConn);
        assert!(asked.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_costs_the_user_the_patience_and_no_more() {
        let (pool, _asked) = pool(0);
        let start = Instant::now();
        assert_eq!(pool.take().await.unwrap_err(), TakeError::Timeout);
        assert_eq!(start.elapsed(), PATIENCE);
        // The user that left is not served any more: the connection waits for the next one.
        let (late, mut client) = conn();
        pool.put(late).unwrap();
        mark(&mut pool.take().await.unwrap(), &mut client).await;
    }

    #[tokio::test]
    async fn users_that_gave_up_do_not_pile_up() {
        let (pool, _asked) = pool(0);
        for _ in 0..10 * FEW_USERS {
            assert!(tokio::time::timeout(Duration::ZERO, pool.take()).await.is_err());
        }
        assert!(pool.lock().users.len() <= FEW_USERS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_silent_client_was_asked_for_does_not_pile_up() {
        let (pool, _asked) = pool(0);
        for _ in 0..1000 {
            assert!(tokio::time::timeout(LOST_AFTER / 100, pool.take()).await.is_err());
        }
        let asked = pool.lock().asked.len();
        assert!(asked <= 110, "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_asked_for_than_there_is_room_for() {
        let (pool, mut asked) = pool(1);
        // None comes, while users come and go: each asks for itself.
        let mut clients = Vec::new();
        for _ in 0..11 {
            let (late, client) = conn();
            let (taken, ()) = tokio::join!(pool.take(), async {
                asked.recv().await.unwrap();
                pool.put(late).unwrap();
            });
            clients.push((taken.unwrap(), client));
            // And for its successor.
            asked.recv().await.unwrap();
        }
        let (late, client) = conn();
        let (taken, ()) = tokio::join!(pool.take(), async {
            asked.recv().await.unwrap();
            pool.put(late).unwrap();
        });
        clients.push((taken.unwrap(), client));
        assert!(asked.try_recv().is_err(), "eleven are on their way, and there is room for no more");
        // They do not come: the next user's successor is asked for again.
        tokio::time::sleep(2 * LOST_AFTER).await;
        let (late, client) = conn();
        let (taken, ()) = tokio::join!(pool.take(), async {
            asked.recv().await.unwrap();
            pool.put(late).unwrap();
        });
        clients.push((taken.unwrap(), client));
        assert!(asked.try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_full_pool_gives_the_connection_back() {
        let (pool, _asked) = pool(2);
        let mut clients = Vec::new();
        for _ in 0..12 {
            let (conn, client) = conn();
            pool.put(conn).unwrap();
            clients.push(client);
        }
        let (extra, _client) = conn();
        let (error, _) = pool.put(extra).unwrap_err();
        assert_eq!(error.to_string(), "work connection pool is full, discarding");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_died_is_dropped_and_replaced() {
        let (pool, mut asked) = pool(1);
        let (dead, client) = conn();
        pool.put(dead).unwrap();
        drop(client);
        assert_eq!(asked.recv().await.unwrap().kind(), MessageKind::ReqWorkConn);
        let (alive, mut client) = conn();
        pool.put(alive).unwrap();
        mark(&mut pool.take().await.unwrap(), &mut client).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_died_at_once_is_replaced_after_a_pause() {
        let (pool, mut asked) = pool(1);
        let (dead, client) = conn();
        let start = Instant::now();
        pool.put(dead).unwrap();
        drop(client);
        asked.recv().await.unwrap();
        assert_eq!(start.elapsed(), SHORT_LIFE);
    }

    #[tokio::test]
    async fn what_the_client_said_too_early_is_not_lost() {
        let (pool, _asked) = pool(1);
        let (conn, mut client) = conn();
        pool.put(conn).unwrap();
        client.write_all(b"early").await.unwrap();
        tokio::task::yield_now().await;
        let mut taken = pool.take().await.unwrap();
        let mut got = [0; 5];
        taken.stream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"early");
    }

    #[tokio::test]
    async fn closing_ends_waiting_connections_and_users() {
        let (pool, mut asked) = pool(1);
        let (idle, mut client) = conn();
        pool.put(idle).unwrap();
        pool.close();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(pool.take().await.unwrap_err(), TakeError::Closed);

        let (pool, mut asked_of_second) = self::pool(1);
        let close = async {
            asked_of_second.recv().await.unwrap();
            pool.close();
        };
        let (taken, ()) = tokio::join!(pool.take(), close);
        assert_eq!(taken.unwrap_err(), TakeError::Closed);
        asked.close();
    }
}
