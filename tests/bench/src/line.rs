//! Bad lines between frpc and frps: 200 Mb/s with a delay, and for what stands on datagrams with losses.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result};
use frp_test_support::impairment::{Conditions, Impairment};
use tokio::runtime::{Builder, Runtime};

use crate::mode::Mode;

/// Bits per second of every line.
pub(crate) const RATE: u64 = 200_000_000;

/// Of the rate, for so long, the bottleneck's queue holds.
const QUEUE: Duration = Duration::from_millis(50);

/// A measurement over a line takes so many round trips at least, as a transport needs some of them to come up to speed.
const ROUND_TRIPS: u32 = 20;

/// A line, with the names of its rows: up, down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    /// Milliseconds.
    pub(crate) round_trip: u32,
    /// Datagrams lost of a thousand.
    per_mille: u32,
    /// Slugs and titles.
    pub(crate) texts: [(&'static str, &'static str); 2],
}

macro_rules! lines {
    ($($round_trip:literal ms, $percent:literal % = $per_mille:literal;)*) => {
        [$(Line {
            round_trip: $round_trip,
            per_mille: $per_mille,
            texts: [
                (
                    concat!("line-", $round_trip, "-", $percent, "-up"),
                    concat!("bulk at ", $round_trip, " ms, ", $percent, " % lost, up, Mb/s"),
                ),
                (
                    concat!("line-", $round_trip, "-", $percent, "-down"),
                    concat!("bulk at ", $round_trip, " ms, ", $percent, " % lost, down, Mb/s"),
                ),
            ],
        }),*]
    };
}

impl Line {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = lines! {
        20 ms, 0 % = 0;
        20 ms, 0.1 % = 1;
        20 ms, 1 % = 10;
        100 ms, 0 % = 0;
        100 ms, 0.1 % = 1;
        100 ms, 1 % = 10;
        300 ms, 0 % = 0;
        300 ms, 0.1 % = 1;
        300 ms, 1 % = 10;
    };

    /// Whether that transport is measured over it. The relay does not lose bytes of TCP connections.
    pub(crate) fn taken_in(self, mode: Mode) -> bool {
        match mode {
            Mode::Kcp | Mode::Quic => true,
            Mode::Tcp | Mode::Websocket => self.per_mille == 0,
            _ => false,
        }
    }

    /// How long a measurement takes that is to take `seconds` elsewhere.
    pub(crate) fn seconds(self, seconds: f64) -> f64 {
        seconds.max(f64::from(ROUND_TRIPS * self.round_trip) / 1e3)
    }

    /// A relay to a port of 127.0.0.1, in a thread of its own.
    ///
    /// # Errors
    /// No port, or no thread.
    pub(crate) fn start(self, mode: Mode, target: u16) -> Result<Impairment> {
        /// It outlives every line.
        static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
            Builder::new_multi_thread().worker_threads(1).thread_name("lines").enable_all().build()
        });
        let runtime = RUNTIME.as_ref().ok().context("no thread for the line")?;
        let _entered = runtime.enter();
        let delay = Duration::from_millis(u64::from(self.round_trip)) / 2;
        let queue = usize::try_from(u128::from(RATE / 8) * QUEUE.as_micros() / 1_000_000)?;
        let loss = f64::from(self.per_mille) / 1e3;
        let conditions = Conditions { delay, rate: Some(RATE), queue, loss, ..Conditions::default() };
        mode.way().transport.impaired(target, conditions)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_names_of_its_own() {
        let names: BTreeSet<&str> =
            Line::ALL.iter().flat_map(|line| line.texts).flat_map(|(slug, title)| [slug, title]).collect();
        assert_eq!(names.len(), 4 * Line::ALL.len());
        assert!(names.contains("line-100-0.1-up") && names.contains("bulk at 300 ms, 1 % lost, down, Mb/s"));
    }

    #[test]
    fn only_datagrams_are_lost() {
        let over = |mode| Line::ALL.iter().filter(|line| line.taken_in(mode)).count();
        assert_eq!([Mode::Kcp, Mode::Quic, Mode::Tcp, Mode::Websocket, Mode::Mux].map(over), [9, 9, 3, 3, 0]);
    }
}
