//! A relay in user space that is as bad as a line can be: between frpc and frps, for datagrams or for TCP connections.
//!
//! What becomes of the n-th datagram of a direction follows from the seed alone; only what a full queue drops depends on
//! when things come. Nothing sleeps per datagram: whatever is due goes out in one turn of one task, whose timer ticks in
//! milliseconds, which is how exact delays are. A direction holds no more than its rate times its delay, and its queue.
//!
//! | module | holds |
//! | --- | --- |
//! | `direction` | the decisions, without a clock or a socket |
//! | `bottleneck` | when a byte is through, given a rate, a delay and stalls |
//! | `datagrams` | the relay of datagrams |
//! | `streams` | the relay of TCP connections |

mod bottleneck;
mod datagrams;
mod direction;
mod streams;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a line does to each of its two directions. The default does nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// How long everything takes from one end to the other, beside what the rate makes of it. A round trip is twice that.
    pub delay: Duration,
    /// Bits per second; unbounded when `None`. Headers below UDP and TCP are not counted.
    pub rate: Option<u64>,
    /// Bytes that may wait for the bottleneck. Of datagrams the last are dropped, of a TCP connection no more is taken.
    pub queue: usize,
    /// When nothing moves, again and again.
    pub stall: Option<Stall>,
    /// The share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// The share of datagrams that come twice.
    pub duplication: f64,
    /// The share of datagrams that are held back for [`Self::held_back`], so that later ones overtake them.
    pub reordering: f64,
    /// How much later they come.
    pub held_back: Duration,
    /// What chance is made of.
    pub seed: u64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            rate: None,
            queue: 256 << 10,
            stall: None,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            held_back: Duration::from_millis(5),
            seed: 1,
        }
    }
}

impl Conditions {
    /// The most bytes that a direction of datagrams, or of one connection, holds.
    fn capacity(&self) -> usize {
        /// Where no rate says how much can be on its way.
        const WITHOUT_RATE: usize = 16 << 20;
        self.rate.map_or(WITHOUT_RATE, |rate| {
            let late = self.delay + self.held_back + self.stall.map_or(Duration::ZERO, |stall| stall.length);
            let way = u128::from(rate / 8) * late.as_micros() / 1_000_000;
            self.queue.saturating_add(usize::try_from(way).unwrap_or(WITHOUT_RATE))
        })
    }

    /// For the way back: the same, with chances of its own.
    fn back(self) -> Self {
        Self { seed: self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15), ..self }
    }
}

/// At the end of each of its periods a line that stalls carries nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// The period.
    pub every: Duration,
    /// How much of its end nothing moves; less than the period.
    pub length: Duration,
}

/// What became of the traffic of one direction: datagrams, or of connections the pieces in which it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Taken from the sender.
    pub taken: u64,
    /// Given to the receiver, duplicates too.
    pub passed: u64,
    /// The bytes of those.
    pub bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Dropped in a black hole.
    pub swallowed: u64,
}

/// The counts of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// From whoever came to the relay to its target.
    pub there: Counts,
    /// And back.
    pub back: Counts,
}

/// A running relay. It ends, with every connection through it, when this is dropped.
#[derive(Debug)]
pub struct Impairment {
    port: u16,
    hole: watch::Sender<bool>,
    comers: watch::Receiver<usize>,
    statistics: Arc<Mutex<Statistics>>,
    _tasks: JoinSet<()>,
}

impl Impairment {
    /// A relay of datagrams to a port of 127.0.0.1. Each address that sends has a socket of its own towards the target.
    ///
    /// # Errors
    /// No port.
    pub fn datagrams(target: u16, conditions: Conditions) -> Result<Self> {
        let near = datagrams::socket()?;
        let port = near.local_addr()?.port();
        Ok(Self::start(port, |hole, comers, statistics| {
            datagrams::Relay::new(near, loopback(target), conditions).run(hole, comers, statistics)
        }))
    }

    /// A relay of TCP connections to a port of 127.0.0.1. They share the rate, not the queue.
    ///
    /// # Errors
    /// No port.
    pub fn connections(target: u16, conditions: Conditions) -> Result<Self> {
        let listener = std::net::TcpListener::bind(loopback(0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        Ok(Self::start(port, |hole, comers, statistics| {
            streams::serve(listener, loopback(target), conditions, hole, comers, statistics)
        }))
    }

    fn start<F>(
        port: u16,
        relay: impl FnOnce(watch::Receiver<bool>, watch::Sender<usize>, Arc<Mutex<Statistics>>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (hole, holes) = watch::channel(false);
        let (came, comers) = watch::channel(0);
        let statistics = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(holes, came, Arc::clone(&statistics)));
        Self { port, hole, comers, statistics, _tasks: tasks }
    }

    /// The port to come to on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Opens or closes a black hole. Datagrams in it are gone; the bytes of a TCP connection, its end and new
    /// connections wait for its close, as they would with a sender that repeats itself.
    pub fn black_hole(&self, open: bool) {
        self.hole.send_replace(open);
    }

    /// How many addresses have sent a datagram, or how many connections came.
    #[must_use]
    pub fn comers(&self) -> usize {
        *self.comers.borrow()
    }

    /// Waits until so many came.
    pub async fn wait_comers(&mut self, count: usize) {
        let _ = self.comers.wait_for(|comers| *comers >= count).await;
    }

    /// What became of the traffic so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
