//! A tunnel whose programs run.

use std::time::Duration;

use anyhow::{Result, ensure};
use frp_test_support::impairment::Impairment;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{Plan, loopback};
use crate::child::Child;
use crate::load::{datagrams, handshakes, vhost};
use crate::service::http;

/// The longest that a tunnel may take to come up.
const START: Duration = Duration::from_secs(15);
/// How long one try of a request may take while it comes up.
const TRY: Duration = Duration::from_secs(5);
/// How long a datagram may take; it may have been lost.
const TRY_DATAGRAM: Duration = Duration::from_millis(200);
/// How often is tried.
const PAUSE: Duration = Duration::from_millis(1);
/// How often memory is looked at until it stands still.
const SAMPLE: Duration = Duration::from_millis(50);
/// The longest that is waited for memory to stand still.
const SETTLE: Duration = Duration::from_secs(3);

/// When a tunnel counts as up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    /// A request through it was answered.
    Answers,
    /// Its public port takes connections; the service behind it comes later.
    Listens,
    /// A request for the bench's virtual host was answered.
    Serves,
    /// A TLS handshake for the bench's virtual host was completed.
    Handshakes,
    /// A datagram through it came back.
    Returns,
}

/// A tunnel with its programs, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where users connect on 127.0.0.1.
    pub(crate) public: u16,
    /// From the start of the first program until the tunnel was ready.
    pub(crate) took: Duration,
    programs: Vec<Child>,
    _folder: Option<TempDir>,
    _line: Option<Impairment>,
}

impl Running {
    pub(super) fn without_programs(service: u16) -> Self {
        Self { public: service, took: Duration::ZERO, programs: Vec::new(), _folder: None, _line: None }
    }

    pub(super) async fn start(
        plan: &Plan,
        public: u16,
        folder: TempDir,
        ready: Ready,
        began: Instant,
    ) -> Result<Self> {
        let mut programs = vec![Child::start(&plan.first, folder.path(), "first")?];
        until(&mut programs, "its first program to listen", async || {
            TcpStream::connect(plan.listens).await.is_ok()
        })
        .await?;
        programs.push(Child::start(&plan.second, folder.path(), "second")?);
        until(&mut programs, "its tunnel", async || match ready {
            Ready::Answers => timeout(TRY, answers(public)).await.is_ok_and(|answer| answer.is_ok()),
            Ready::Serves => timeout(TRY, vhost::once(public)).await.is_ok_and(|answer| answer.is_ok()),
            Ready::Handshakes => {
                timeout(TRY, handshakes::once(public)).await.is_ok_and(|handshake| handshake.is_ok())
            }
            Ready::Listens => TcpStream::connect(loopback(public)).await.is_ok(),
            Ready::Returns => {
                timeout(TRY_DATAGRAM, datagrams::returns(public)).await.is_ok_and(|answer| answer.is_ok())
            }
        })
        .await?;
        Ok(Self { public, took: began.elapsed(), programs, _folder: Some(folder), _line: None })
    }

    /// With the line between its programs, which ends with it.
    pub(super) fn over(self, line: Option<Impairment>) -> Self {
        Self { _line: line, ..self }
    }

    /// Whether there are programs whose CPU time and memory can be read.
    pub(crate) fn has_programs(&self) -> bool {
        !self.programs.is_empty()
    }

    /// CPU time of its programs so far, in seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        self.programs.iter().map(Child::cpu).sum()
    }

    /// Resident memory of its programs in bytes, once it stands still or [`SETTLE`] is over.
    pub(crate) async fn settled_memory(&self) -> Result<u64> {
        let resident = || self.programs.iter().map(Child::resident).sum::<Result<u64>>();
        let began = Instant::now();
        let (mut last, mut still) = (resident()?, 0);
        while still < 3 && began.elapsed() < SETTLE {
            sleep(SAMPLE).await;
            let now = resident()?;
            still = if now.abs_diff(last) <= last / 500 { still + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

/// Tries until it holds, with the programs' output when one of them ends or the time is over.
async fn until(programs: &mut [Child], what: &str, holds: impl AsyncFn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !holds().await {
        for program in &mut *programs {
            program.check()?;
        }
        ensure!(
            began.elapsed() < START,
            "waited {START:?} in vain for {what}; output: {}",
            programs.iter().map(Child::tail).collect::<Vec<_>>().join(" | ")
        );
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn answers(public: u16) -> Result<()> {
    let mut stream = TcpStream::connect(loopback(public)).await?;
    http::ask(&mut stream).await
}
