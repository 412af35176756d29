//! What the tests stand on: a server that does what a test tells it to and nothing by itself, a running client, its
//! log, and local services.

mod client;
mod local;
mod log;
mod server;

use std::panic::Location;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) use client::{Frpc, Text};
pub(crate) use local::{Echo, HttpService, UdpEcho};
pub(crate) use log::Log;
pub(crate) use server::{Control, Frps};

pub(crate) const TOKEN: &str = "secret";
/// After this a test has failed: nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
#[track_caller]
pub(crate) fn soon<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let result = tokio::time::timeout(PATIENCE, what).await;
        result.unwrap_or_else(|_| panic!("{caller}: nothing happened for {PATIENCE:?}"))
    }
}

pub(crate) async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    soon(stream.write_all(text.as_bytes())).await.unwrap();
    soon(stream.flush()).await.unwrap();
}

pub(crate) async fn hear(stream: &mut (impl AsyncRead + Unpin), text: &str) {
    let mut got = vec![0; text.len()];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got), text);
}

/// Waits for the end of a stream that has nothing more to say, however it ends.
pub(crate) async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut byte = [0];
    let read = soon(stream.read(&mut byte)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "a byte came: {byte:?}");
}

/// Waits for the end of a stream in good order.
pub(crate) async fn ended(stream: &mut (impl AsyncRead + Unpin)) {
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
}

/// A client that runs with `text` and one proxy serves a user.
pub(crate) async fn serves(mut frps: Frps, text: Text) {
    let echo = Echo::start().await;
    let frpc = text.tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut user = frps.user(&mut control, "web").await;
    say(&mut user, "hello").await;
    hear(&mut user, "hello").await;
    frpc.stop().await;
}
