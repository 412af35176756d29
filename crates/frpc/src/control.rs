//! One session with the server, from the login's success to its end: a reader, a writer and a message handler
//! joined by bounded channels, with the heartbeat and the announcer of proxies beside them.
//!
//! | task | does | ends |
//! |---|---|---|
//! | reader | whole messages from the control stream to the handler's queue | at the stream's end or a bad message |
//! | writer | messages of the outbound queue to the stream | when a write fails or takes too long |
//! | handler | acts on each message; never waits for the outbound queue | after the reader, or when a Pong says so |
//! | heartbeat | pings, and watches for missing pongs | when a pong is overdue |
//! | opener | work connections, as many at a time as may be pending | with the session |
//! | spreaders | one more multiplexed connection each, with `transport.tcpMuxConnections` | with the session |
//! | announcer | NewProxy and CloseProxy as the proxies' phases want them | with the session |
//! | health | one per checked proxy | with the session |
//! | visitors | keep the visitors running | with the session |
//!
//! All of them belong to [`Control::run`], which ends with the first of them (the reader excepted: what it has read
//! is still acted on) and stops the rest. Work connections are not among them: once started they belong to the
//! client, so that a lost control does not cut users (with multiplexing they end with the mux session all the same).

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frp_net::resident::{self, Milestone};
use frp_proto::msg::{Message, Ping, Pong};
use frp_proto::wire::Framing;
use frp_stream::message::{MessageReader, MessageWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, trace, warn};

use crate::client::Shared;
use crate::connector::{Connection, MuxSession};
use crate::proxy::Proxies;
use crate::visitor::{self, VisitorSpec, Visitors};
use crate::work_conn;

/// Messages waiting for the writer, and messages waiting for the handler; upstream's number.
const QUEUE: usize = 100;
/// Work connections that the server has asked for and that are not begun yet; what is asked for beyond it is dropped.
/// It asks for one per user, and a user that got none is gone after some seconds.
const MAX_REQUESTED: usize = 16_384;
/// How long one message may take to leave; a peer that reads nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last messages to a server take at most, and then are given to arrive: the program ends within a second.
const FAREWELL: Duration = Duration::from_millis(150);
/// Pause before a multiplexed connection beside the control's is dialled again.
const SPREAD_PAUSE: Duration = Duration::from_secs(1);
/// How often a server is pinged that wants it although the configuration does not; upstream's default without
/// multiplexing, a third of what such a server waits.
const WANTED_PINGS: Duration = Duration::from_secs(30);
/// How soon a ping is tried again for which there was no proof; the pause doubles from one failure to the next, up to the
/// usual one. As upstream, where it is a little longer by chance.
const PING_RETRY: Duration = Duration::from_secs(2);
/// How often an overdue pong is looked for, as upstream.
const PONG_CHECK: Duration = Duration::from_secs(1);

/// A logged-in session, ready to run.
pub(crate) struct Control {
    pub(crate) run_id: String,
    pub(crate) connection: Arc<Connection>,
    pub(crate) reader: MessageReader,
    pub(crate) writer: MessageWriter,
    /// How messages look in the payload of work and visitor connections.
    pub(crate) payload_framing: Framing,
    /// The server ends sessions without pings, also where the configuration wants none.
    pub(crate) wants_pings: bool,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) visitors: Arc<[Arc<VisitorSpec>]>,
}

/// What the tasks of one session share.
struct Session {
    shared: Arc<Shared>,
    run_id: String,
    payload_framing: Framing,
    wants_pings: bool,
    connection: Arc<Connection>,
    proxies: Arc<Proxies>,
    last_pong: Mutex<Instant>,
    /// One permit for each work connection that was asked for and is not begun.
    requested: Semaphore,
    /// Cancelled when the session ends: pooled work connections go with it.
    token: CancellationToken,
}

impl Control {
    /// Serves the session until it ends or the client is to stop. Whoever drops the future ends the session.
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let shutdown = shared.shutdown.clone();
        let session = Arc::new(Session {
            shared,
            run_id: self.run_id,
            payload_framing: self.payload_framing,
            wants_pings: self.wants_pings,
            connection: self.connection,
            proxies: self.proxies,
            last_pong: Mutex::new(Instant::now()),
            requested: Semaphore::new(0),
            token: shutdown.child_token(),
        });
        let _cancel_with_session = session.token.clone().drop_guard();
        resident::passed(Milestone::Ready);
        let (outbound, to_write) = mpsc::channel(QUEUE);
        let (inbound, to_handle) = mpsc::channel(QUEUE);

        let mut reader = JoinSet::new();
        reader.spawn(read(self.reader, inbound).in_current_span());
        let mut tasks = JoinSet::new();
        tasks.spawn(write(self.writer, to_write).in_current_span());
        tasks.spawn(handle(Arc::clone(&session), to_handle).in_current_span());
        tasks.spawn(open_work_connections(Arc::clone(&session)).in_current_span());
        for _ in 1..session.shared.options.mux_connections {
            tasks.spawn(spread(Arc::clone(&session)).in_current_span());
        }
        tasks.spawn(heartbeat(Arc::clone(&session), outbound.clone()).in_current_span());
        let visitors = Visitors::start(&self.visitors, session.for_visitors());
        session.proxies.start(&mut tasks, &outbound, &session.shared.resolver);
        let farewell = session.connection.ends_unnoticed().then_some(outbound);

        tokio::select! {
            _ = tasks.join_next() => debug!("control message dispatcher exited"),
            () = shutdown.cancelled() => {}
        }
        if shutdown.is_cancelled()
            && let Some(outbound) = farewell
        {
            say_farewell(&session.proxies, &outbound).await;
        }
        session.proxies.close();
        tokio::join!(tasks.shutdown(), reader.shutdown(), visitors.close());
        session.connection.close();
    }
}

/// Withdraws the proxies from a server that cannot notice the end of the connection (upstream `cmd/frpc/sub/root.go`,
/// `shouldGracefulClose`, with 500 ms), and gives that time to get there.
async fn say_farewell(proxies: &Proxies, outbound: &mpsc::Sender<Message>) {
    let told = async {
        for message in proxies.withdrawals() {
            if outbound.send(message).await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(FAREWELL, told).await;
    sleep(FAREWELL).await;
}

async fn read(mut reader: MessageReader, inbound: mpsc::Sender<Message>) {
    loop {
        match reader.next().await {
            Ok(message) => {
                if inbound.send(message).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                trace!("read from control connection: {error}");
                return;
            }
        }
    }
}

async fn write(mut writer: MessageWriter, mut outbound: mpsc::Receiver<Message>) {
    while let Some(message) = outbound.recv().await {
        match timeout(WRITE_TIMEOUT, writer.send(&message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!("write {} to control connection: {error}", message.kind().name());
                return;
            }
            Err(_) => {
                warn!("the server has read nothing for {WRITE_TIMEOUT:?}, giving the session up");
                return;
            }
        }
    }
}

/// The one place that acts on the server's messages, in the order in which they came.
async fn handle(session: Arc<Session>, mut inbound: mpsc::Receiver<Message>) {
    while let Some(message) = inbound.recv().await {
        match message {
            Message::ReqWorkConn(_) => session.request_work_connection(),
            Message::NewProxyResp(response) => {
                session.proxies.answered(&response);
                resident::passed(Milestone::InUse);
            }
            Message::Pong(pong) => {
                if !session.pong(&pong) {
                    return;
                }
            }
            other => debug!("message {} has no handler here, ignored", other.kind().name()),
        }
    }
}

impl Session {
    fn for_visitors(&self) -> visitor::Session {
        visitor::Session {
            shared: Arc::clone(&self.shared),
            connection: Arc::clone(&self.connection),
            run_id: self.run_id.clone(),
            payload_framing: self.payload_framing,
            stop: self.token.child_token(),
        }
    }

    /// Notes that the server wants a work connection.
    fn request_work_connection(&self) {
        if self.requested.available_permits() < MAX_REQUESTED {
            self.requested.add_permits(1);
        } else {
            warn!("too many work connections are waiting to be opened, the server's request is dropped");
        }
    }

    /// Begins a work connection in a task of its own, which belongs to the client.
    fn open_work_connection(&self, on: Option<MuxSession>, permit: OwnedSemaphorePermit) {
        let request = work_conn::Request {
            shared: Arc::clone(&self.shared),
            connection: Arc::clone(&self.connection),
            on,
            proxies: Arc::clone(&self.proxies),
            run_id: self.run_id.clone(),
            payload_framing: self.payload_framing,
            session: self.token.clone(),
        };
        self.shared.work_connections.spawn(work_conn::serve(request, permit).in_current_span());
    }

    /// False when the server reports an error, which ends the session.
    fn pong(&self, pong: &Pong) -> bool {
        if !pong.error.is_empty() {
            error!("pong message contains error: {}", pong.error);
            return false;
        }
        *self.last_pong.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        debug!("receive heartbeat from server");
        true
    }

    fn since_pong(&self) -> Duration {
        self.last_pong.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Begins the work connections that were asked for.
async fn open_work_connections(session: Arc<Session>) {
    let pending = &session.shared.pending_work_connections;
    while let Ok(requested) = session.requested.acquire().await {
        requested.forget();
        let Ok(permit) = Arc::clone(pending).acquire_owned().await else { return };
        session.open_work_connection(None, permit);
    }
}

/// Keeps one multiplexed connection beside the control's, and puts a work connection on it at once, as the server
/// closes one that stays silent. A lost one is dialled again while the session lives.
async fn spread(session: Arc<Session>) {
    let Connection::Mux(mux) = session.connection.as_ref() else { return pending().await };
    loop {
        match mux.add().await {
            Ok(added) => {
                let free = Arc::clone(&session.shared.pending_work_connections).acquire_owned().await;
                let Ok(permit) = free else { return pending().await };
                session.open_work_connection(Some(added.clone()), permit);
                added.closed().await;
                debug!("one of several multiplexed connections has ended");
            }
            Err(error) => debug!("dial one more multiplexed connection: {error}"),
        }
        sleep(SPREAD_PAUSE).await;
    }
}

/// Pings, and ends when a pong is overdue. Without an interval it only waits.
async fn heartbeat(session: Arc<Session>, outbound: mpsc::Sender<Message>) {
    let wanted = session.wants_pings.then_some(WANTED_PINGS);
    let Some(period) = session.shared.options.heartbeat_interval.or(wanted) else {
        outbound.closed().await;
        return;
    };
    tokio::select! {
        () = ping(&session, &outbound, period) => {}
        () = overdue(&session) => warn!("heartbeat timeout"),
    }
}

/// Pings at once and then every `period`, until nobody takes the pings. One that cannot be proved is left out and tried
/// again sooner: the server may not wait for the next.
async fn ping(session: &Session, outbound: &mpsc::Sender<Message>, period: Duration) {
    let mut retry = PING_RETRY;
    loop {
        debug!("send heartbeat to server");
        let mut message = Ping::default();
        let pause = match session.shared.auth.set_ping(&mut message).await {
            Ok(()) => {
                if outbound.send(message.into()).await.is_err() {
                    return;
                }
                retry = PING_RETRY;
                period
            }
            Err(error) => {
                warn!("error during ping authentication: {error}, skip sending ping message");
                let pause = retry.min(period);
                retry = pause * 2;
                pause
            }
        };
        sleep(pause).await;
    }
}

/// Ready when a pong is overdue.
async fn overdue(session: &Session) {
    let Some(limit) = session.shared.options.heartbeat_timeout else { return pending().await };
    while session.since_pong() <= limit {
        sleep(PONG_CHECK).await;
    }
}

#[cfg(test)]
mod tests;
