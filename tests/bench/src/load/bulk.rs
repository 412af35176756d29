//! Our own bulk load.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout, timeout_at};

use super::{Flow, GRACE, Transfer};
use crate::service::Services;
use crate::service::bulk::{BLOCK, DOWN, UP, noise};

/// Sends or receives through `public` for so many seconds, and counts what arrived in that time. When nothing did, as
/// on a machine that is busy with something else, more time is given.
///
/// # Errors
/// A stream broke, or nothing arrived at all.
pub(crate) async fn run(services: &Services, public: u16, flow: Flow, seconds: f64) -> Result<Transfer> {
    let mut length = Duration::from_secs_f64(seconds);
    let limit = Instant::now() + length + GRACE;
    let tries = async {
        loop {
            let transfer = transfer(services, public, flow, length).await?;
            if transfer.bytes > 0.0 {
                return Ok(transfer);
            }
            length *= 2;
        }
    };
    timeout_at(limit, tries).await.context("nothing arrived")?
}

/// Waits until nothing of a measurement comes any more, or for so long that it does not matter: what a tunnel over a line
/// of that round trip still holds must not be in the way of the next one.
pub(crate) async fn drained(services: &Services, round_trip: Duration) {
    const LIMIT: Duration = Duration::from_secs(3);
    let drained = async {
        let mut before = None;
        while before != Some(services.received.all()) {
            before = Some(services.received.all());
            // That nothing is on its way shows in nothing but silence for longer than a round trip.
            sleep(round_trip + Duration::from_millis(50)).await;
        }
    };
    let _ = timeout(LIMIT, drained).await;
}

async fn transfer(services: &Services, public: u16, flow: Flow, length: Duration) -> Result<Transfer> {
    let run = services.received.begin();
    let mut streams = Vec::with_capacity(flow.streams);
    for _ in 0..flow.streams {
        let mut stream = TcpStream::connect(("127.0.0.1", public)).await?;
        if flow.down {
            stream.write_u8(DOWN).await?;
            stream.read_u8().await.context("nothing came")?;
        } else {
            let mut head = vec![UP];
            head.extend(run.to_be_bytes());
            stream.write_all(&head).await?;
        }
        streams.push(stream);
    }
    let before = services.received.of_run();
    let began = Instant::now();
    let end = began + length;
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(
            async move { if flow.down { receive(stream, end).await } else { send(stream, end).await } },
        );
    }
    let mut received = 0;
    sleep_until(end).await;
    let sent = services.received.of_run() - before;
    let seconds = began.elapsed().as_secs_f64();
    while let Some(stream) = tasks.join_next().await {
        received += stream??;
    }
    let bytes = if flow.down { received } else { sent };
    Ok(Transfer { bytes: bytes as f64, seconds })
}

/// Reads until `end`; gives back how much came.
async fn receive(mut stream: TcpStream, end: Instant) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut bytes = 0;
    let mut over = std::pin::pin!(sleep_until(end));
    loop {
        tokio::select! {
            biased;
            () = &mut over => return Ok(bytes),
            read = stream.read(&mut block) => match read.context("receive")? {
                0 => anyhow::bail!("the stream ended early"),
                read => bytes += read as u64,
            }
        }
    }
}

/// Writes until `end`. What arrived is counted by the service.
async fn send(mut stream: TcpStream, end: Instant) -> Result<u64> {
    let block = noise();
    loop {
        match timeout_at(end, stream.write_all(&block)).await {
            Ok(written) => written.context("send")?,
            Err(_) => return Ok(0),
        }
        if Instant::now() >= end {
            return Ok(0);
        }
    }
}
