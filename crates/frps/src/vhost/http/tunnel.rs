//! Bytes in both directions: after a CONNECT, or after an upgrade.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use frp_http::Conn;
use frp_stream::relay::{RelayOptions, relay};
use tokio::time::timeout;
use tracing::warn;

use super::backend::Backend;
use super::session::{After, Session};
use super::site::Site;
use crate::core::{Core, WRITE_TIMEOUT};
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

/// Joins both sides until they end. What was read ahead goes first, and before it what the backend has not taken yet.
pub(super) async fn run(core: &Core, user: Conn, Tunnel { mut backend }: Tunnel) {
    // Whatever fails here fails in the relay again, which still brings what the other direction has.
    if timeout(WRITE_TIMEOUT, backend.conn.flush()).await.is_err() {
        return backend.abandon();
    }
    let (service, traffic, open) = backend.into_stream();
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

#[cfg(test)]
mod tests {
    use frp_stream::Stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::traffic::Traffic;

    /// A tunnel whose backend has yet to take 100 bytes and takes 16 at a time, with the far ends of user and backend.
    fn waiting() -> (Conn, Tunnel, DuplexStream, DuplexStream) {
        let (near_user, user) = duplex(16);
        let (near_backend, service) = duplex(16);
        let mut backend = Backend::new(Stream::boxed(near_backend), &Arc::<Traffic>::default());
        backend.conn.output().extend_from_slice(&[b'x'; 100]);
        (Conn::new(Stream::boxed(near_user)), Tunnel::new(backend), user, service)
    }

    #[tokio::test]
    async fn what_waits_for_the_backend_goes_before_the_relay() {
        let core = Core::for_tests();
        let (near, tunnel, mut user, mut service) = waiting();
        let far = async {
            user.write_all(b"more").await.unwrap();
            user.shutdown().await.unwrap();
            let mut got = String::new();
            service.read_to_string(&mut got).await.unwrap();
            drop(service);
            got
        };
        let ((), got) = tokio::join!(run(&core, near, tunnel), far);
        assert_eq!(got, "x".repeat(100) + "more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_does_not_take_what_waits_for_it_is_given_up() {
        let core = Core::for_tests();
        let (near, tunnel, mut user, _service) = waiting();
        let start = Instant::now();
        run(&core, near, tunnel).await;
        assert_eq!(start.elapsed(), WRITE_TIMEOUT);
        assert_eq!(user.read(&mut [0]).await.unwrap(), 0);
    }
}
