//! Connections that made one request and stay open.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

use crate::service::http;

/// How many are opened at once.
const AT_ONCE: usize = 32;
/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Opens `count` connections through `public`, each with one answered request.
///
/// # Errors
/// One of them was not served.
pub(crate) async fn open(public: u16, count: usize) -> Result<Vec<TcpStream>> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks: JoinSet<Result<TcpStream>> = JoinSet::new();
    for _ in 0..count {
        let permits = Arc::clone(&permits);
        tasks.spawn(async move {
            let _permit = permits.acquire().await?;
            let mut stream = TcpStream::connect(("127.0.0.1", public)).await?;
            http::ask(&mut stream).await?;
            Ok(stream)
        });
    }
    let all = async {
        let mut streams = Vec::with_capacity(count);
        while let Some(stream) = tasks.join_next().await {
            streams.push(stream??);
        }
        Ok(streams)
    };
    timeout(LIMIT, all).await.context("stuck")?
}
