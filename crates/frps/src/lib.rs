//! The frp server: logs clients in, opens the public ports they ask for, and joins users to their work connections.
//!
//! It must never wait for a byte of a peer in an accept loop or without a deadline, hold more of a stranger than a
//! bounded number of connections, or let one client's failure reach another.
//!
//! # Where a connection goes
//!
//! - [`run()`]: what the program does from its first log line on
//! - [`Server`] (`server`): binds everything, then runs; `core`: what all tasks share; `settings`: the
//!   configuration in the types needed here
//! - `accept`: a connection on `bindPort`, up to its streams, and `sniff`: what it is; `kcp`, `quic`: the same on
//!   `kcpBindPort` and `quicBindPort`; `mux`: many streams in one connection
//! - `stranger`: what bounds a client that has not said who it is; `pending`: how many of them there may be;
//!   `refusals`: those that never say it; `farewell`: a last answer to them
//! - `first_message`: the three kinds of streams, and work connections; `login`: controls
//! - `control`: a client's session; in it `registry` (which clients there are), `work_pool` (work connections and
//!   the users that wait for one), `heartbeat`, `outbound`
//! - `proxy`: what a client asked for; a file per type, and `table`, the names of all proxies; `group`: several
//!   proxies behind one port; `ports`: which ports may be had
//! - `vhost`: proxies that share a port, told apart by domain
//! - `visitor`: who reaches a proxy by a secret
//! - `user_conn`: the life of one user connection; `sudp_bridge`: that of a visitor whose datagrams have to be
//!   translated; `traffic`: what it is counted in
//!
//! # Who owns which task
//!
//! The server's tracker holds every task of a connection, control, group or user; the server's token ends them, and
//! the server waits for them. A control owns its reader, writer and heartbeat and its proxies; a proxy its accept
//! loop; a mux session its driver; what drives QUIC is on the server's tracker, too. Tokens are children of the owner's.
//! Relays belong to the server, because closing a proxy or losing a control must not cut users.

#![forbid(unsafe_code)]

mod accept;
mod control;
mod core;
mod farewell;
mod first_message;
#[cfg(test)]
mod footprint;
mod group;
mod ids;
mod kcp;
mod login;
mod mux;
mod pending;
mod ports;
mod proxy;
mod quic;
mod refusals;
mod run;
mod server;
mod settings;
mod sniff;
mod stranger;
mod sudp_bridge;
mod traffic;
mod user_conn;
mod vhost;
mod visitor;

pub use frp_cli::{COMPATIBLE_VERSION, VERSION};

pub use self::run::{RunError, run};
pub use self::server::{BindError, Server};
