//! The client against a scripted server, and local services that do as they are told, over loopback.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is the test's")]

mod support;

mod doors;
mod ending;
mod health;
mod heartbeats;
mod logins;
mod mux;
mod oidc;
mod proxies;
mod quic;
mod recorded;
mod sessions;
mod streams;
mod tls;
mod tokens;
mod udp;
mod visitors;
mod ways;
mod wire_v2;
mod work_conns;
