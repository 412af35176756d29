//! Bytes in both directions: after a CONNECT, or after an upgrade.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use frp_http::Conn;
use frp_stream::relay::{RelayOptions, relay};
use tracing::warn;

use super::backend::Backend;
use super::session::{After, Session};
use super::site::Site;
use crate::core::Core;
use crate::vhost::not_found;

/// See the module.
pub(super) struct Tunnel {
    backend: Backend,
}

impl Tunnel {
    pub(super) fn new(backend: Backend) -> Self {
        Self { backend }
    }
}

/// Joins both sides until they end. What was read ahead goes first.
pub(super) async fn run(core: &Core, user: Conn, tunnel: Tunnel) {
    let (service, traffic, open) = tunnel.backend.into_stream();
    let options = RelayOptions { half_close_timeout: core.settings.half_close_timeout };
    let report = relay(user.into_stream(), service, options).await;
    traffic.add_inbound(report.to_service);
    traffic.add_outbound(report.to_user);
    drop(open);
}

impl Session {
    /// Passes a CONNECT on to a backend of the site, whose answer is the user's. Nothing limits how long it takes, as
    /// with any tunnel.
    pub(super) async fn connect(&mut self, site: &Arc<Site>) -> After {
        let Some(member) = site.next() else { return self.connect_nowhere().await };
        let mut backend = match Backend::dial(&member, self.peer).await {
            Ok(backend) => backend,
            Err(error) => {
                warn!("do http proxy request [host: {}] error: {error}", self.host());
                return self.connect_nowhere().await;
            }
        };
        let early = self.user.input().to_vec();
        self.user.consume(early.len());
        backend.conn.output().extend_from_slice(&self.head);
        backend.conn.output().extend_from_slice(&early);
        if self.answers(&mut backend.conn).await {
            return After::Tunnel(Box::new(Tunnel::new(backend)));
        }
        backend.abandon();
        warn!("do http proxy request [host: {}] error: EOF", self.host());
        self.connect_nowhere().await
    }

    /// Whether the backend says anything before it ends, or the user goes on without waiting for that.
    async fn answers(&mut self, backend: &mut Conn) -> bool {
        let user = &mut self.user;
        poll_fn(|cx| {
            let sent = backend.poll_flush(cx);
            if let Poll::Ready(Err(_)) = sent {
                return Poll::Ready(false);
            }
            match backend.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(_)) => return Poll::Ready(true),
                Poll::Pending => {}
            }
            // Until the head is gone nothing more of the user's is read.
            if sent.is_ready() && user.poll_fill(cx).is_ready() { Poll::Ready(true) } else { Poll::Pending }
        })
        .await
    }

    pub(super) async fn connect_nowhere(&mut self) -> After {
        let answer = not_found::response(&self.core.settings.config.custom_404_page).await;
        self.user.output().extend_from_slice(&answer);
        self.flush_then(After::Close).await
    }
}
