//! Virtual hosts: several proxies behind one port, told apart by the domain that a user asks for.
//!
//! - [`Router`] (`router`): which route a request takes, for http, https and tcpmux alike
//! - `domains`: what a proxy registers and what its client is told about it
//! - [`StreamHosts`] (`stream_hosts`): the proxies and groups of https and of tcpmux
//! - `http`: users told apart by their requests, whose heads are written anew on the way
//! - `https`: users told apart by the server name of their TLS hello; `tcpmux`: by the CONNECT request that they send
//! - `not_found`: what a user is told that asks for a domain of nobody
//! - `farewell`: an answer after which the connection is closed

pub(crate) mod domains;
mod farewell;
pub(crate) mod http;
pub(crate) mod https;
pub(crate) mod not_found;
mod router;
mod stream_hosts;
pub(crate) mod tcpmux;

use std::time::Duration;

pub(crate) use self::router::{Conflict, Query, Registration, Route, Router};
pub(crate) use self::stream_hosts::{HostError, HostPlace, HostTerms, StreamHosts};

/// From accept to the end of what says where a user of https or tcpmux wants to go. Upstream `server/service.go`,
/// `vhostReadWriteTimeout`.
pub(crate) const PEEK_TIMEOUT: Duration = Duration::from_secs(30);

/// What is said to a user that sends `send` and whom `route` turns away, and how long that takes.
#[cfg(test)]
async fn turned_away<T>(
    route: impl AsyncFnOnce(&crate::core::Core, frp_stream::Stream) -> Option<T>,
    send: &[u8],
) -> (Vec<u8>, Duration) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let core = crate::core::Core::for_tests();
    let (mut ours, theirs) = tokio::io::duplex(frp_proto::limits::MAX_PEEK * 2);
    ours.write_all(send).await.unwrap();
    let start = tokio::time::Instant::now();
    assert!(route(&core, frp_stream::Stream::boxed(theirs)).await.is_none());
    let lasted = start.elapsed();
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).await.unwrap();
    (answer, lasted)
}
