//! A connection that carries many streams: each stream is treated like a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frp_mux::Config;
use frp_net::session::{Session, SessionEnd};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::accept::Inbound;
use crate::core::Core;
use crate::first_message;
use crate::pending::Slot;
use crate::settings::STREAMS_BEFORE_LOGIN;
use crate::stranger::{Connection, FIRST_MESSAGE_TIMEOUT, Stranger};

/// How long the last bytes of a session may take when we end it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Serves the streams of a mux session over a stream, and owns the task that drives it. See [`serve_session`].
///
/// Begins at once, so that what it begins with takes no room in its future.
pub(crate) fn serve(
    core: Arc<Core>,
    inbound: Inbound,
    slot: Slot,
    config: Config,
    deadline: Instant,
) -> impl Future<Output = ()> {
    let Inbound { stream, peer, local } = inbound;
    let (session, driver) = frp_mux::Session::server(stream, config);
    let mut driving = JoinSet::new();
    driving.spawn(async move {
        // Everybody who asks the session learns why it ended.
        let _ = driver.await;
    });
    async move {
        serve_session(core, Session::Mux(session), [peer, local], slot, deadline).await;
        let _ = timeout(CLOSE_TIMEOUT, driving.join_next()).await;
    }
}

/// Serves the streams of a session until it ends, the server stops, or the client does not say who it is: by
/// `deadline` a stream must have brought a first message and its proof, and while none has identified the client, another
/// stream must follow within [`FIRST_MESSAGE_TIMEOUT`] of the last. Closes the session. The tasks of the streams belong
/// to the server.
pub(crate) async fn serve_session(
    core: Arc<Core>,
    session: Session,
    [peer, local]: [SocketAddr; 2],
    slot: Slot,
    mut deadline: Instant,
) {
    let connection = Connection::new(slot, Some(session.clone()));
    // Counts the streams that are being read or answered.
    let serving = TaskTracker::new();
    let mut is_stranger = true;
    let mut quiet_until = deadline;
    let mut streams = 0_usize;
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => break,
            () = connection.evicted() => break,
            () = sleep_until(deadline), if is_stranger => {
                is_stranger = !connection.is_identified();
                if !is_stranger {
                    continue;
                }
                if !connection.has_spoken() {
                    core.refusals.refused(peer, "i/o timeout");
                    break;
                }
                let now = Instant::now();
                if !serving.is_empty() {
                    quiet_until = now + FIRST_MESSAGE_TIMEOUT;
                }
                if quiet_until <= now {
                    debug!("closed a mux session from [{peer}] on which nobody has logged in");
                    break;
                }
                deadline = quiet_until;
            }
            stream = session.accept() => {
                let Some(stream) = stream else {
                    log_end(&session.closed().await);
                    break;
                };
                streams += 1;
                let inbound = Inbound { stream, peer, local };
                quiet_until = Instant::now() + FIRST_MESSAGE_TIMEOUT;
                // Those that come before anything was said share the deadline of the connection.
                let until = if connection.has_spoken() { quiet_until } else { deadline.min(quiet_until) };
                let stranger = Stranger { connection: Arc::clone(&connection), deadline: until };
                let stream = first_message::serve(Arc::clone(&core), inbound, stranger);
                core.tasks.spawn(serving.track_future(stream));
            }
        }
    }
    if !connection.is_identified() && streams >= STREAMS_BEFORE_LOGIN {
        warn!("a mux session from [{peer}] opened {streams} streams and more without logging in");
    }
    session.close();
}

/// The end of a session is everyday life; a peer that breaks the protocol is not, or has another `tcpMux`.
fn log_end(end: &SessionEnd) {
    if end.is_fault() {
        warn!("accept new mux stream error: {end}");
    } else {
        debug!("accept new mux stream error: {end}");
    }
}
