//! A backend connection: a work connection with its layers, as HTTP sees it.

use std::net::SocketAddr;
use std::sync::Arc;

use frp_http::Conn;
use frp_stream::Stream;
use tracing::Instrument;

use super::site::Member;
use crate::control::TakeError;
use crate::traffic::{CountedConnection, Traffic};

/// See the module. Counts its bytes and itself for the proxy.
pub(super) struct Backend {
    pub(super) conn: Conn,
    counted: CountedConnection,
    /// What of the connection's bytes is counted already.
    told: (u64, u64),
}

impl Backend {
    /// Takes a work connection for a request of `peer`.
    pub(super) async fn dial(member: &Member, peer: SocketAddr) -> Result<Self, TakeError> {
        let proxy = &member.proxy;
        let work = proxy.work_conn(Some(peer), None).instrument(proxy.span().clone()).await?;
        Ok(Self::new(proxy.layers().apply(work.stream), &proxy.traffic))
    }

    pub(super) fn new(stream: Stream, traffic: &Arc<Traffic>) -> Self {
        Self { conn: Conn::new(stream), counted: Traffic::count_connection(traffic), told: (0, 0) }
    }

    /// Counts what has passed since the last time.
    pub(super) fn settle(&mut self) {
        let (read, sent) = self.conn.counts();
        self.counted.traffic().add_outbound(read - self.told.0);
        self.counted.traffic().add_inbound(sent - self.told.1);
        self.told = (read, sent);
    }

    /// The stream for a tunnel, and what counts its bytes.
    pub(super) fn into_stream(mut self) -> (Stream, Arc<Traffic>, CountedConnection) {
        self.settle();
        let traffic = Arc::clone(self.counted.traffic());
        (self.conn.into_stream(), traffic, self.counted)
    }

    /// Closes the connection in the middle of something.
    pub(super) fn abandon(mut self) {
        self.settle();
        self.conn.abandon();
    }
}
