//! The task of one conversation.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use frp_stream::udp::BatchSocket;
use tokio::time::{Instant, sleep_until};

use super::shared::{Closed, Shared};
use crate::batch::Batch;
use crate::conversation::Over;

/// Refusals of a host in a row after which nobody is there. One may be of a moment in which a server is restarted.
const REFUSALS: u32 = 3;
/// Whoever waits longer than this needs no room for datagrams meanwhile.
const QUIET: Duration = Duration::from_millis(500);

/// Where a driver sends, and whether it receives.
pub(super) struct Route {
    pub(super) socket: Arc<BatchSocket>,
    /// Where to, if the socket has more than one peer; then somebody else receives.
    pub(super) to: Option<SocketAddr>,
}

/// Closes the conversation if its driver is dropped.
struct Stopped<'a>(&'a Shared);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.close(Closed::Stopped);
    }
}

/// What a step leads to.
enum Step {
    /// Again at this time, or when there is something.
    Wait(Option<Instant>),
    /// Again at once.
    Again,
    Over,
}

/// Sends what is due until the conversation is over; receives, too, if the socket is its own.
pub(super) async fn drive(shared: Arc<Shared>, route: Route) {
    let _stopped = Stopped(&shared);
    let mut batch = Batch::default();
    let mut refusals = 0;
    let receives = route.to.is_none();
    loop {
        if receives {
            receive(&shared, &route.socket, &mut refusals);
        }
        let step = step(&shared, &mut batch);
        if !batch.is_empty() {
            if let Err(failed) = route.socket.send(batch.bytes(), batch.lengths(), route.to).await {
                // Lost, as on any other way. A refusal is of what was sent before.
                tracing::trace!("kcp to [{}]: {}", shared.peer, failed.error);
                if receives && failed.error.kind() == io::ErrorKind::ConnectionRefused {
                    refused(&shared, &mut refusals);
                }
            }
            batch.clear();
        }
        let until = match step {
            Step::Again => {
                tokio::task::consume_budget().await;
                continue;
            }
            Step::Over => return,
            Step::Wait(until) => until,
        };
        if until.is_none_or(|until| until > Instant::now() + QUIET) {
            batch.release();
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            readable = route.socket.readable(), if receives => {
                if readable.is_err() {
                    return;
                }
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
        }
    }
}

fn step(shared: &Shared, batch: &mut Batch) -> Step {
    let now = shared.now();
    let mut state = shared.lock();
    if state.closed.is_some_and(|closed| closed != Closed::PeerLeft) {
        return Step::Over;
    }
    state.conversation.transmit(now, batch);
    let step = match state.conversation.over() {
        Some(Over::Finished | Over::Silent) => Step::Over,
        None | Some(Over::PeerLeft) => match state.conversation.due(now) {
            Some(at) if at <= now => Step::Again,
            at => Step::Wait(at.map(|at| shared.instant(at))),
        },
    };
    let wakers = state.ready();
    drop(state);
    wakers.into_iter().flatten().for_each(Waker::wake);
    step
}

/// Counts what the host of the peer says.
fn refused(shared: &Shared, refusals: &mut u32) {
    *refusals += 1;
    if *refusals >= REFUSALS {
        shared.close(Closed::Refused);
    }
}

/// Takes what has come on the conversation's own socket.
fn receive(shared: &Shared, socket: &BatchSocket, refusals: &mut u32) {
    loop {
        let now = shared.now();
        let received = socket.receive(|datagram, _| shared.lock().conversation.receive(now, datagram));
        let wakers = shared.lock().ready();
        wakers.into_iter().flatten().for_each(Waker::wake);
        match received {
            Ok(()) => {
                *refusals = 0;
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                refused(shared, refusals);
            }
            Err(_) => return,
        }
    }
}
