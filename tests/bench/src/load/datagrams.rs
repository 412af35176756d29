//! Datagrams there and back: one user, one sending and one receiving thread, one system call for each datagram.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use tokio::time::Instant;

use crate::service::datagrams::BUFFER;

/// Bytes of each datagram.
const LENGTH: usize = 1200;
/// In front of each datagram: when it was sent, in nanoseconds since the run began.
const STAMP: usize = 8;
/// How often a paced sender sends what is due.
const TICK: Duration = Duration::from_millis(1);
/// How long after the last datagram an answer still counts.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// Before the measured time, at the same rate.
const WARM_UP: Duration = Duration::from_millis(200);

/// How many datagrams one sender offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// As many as it can send.
    Flood,
    /// So many in each second, evenly, in small groups.
    PerSecond(u32),
}

/// What became of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delivery {
    /// Sent in the measured time.
    pub(crate) sent: f64,
    /// Of those, the ones that came back.
    pub(crate) returned: f64,
    /// Those that came back within the measured time, whenever they were sent.
    pub(crate) in_time: f64,
    pub(crate) seconds: f64,
    /// Half of the round trips took so many milliseconds or less.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Offers datagrams to the port `public` for so many seconds.
///
/// # Errors
/// Nothing came back.
pub(crate) async fn run(public: u16, offer: Offer, seconds: f64) -> Result<Delivery> {
    tokio::task::spawn_blocking(move || blocking(public, offer, Duration::from_secs_f64(seconds))).await?
}

/// Whether a datagram through `public` comes back.
pub(crate) async fn returns(public: u16) -> Result<()> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(("127.0.0.1", public)).await?;
    socket.send(b"ready?").await?;
    let mut answer = [0; 16];
    let length = socket.recv(&mut answer).await?;
    ensure!(answer.get(..length) == Some(b"ready?"), "another answer");
    Ok(())
}

fn blocking(public: u16, offer: Offer, length: Duration) -> Result<Delivery> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    socket.connect(("127.0.0.1", public))?;
    socket.set_read_timeout(Some(AFTERWARDS))?;
    let began = Instant::now();
    let done = Arc::new(AtomicBool::new(false));
    let receiver = thread::Builder::new().spawn({
        let (socket, done) = (socket.try_clone()?, Arc::clone(&done));
        move || receive(&socket, began, &done)
    })?;
    let sent = send(&socket, began, offer, length);
    let last = Instant::now();
    while last.elapsed() < AFTERWARDS {
        thread::park_timeout(AFTERWARDS);
    }
    done.store(true, Ordering::Relaxed);
    let returned = receiver.join().map_err(|_| anyhow::anyhow!("the receiver is gone"))?;
    let (start, end) = (WARM_UP, WARM_UP + length);
    let measured = |at: &Duration| (start..end).contains(at);
    let mut trips: Vec<Duration> =
        returned.iter().filter(|(at, _)| measured(at)).map(|(at, back)| back.saturating_sub(*at)).collect();
    let in_time = returned.iter().filter(|(_, back)| measured(back)).count();
    ensure!(!trips.is_empty(), "no datagram came back");
    trips.sort_unstable();
    let at = |share: usize| {
        trips
            .get((trips.len() * share / 100).min(trips.len() - 1))
            .map_or(0.0, |trip| trip.as_secs_f64() * 1e3)
    };
    Ok(Delivery {
        sent: sent? as f64,
        returned: trips.len() as f64,
        in_time: in_time as f64,
        seconds: length.as_secs_f64(),
        p50: at(50),
        p99: at(99),
    })
}

/// Sends for the warm-up and the measured time; gives back how many were sent in the latter.
fn send(socket: &UdpSocket, began: Instant, offer: Offer, length: Duration) -> Result<u64> {
    let mut datagram = vec![0x5a; LENGTH];
    let (mut all, mut measured) = (0_u64, 0_u64);
    loop {
        let now = began.elapsed();
        if now >= WARM_UP + length {
            return Ok(measured);
        }
        if let Offer::PerSecond(rate) = offer
            && all as f64 >= now.as_secs_f64() * f64::from(rate)
        {
            thread::park_timeout(TICK);
            continue;
        }
        let stamp = u64::try_from(now.as_nanos()).context("a long run")?;
        if let Some(place) = datagram.first_chunk_mut::<STAMP>() {
            *place = stamp.to_be_bytes();
        }
        // A full buffer or a port that is gone loses the datagram.
        let _ = socket.send(&datagram);
        all += 1;
        measured += u64::from(now >= WARM_UP);
    }
}

/// When each datagram that came back was sent, and when it was back.
fn receive(socket: &UdpSocket, began: Instant, done: &AtomicBool) -> Vec<(Duration, Duration)> {
    let mut buffer = [0; LENGTH + 1];
    let mut returned = Vec::with_capacity(1 << 20);
    while !done.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        if let Some(stamp) = buffer.first_chunk::<STAMP>().filter(|_| length == LENGTH) {
            returned.push((Duration::from_nanos(u64::from_be_bytes(*stamp)), began.elapsed()));
        }
    }
    returned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Services;

    #[tokio::test]
    async fn an_echo_returns_what_is_offered() {
        let services = Services::start().unwrap();
        returns(services.datagrams).await.unwrap();
        let delivery = run(services.datagrams, Offer::PerSecond(1000), 0.1).await.unwrap();
        assert!(
            delivery.returned <= delivery.sent && delivery.returned > 0.0 && delivery.p50 <= delivery.p99
        );
    }
}
