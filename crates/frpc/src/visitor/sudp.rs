//! `sudp` visitors: the datagrams of all users travel as messages on one stream (upstream `client/visitor/sudp.go`).
//!
//! The stream is opened for the first datagram, and again for the next one after it was lost.

use std::sync::Arc;
use std::time::Duration;

use frp_stream::udp::{ExchangeEnd, Meter, UserPort};
use tokio::net::UdpSocket;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Session;
use super::dial::dial;
use super::spec::Target;

/// Pause after an attempt that failed and after a stream that ended, so that a flood of datagrams is no flood of
/// attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A running visitor.
pub(super) struct SudpVisitor {
    session: Arc<Session>,
    target: Target,
    users: UserPort<Uncounted>,
}

/// Nobody asks a visitor for figures.
struct Uncounted;

impl Meter for Uncounted {
    fn inbound(&self, _: u64) {}

    fn outbound(&self, _: u64) {}

    fn too_long(&self, length: usize) {
        warn!("dropped a datagram of {length} bytes, too long for one message");
    }
}

impl SudpVisitor {
    /// Longer datagrams of users are cut to `packet_size`.
    pub(super) fn new(session: Arc<Session>, target: Target, socket: UdpSocket, packet_size: usize) -> Self {
        let users = UserPort::new(socket, packet_size, Uncounted).with_framing(session.payload_framing);
        Self { session, target, users }
    }

    /// Serves the users of the port until the session ends.
    pub(super) async fn run(self) {
        tokio::select! {
            never = self.users.receive() => match never {},
            () = self.exchange() => {}
            () = self.session.stop.cancelled() => {}
        }
        info!("frpc sudp visitor proxy is closed");
    }

    /// Uses one stream after the other.
    async fn exchange(&self) {
        loop {
            self.users.waiting().await;
            match dial(&self.session, &self.target).await {
                Ok(stream) => {
                    debug!("starting sudp proxy worker");
                    match self.users.exchange(stream).await {
                        ExchangeEnd::Read(error) => {
                            warn!("read from workconn for user udp conn error: {error}")
                        }
                        ExchangeEnd::Write(error) => {
                            warn!("sender goroutine for udp work connection closed: {error}");
                        }
                    }
                    info!("sudp worker is closed");
                }
                Err(error) => {
                    warn!("newVisitorConn to frps error: {error}, try to reconnect");
                    // They have waited long enough; the next one asks anew.
                    self.users.discard();
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}
