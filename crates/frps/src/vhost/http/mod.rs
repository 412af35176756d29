//! http: users told apart by the host, path and user of each request. Upstream `pkg/util/vhost/http.go`.
//!
//! A user's connection is one task: read a head, find its site, write the head anew for the backend, move both bodies,
//! and so on with the next request. Backends are work connections that are kept for the next request of the same
//! site, whoever's it is.
//!
//! - [`Sites`], `Site` (`site`): what routes lead to, groups included; `policy`: what a proxy wants done to heads
//! - `pool`: backend connections between two requests; `backend`: one of them
//! - `session`: a user's connection; `plan`: what becomes of a request, decided by its head alone; `exchange`: a
//!   request and its response; `tunnel`: bytes after a CONNECT or an upgrade
//! - `write`: heads as they go out; `h2`: HTTP/2 with prior knowledge

mod backend;
mod exchange;
mod h2;
mod plan;
mod policy;
mod pool;
mod session;
mod site;
mod tunnel;
mod write;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use frp_stream::Stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use self::policy::Policy;
pub(crate) use self::site::{SitePlace, SiteTerms, Sites};
use super::accept_users;
use crate::core::Core;

/// Accepts until `stop` is cancelled.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener, stop: CancellationToken) {
    accept_users(core, listener, stop, |core, tcp, peer| user(core, tcp.into(), peer)).await;
}

/// The same of a type that a task within it can have.
fn boxed_user(core: Arc<Core>, stream: Stream, peer: SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(user(core, stream, peer))
}

/// The task of a user's connection. Ends when the server does.
pub(crate) async fn user(core: Arc<Core>, stream: Stream, peer: SocketAddr) {
    let session = session::Session::new(Arc::clone(&core), stream, peer);
    tokio::select! {
        biased;
        () = core.stop.cancelled() => {}
        () = session.run() => {}
    }
}
