//! Requests for a virtual host. What lies on the way may add headers to the answer, so it is read as HTTP.

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::connections::again_and_again;
use super::{Exchanges, GRACE, KEPT_ALIVE};
use crate::service::http::BODY;

/// The host that is asked for.
pub(crate) const HOST: &str = "bench";
/// A request that leaves the connection open.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// A request after whose answer the connection ends.
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
/// Room for an answer.
const ROOM: usize = 4096;

/// Sends requests one after another on each of [`KEPT_ALIVE`] connections for so many seconds.
///
/// # Errors
/// A connection cannot be opened, or nothing was answered.
pub(crate) async fn requests(public: u16, seconds: f64) -> Result<Exchanges> {
    let mut streams = Vec::with_capacity(KEPT_ALIVE);
    for _ in 0..KEPT_ALIVE {
        streams.push(TcpStream::connect(("127.0.0.1", public)).await?);
    }
    let began = Instant::now();
    let end = began + std::time::Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            let mut times = Vec::new();
            let exchanges = async {
                stream.set_nodelay(true)?;
                let mut buffer = [0; ROOM];
                loop {
                    let sent = Instant::now();
                    stream.write_all(REQUEST).await?;
                    answer(&mut stream, &mut buffer).await?;
                    times.push(sent.elapsed());
                    if Instant::now() >= end {
                        return Ok::<_, anyhow::Error>(());
                    }
                }
            };
            let result = timeout_at(end + GRACE, exchanges).await;
            (times, matches!(result, Ok(Ok(()))))
        });
    }
    Exchanges::of(tasks, began).await
}

/// Opens connection after connection for so many seconds, each for one request.
///
/// # Errors
/// None was served.
pub(crate) async fn connections(public: u16, seconds: f64) -> Result<Exchanges> {
    again_and_again(seconds, move || once(public)).await
}

/// One request on a connection of its own, to the end of stream.
///
/// # Errors
/// Another answer came, or none.
pub(crate) async fn once(public: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", public)).await?;
    stream.write_all(LAST_REQUEST).await?;
    let mut bytes = Vec::with_capacity(512);
    stream.read_to_end(&mut bytes).await?;
    let body = body(&bytes)?.context("no answer")?;
    ensure!(body == BODY, "another answer");
    Ok(())
}

/// Reads one answer.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8; ROOM]) -> Result<()> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).filter(|room| !room.is_empty()).context("a long answer")?;
        let read = stream.read(room).await?;
        ensure!(read > 0, "the end instead of an answer");
        filled += read;
        let bytes = buffer.get(..filled).unwrap_or_default();
        if let Some(body) = body(bytes)?.filter(|body| body.len() >= BODY.len()) {
            ensure!(body == BODY, "another answer");
            return Ok(());
        }
    }
}

/// What follows the head, once that is whole.
fn body(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    ensure!(bytes.starts_with(b"HTTP/1.1 200"), "another status");
    Ok(bytes.get(end + 4..))
}
