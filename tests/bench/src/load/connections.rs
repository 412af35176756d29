//! New connections, each for one request.

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::{Exchanges, GRACE};
use crate::service::http::{ANSWER, REQUEST_ONCE};

/// Connections under way at once.
const AT_ONCE: usize = 32;
/// How long one of them may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Opens connection after connection for so many seconds, in [`AT_ONCE`] tasks. Each sends a request and counts
/// when its answer and the service's end of stream have come. The percentiles are those of whole connections.
///
/// # Errors
/// None was served.
pub(crate) async fn run(public: u16, seconds: f64) -> Result<Exchanges> {
    again_and_again(seconds, move || once(public)).await
}

/// Does a thing again and again for so many seconds, in [`AT_ONCE`] tasks, and counts how often it went well.
///
/// # Errors
/// Never.
pub(super) async fn again_and_again<F>(
    seconds: f64,
    once: impl Fn() -> F + Clone + Send + 'static,
) -> Result<Exchanges>
where
    F: Future<Output = Result<()>> + Send,
{
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let once = once.clone();
        tasks.spawn(async move {
            let (mut times, mut failed) = (Vec::new(), 0);
            loop {
                let opened = Instant::now();
                match timeout(LIMIT, once()).await {
                    Ok(Ok(())) => times.push(opened.elapsed()),
                    _ => {
                        failed += 1;
                        // A tunnel that refuses at once must not make this a busy loop.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                if Instant::now() >= end {
                    return (times, failed);
                }
            }
        });
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    while let Some(task) = timeout_at(end + GRACE, tasks.join_next()).await? {
        let (of_it, failed_of_it) = task?;
        times.extend(of_it);
        failed += failed_of_it;
    }
    let seconds = began.elapsed().as_secs_f64();
    Exchanges::from_times(times, seconds, failed)
}

async fn once(public: u16) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", public)).await?;
    stream.write_all(REQUEST_ONCE).await?;
    let mut answer = Vec::with_capacity(ANSWER.len() + 1);
    stream.read_to_end(&mut answer).await?;
    ensure!(answer == ANSWER, "another answer");
    Ok(())
}
