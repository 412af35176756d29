//! What the tests of whole programs stand on. Nothing here is shipped.
//!
//! | module | holds |
//! | --- | --- |
//! | [`programs`] | which frps and which frpc a run tests: ours, or the original's of some release |
//! | [`process`] | a running program with its output, waited for line by line |
//! | [`ports`] | free ports of loopback, never given twice |
//! | [`relay`] | a relay between frpc and frps that can forget its connections or cut one |
//! | [`impairment`] | a relay of datagrams or connections with loss, delay, a bottleneck, stalls, black holes |
//! | [`service`] | local services: echo over TCP and UDP, a counting sink, a slow one |
//! | [`site`], [`scripted`] | web servers: an ordinary one, and one that answers byte by byte as it is told |
//! | [`authority`] | certificates that vouch for each other |
//! | [`issuer`] | an OpenID provider that can misbehave |
//! | [`traffic`] | what users do: requests, checked bulk in both directions |
//! | [`http`], [`tls`], [`websocket`] | what they and services speak |
//! | [`outbound`] | proxies on the way from the client to the server |
//! | [`tunnel`] | an frps and an frpc with their configuration, started and ready |
//! | [`recorded`], [`script`] | the same with recorded configurations, and what recorded scripts are made of |
//! | [`way`] | every transport × wire version × TLS × multiplexing × ours and the original's, and programs on such a way |
//! | [`kind`] | the types of proxies, and how users reach one of each |
//!
//! Every wait has an upper bound, [`LONG`], after which the test fails with what was waited for; no test sleeps
//! for a length of time and hopes.

#![forbid(unsafe_code)]

use std::time::Duration;

pub mod authority;
pub mod http;
pub mod impairment;
pub mod issuer;
pub mod kind;
pub mod outbound;
pub mod ports;
pub mod process;
pub mod programs;
pub mod recorded;
pub mod relay;
pub mod script;
pub mod scripted;
pub mod service;
pub mod site;
pub mod tls;
pub mod traffic;
pub mod tunnel;
pub mod way;
pub mod websocket;

/// The upper bound of a wait for something that must happen; far longer than it takes.
pub const LONG: Duration = Duration::from_secs(60);

/// Says why something is not tested.
#[expect(clippy::print_stdout, reason = "the test runner shows it to who asks for it")]
pub fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// Fails with `what` when `future` takes longer than [`LONG`].
///
/// # Errors
/// The wait was in vain.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(LONG, future)
        .await
        .map_err(|_| anyhow::anyhow!("waited {LONG:?} in vain for {what}"))
}
