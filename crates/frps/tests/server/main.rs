//! The server against scripted clients over loopback.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is the test's")]

mod groups;
mod http;
mod kcp;
mod logins;
mod mux;
mod oidc;
mod proxies;
mod quic;
mod recorded;
mod relays;
mod strangers;
mod support;
mod udp;
mod vhosts;
mod visitors;
mod websockets;
mod wire_v2;
mod work_conns;
