//! Our own keep-alive requests.

use anyhow::Result;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout_at};

use super::{Exchanges, GRACE, KEPT_ALIVE};
use crate::service::http;

/// Sends requests one after another on each of [`KEPT_ALIVE`] connections for so many seconds.
///
/// # Errors
/// A connection cannot be opened, or nothing was answered.
pub(crate) async fn run(public: u16, seconds: f64) -> Result<Exchanges> {
    let mut streams = Vec::with_capacity(KEPT_ALIVE);
    for _ in 0..KEPT_ALIVE {
        streams.push(TcpStream::connect(("127.0.0.1", public)).await?);
    }
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(async move {
            let mut times = Vec::new();
            let result = timeout_at(end + GRACE, exchanges(stream, end, &mut times)).await;
            (times, matches!(result, Ok(Ok(()))))
        });
    }
    Exchanges::of(tasks, began).await
}

/// Notes for each request how long its answer took.
async fn exchanges(mut stream: TcpStream, end: Instant, times: &mut Vec<Duration>) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let sent = Instant::now();
        http::ask(&mut stream).await?;
        times.push(sent.elapsed());
        if Instant::now() >= end {
            return Ok(());
        }
    }
}
