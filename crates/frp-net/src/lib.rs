//! Sockets of frp: dial, listen, TLS, name resolution and process limits.
//!
//! What it does: everything that turns an address into a byte stream and back. Callers hand in plain option
//! structs and get tokio sockets or [`frp_stream`] streams; error texts are those of Go's `net` and
//! `crypto/tls`, because upstream's users and its end-to-end suite read them.
//!
//! What it must never do: see the configuration, speak the frp protocol beyond its first byte, own a task that
//! outlives a call (those that drive QUIC are the tracker's that the caller hands in), or decide when to retry a peer.
//!
//! # Map
//!
//! - [`address`]: canonical addresses, `host:port` text as Go writes it
//! - [`listen`]: dual-stack TCP and UDP sockets, and the accept step that survives "too many open files"
//! - [`dial`]: TCP connections to names or addresses, every resolved address tried
//! - [`resolve`]: names to addresses, through the system or one configured server
//! - [`keepalive`]: TCP keepalive as upstream's keys express it
//! - [`mux`]: the socket below a session, and a mux stream as a stream
//! - [`tls`]: both ends of TLS, with certificate checks as lenient and as strict as Go's
//! - [`proxy`]: through a proxy to the server: http, https, socks5, ntlm
//! - [`kcp`]: a byte stream over datagrams
//! - [`quic`]: both ends of QUIC connections; [`session`]: one of those, or a mux session
//! - [`websocket`]: a byte stream in frames, with its handshake at both ends
//! - [`open_files`]: the limit of open files, raised for us and given back to executed children
//! - [`sd_notify`], [`signal`]: what a service manager and a terminal tell us and want to know
//! - [`resident`]: memory that only the start needed, given back
//! - [`error_text`]: operating system errors in Go's words

pub mod address;
pub mod dial;
pub mod error_text;
mod http_response;
pub mod kcp;
pub mod keepalive;
pub mod listen;
pub mod mux;
pub mod open_files;
pub mod proxy;
pub mod quic;
pub mod resident;
pub mod resolve;
pub mod sd_notify;
pub mod session;
pub mod signal;
pub mod tls;
pub mod websocket;
