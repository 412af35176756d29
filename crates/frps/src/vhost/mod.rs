//! Virtual hosts: several proxies behind one port, told apart by the domain that a user asks for.
//!
//! - [`Router`] (`router`): which route a request takes, for http, https and tcpmux alike
//! - `domains`: what a proxy registers and what its client is told about it
//! - [`StreamHosts`] (`stream_hosts`): the proxies and groups of https and of tcpmux
//! - `http`: users told apart by their requests, whose heads are written anew on the way
//! - `https`: users told apart by the server name of their TLS hello; `tcpmux`: by the CONNECT request that they send
//! - `not_found`: what a user is told that asks for a domain of nobody

pub(crate) mod domains;
pub(crate) mod http;
pub(crate) mod https;
pub(crate) mod not_found;
mod router;
mod stream_hosts;
pub(crate) mod tcpmux;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use frp_net::address::canonical;
use frp_net::keepalive::Keepalive;
use frp_net::listen::accept;
use frp_stream::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) use self::router::{Conflict, Query, Registration, Route, Router};
pub(crate) use self::stream_hosts::{HostError, HostPlace, HostTerms, StreamHosts};
use crate::core::Core;
use crate::proxy::Proxy;

/// From accept to the end of what says where a user of https or tcpmux wants to go. Upstream `server/service.go`,
/// `vhostReadWriteTimeout`.
pub(crate) const PEEK_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepts users until `stop` is cancelled; each has a task of the server's.
async fn accept_users<F: Future<Output = ()> + Send + 'static>(
    core: Arc<Core>,
    listener: TcpListener,
    stop: CancellationToken,
    user: impl Fn(Arc<Core>, TcpStream, SocketAddr) -> F,
) {
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accept(&listener, Keepalive::default()) => accepted,
        };
        core.tasks.spawn(user(Arc::clone(&core), stream, peer));
    }
}

/// What is done until it is known whose user a connection is. Boxed: it shall not cost every open connection its room.
type Routing = Pin<Box<dyn Future<Output = Option<(Arc<Proxy>, Stream)>> + Send>>;

/// The task of a user that `route` leads to a proxy, or turns away. Ends when the server does.
async fn lead(
    core: Arc<Core>,
    tcp: TcpStream,
    peer: SocketAddr,
    route: impl FnOnce(Arc<Core>, Stream) -> Routing,
) {
    let Ok(local) = tcp.local_addr() else { return };
    let stop = core.stop.clone();
    let routed = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        routed = route(core, tcp.into()) => routed,
    };
    drop(stop);
    if let Some((proxy, stream)) = routed {
        proxy.serve(stream, peer, canonical(local)).await;
    }
}

/// What is said to a user that sends `send` and whom `route` turns away, and how long that takes.
#[cfg(test)]
async fn turned_away<T>(
    route: impl AsyncFnOnce(&Core, Stream) -> Option<T>,
    send: &[u8],
) -> (Vec<u8>, Duration) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let core = Core::for_tests();
    let (mut ours, theirs) = tokio::io::duplex(frp_proto::limits::MAX_PEEK * 2);
    ours.write_all(send).await.unwrap();
    let start = tokio::time::Instant::now();
    assert!(route(&core, Stream::boxed(theirs)).await.is_none());
    let lasted = start.elapsed();
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).await.unwrap();
    (answer, lasted)
}
