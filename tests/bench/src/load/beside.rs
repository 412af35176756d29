//! Small requests beside one bulk transfer: what a download costs everybody else on the same tunnel.

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval_at, timeout_at};

use super::{Exchanges, GRACE};
use crate::service::http::{self, REQUEST_ENDLESS};

/// Time between two requests of one connection, if the answers come in time.
const PACE: Duration = Duration::from_millis(500);

/// Sends a request every [`PACE`] on each of so many connections while another connection downloads as fast as it can.
///
/// # Errors
/// A connection cannot be opened, or nothing was answered, or nothing was downloaded.
pub(crate) async fn run(public: u16, connections: usize, seconds: f64) -> Result<Exchanges> {
    let mut streams = Vec::with_capacity(connections);
    // Each is through to the service before anything is measured: a thousand at once may overflow the service's queue of
    // connections, and the kernel tries again after a second.
    for _ in 0..connections {
        let mut stream = TcpStream::connect(("127.0.0.1", public)).await?;
        http::ask(&mut stream).await?;
        streams.push(stream);
    }
    let mut bulk = JoinSet::new();
    let download = TcpStream::connect(("127.0.0.1", public)).await?;
    let (started, starts) = tokio::sync::oneshot::channel();
    bulk.spawn(endless(download, started));
    ensure!(starts.await.is_ok(), "the download did not begin");
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for (index, stream) in streams.into_iter().enumerate() {
        let share = index as f64 / connections as f64;
        let first = began + PACE.mul_f64(share).min(Duration::from_secs_f64(seconds / 2.0));
        tasks.spawn(async move {
            let mut times = Vec::new();
            let result = timeout_at(end + GRACE, paced(stream, first, end, &mut times)).await;
            (times, matches!(result, Ok(Ok(()))))
        });
    }
    let exchanges = Exchanges::of(tasks, began).await;
    ensure!(!bulk.is_empty() && bulk.try_join_next().is_none(), "the download ended");
    exchanges
}

/// Reads the endless answer until dropped, or until it ends.
async fn endless(mut stream: TcpStream, started: tokio::sync::oneshot::Sender<()>) -> Result<()> {
    stream.write_all(REQUEST_ENDLESS).await?;
    let mut buffer = vec![0; 256 * 1024];
    stream.read_exact(&mut buffer).await?;
    let _ = started.send(());
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Notes for each request how long its answer took.
async fn paced(mut stream: TcpStream, first: Instant, end: Instant, times: &mut Vec<Duration>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut turns = interval_at(first, PACE);
    loop {
        turns.tick().await;
        let sent = Instant::now();
        http::ask(&mut stream).await?;
        times.push(sent.elapsed());
        if Instant::now() >= end {
            return Ok(());
        }
    }
}
