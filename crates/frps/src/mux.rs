//! A connection that carries many streams: each stream is treated like a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use frp_mux::{Config, Session};
use frp_stream::Stream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, trace};

use crate::accept::{Connection, FIRST_MESSAGE_TIMEOUT, Inbound};
use crate::core::Core;
use crate::first_message;
use crate::pending::Slot;

/// How long the last bytes of a session may take when we end it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Serves the streams of a session until it ends, the server stops, or the client never says who it is. Owns the
/// task that drives the session; the tasks of the streams belong to the server.
pub(crate) async fn serve(core: Arc<Core>, inbound: Inbound, slot: Slot, config: Config, deadline: Instant) {
    let Inbound { stream, peer, local } = inbound;
    let (session, driver) = Session::server(stream, config);
    let mut driving = JoinSet::new();
    driving.spawn(async move {
        // Everybody who asks the session learns why it ended.
        let _ = driver.await;
    });
    let connection = Connection::new(slot, Some(session.clone()));
    let mut waits_for_first_message = true;
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => break,
            () = connection.evicted() => break,
            () = sleep_until(deadline), if waits_for_first_message => {
                waits_for_first_message = false;
                if !connection.has_spoken() {
                    trace!("failed to accept frp connection: i/o timeout");
                    break;
                }
            }
            stream = session.accept() => {
                let Some(stream) = stream else {
                    debug!("accept new mux stream error: {}", session.closed().await);
                    return;
                };
                let inbound = Inbound { stream: Stream::boxed(stream), peer, local };
                let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
                let stream = first_message::serve(Arc::clone(&core), inbound, Arc::clone(&connection), deadline);
                core.tasks.spawn(stream);
            }
        }
    }
    session.close();
    let _ = timeout(CLOSE_TIMEOUT, driving.join_next()).await;
}
