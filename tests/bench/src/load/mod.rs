//! What users do, and how much of it got through in a measured time. iperf3 and wrk are used where they are
//! installed; our own load does the same without them.

pub(crate) mod beside;
pub(crate) mod bulk;
pub(crate) mod connections;
pub(crate) mod datagrams;
pub(crate) mod handshakes;
pub(crate) mod idle;
pub(crate) mod iperf3;
pub(crate) mod requests;
pub(crate) mod vhost;
pub(crate) mod wrk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::tools;

/// Connections that keep-alive requests are sent on at once.
pub(crate) const KEPT_ALIVE: usize = 50;
/// How much longer than the measured time a load may take before it counts as stuck.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// The load programs to use; `None` stands for our own load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    pub(crate) iperf3: Option<PathBuf>,
    pub(crate) wrk: Option<PathBuf>,
}

impl Tools {
    /// Those that are installed.
    pub(crate) fn installed() -> Self {
        Self { iperf3: tools::find("iperf3"), wrk: tools::find("wrk") }
    }

    /// What the report says of the load.
    pub(crate) fn describe(&self) -> String {
        let name = |tool: &Option<PathBuf>, name, argument| {
            tool.as_ref().map_or_else(
                || "built in".to_owned(),
                |path| format!("{name} {}", tools::version(path, &[argument])),
            )
        };
        format!(
            "bulk: {}; keep-alive requests: {}; new and idle connections, handshakes: built in",
            name(&self.iperf3, "iperf3", "--version"),
            name(&self.wrk, "wrk", "-v")
        )
    }
}

/// Which way bulk goes, and in how many streams at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    /// From the service to the user, otherwise from the user to the service.
    pub(crate) down: bool,
    pub(crate) streams: usize,
}

/// Bulk that arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Transfer {
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
}

/// Exchanges that were completed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Exchanges {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
    /// Those that broke.
    pub(crate) failed: u64,
    /// Half of the answers came within so many milliseconds.
    pub(crate) p50: f64,
    /// 99 of 100 answers came within so many milliseconds.
    pub(crate) p99: f64,
}

impl Exchanges {
    /// From connections in use since `began`: how long each exchange of theirs took, and whether they were fine to the
    /// end.
    async fn of(mut connections: JoinSet<(Vec<Duration>, bool)>, began: Instant) -> Result<Self> {
        let (mut times, mut failed) = (Vec::new(), 0);
        while let Some(connection) = connections.join_next().await {
            let (of_it, fine) = connection?;
            times.extend(of_it);
            failed += u64::from(!fine);
        }
        Self::from_times(times, began.elapsed().as_secs_f64(), failed)
    }

    /// From how long each completed exchange took.
    fn from_times(mut times: Vec<Duration>, seconds: f64, failed: u64) -> Result<Self> {
        ensure!(!times.is_empty(), "nothing was answered; {failed} broke");
        times.sort_unstable();
        let at = |share: usize| {
            let index = (times.len() * share / 100).min(times.len() - 1);
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Ok(Self { count: times.len() as f64, seconds, failed, p50: at(50), p99: at(99) })
    }
}

/// A whole number of seconds, at least one, for programs that take nothing else.
fn whole_seconds(seconds: f64) -> String {
    format!("{:.0}", seconds.ceil().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Services;

    #[test]
    fn percentiles() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let exchanges = Exchanges::from_times(times, 2.0, 1).unwrap();
        assert_eq!((exchanges.count, exchanges.p50, exchanges.p99), (200.0, 101.0, 199.0));
        assert!(Exchanges::from_times(Vec::new(), 2.0, 1).is_err());
    }

    #[test]
    fn seconds_for_programs_that_take_whole_ones() {
        assert_eq!(whole_seconds(0.2), "1");
        assert_eq!(whole_seconds(2.5), "3");
    }

    #[tokio::test]
    async fn every_load_of_our_own_against_the_services() {
        let services = Services::start().unwrap();
        for (down, streams) in [(false, 1), (true, 1), (false, 8), (true, 8)] {
            let flow = Flow { down, streams };
            let transfer = bulk::run(&services, services.bulk, flow, 0.05).await.unwrap();
            assert!(transfer.bytes > 0.0 && transfer.seconds >= 0.05);
        }
        let kept = requests::run(services.http, 0.05).await.unwrap();
        assert!(kept.count > 0.0 && kept.failed == 0 && kept.p50 <= kept.p99);
        let beside = beside::run(services.http, 20, 0.05).await.unwrap();
        assert!(beside.count >= 20.0 && beside.failed == 0, "{beside:?}");
        let new = connections::run(services.http, 0.05).await.unwrap();
        assert!(new.count > 0.0 && new.failed == 0);
        for done in [
            vhost::requests(services.http, 0.05).await.unwrap(),
            vhost::connections(services.http, 0.05).await.unwrap(),
            handshakes::run(services.tls, 0.05).await.unwrap(),
        ] {
            assert!(done.count > 0.0 && done.failed == 0, "{done:?}");
        }
        assert_eq!(idle::open(services.http, 40).await.unwrap().len(), 40);
    }

    #[tokio::test]
    async fn a_load_without_a_service_fails() {
        let nobody = crate::ports::free();
        assert!(requests::run(nobody, 0.05).await.is_err());
        assert!(connections::run(nobody, 0.05).await.is_err());
        assert!(idle::open(nobody, 1).await.is_err());
    }
}
