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
