//! The receive window of a stream: how much the peer may send ahead of the reader.
//!
//! It starts at the protocol's 256 KiB, or, over a path whose round trip is known to be long, at what 1 Gb/s needs
//! there: else a stream stands still until its first update is back, and a short one never gets further. A quarter of the
//! session's budget is kept for streams that turn out to need more. A window doubles while it, and not the path or the reader, holds the peer back: while
//! it does not fit twice what passes in a round trip. Beyond 1 MiB that is not enough, because a loaded path shows a
//! longer round trip than it has: then doubling it the last time must have let more pass, too. A path whose round trip is
//! long for sure, because no more than a window or two passed in it, gets eight times the window at once: each
//! round trip in which a window is too small is lost. A window larger than
//! needed costs throughput, since what waits in it has left the cache when it is read. It shrinks again when a part of
//! it lasts for long. What all windows of a session have above their start comes out of one budget, so that a hundred
//! users that read fast at first and then stop still cost little.

use std::time::Duration;

use crate::INITIAL_WINDOW;

/// Below this a short look is enough.
const EASY: u32 = 512 * 1024;
/// Shorter times say nothing about a rate, with the scheduling of two machines in them.
const MEASURE_EASY: Duration = Duration::from_millis(2);
const MEASURE_MIN: Duration = Duration::from_millis(20);
/// From here on a round trip is long: no two programs on one machine or in one room have it.
const LONG: Duration = Duration::from_millis(10);
/// Bytes a second that a stream over a long path has a window for from its first byte on.
const AHEAD: u64 = 1_000_000_000 / 8;
/// A window whose next update takes longer than this is larger than it need be.
const SHRINK_AFTER: Duration = Duration::from_secs(10);

/// What all windows of a session may still take above their start, in bytes.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) left: usize,
    /// What streams that begin leave of it.
    pub(super) kept: usize,
    /// The largest window of one stream.
    pub(super) max_window: u32,
    /// The shortest of the latest round trips, once one is known.
    pub(super) round_trip: Option<Duration>,
}

/// The receive window of one stream. At any time `size` = what the peer may still send + what waits for the reader
/// + what was read and not granted again.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    size: u32,
    /// What the peer may still send.
    left: u32,
    /// What was read since the last update.
    read: u32,
    /// When the peer began to use what the last update granted.
    since: Duration,
    /// What was read since the measuring began, and when that was.
    measured: u64,
    measuring: Duration,
    /// Bytes a second when the window last grew, where a short look was not enough.
    rate: u64,
}

impl ReceiveWindow {
    pub(super) fn new() -> Self {
        Self {
            size: INITIAL_WINDOW,
            left: INITIAL_WINDOW,
            read: 0,
            since: Duration::ZERO,
            measured: 0,
            measuring: Duration::ZERO,
            rate: 0,
        }
    }

    /// The stream begins: the delta to open or acknowledge it with.
    pub(super) fn open(&mut self, budget: &mut Budget) -> u32 {
        let Some(round_trip) = budget.round_trip.filter(|round_trip| *round_trip >= LONG) else { return 0 };
        let wanted = u128::from(AHEAD) * round_trip.as_micros() / 1_000_000;
        let wanted =
            u32::try_from(wanted).unwrap_or(u32::MAX).min(budget.max_window).saturating_sub(self.size);
        // A quarter of what there is stays for the next one.
        let spare = budget.left.saturating_sub(budget.kept) / 4 * 3;
        let delta = wanted.min(u32::try_from(spare).unwrap_or(u32::MAX));
        self.size += delta;
        self.left += delta;
        budget.left -= delta as usize;
        delta
    }

    /// What the peer may still send.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// `count` bytes arrived; they must fit.
    pub(super) fn received(&mut self, count: u32, now: Duration) {
        if self.left == self.size {
            self.since = now;
            if self.measured == 0 {
                self.measuring = now;
            }
        }
        self.left = self.left.saturating_sub(count);
    }

    /// `count` bytes were read. Says whether an update is due.
    pub(super) fn read(&mut self, count: u32) -> bool {
        self.read = self.read.saturating_add(count);
        self.read >= self.due()
    }

    /// What must be read before it is granted again: half of a small window, and a quarter of one that has grown. What
    /// was read and not granted is missing from the window, which would halve it where all of it is needed.
    fn due(&self) -> u32 {
        (self.size / 4).max(INITIAL_WINDOW / 2)
    }

    /// Bytes received so far are enough to ask whether the window should grow.
    pub(super) fn wants_round_trip(&self, budget: &Budget) -> bool {
        budget.round_trip.is_none() && self.size < budget.max_window && self.size - self.left >= self.size / 4
    }

    /// The delta to grant now, 0 for none yet; grows or shrinks the window first.
    pub(super) fn update(&mut self, budget: &mut Budget, now: Duration) -> u32 {
        if self.read < self.due() {
            return 0;
        }
        let delta = if let Some(times) = self.is_too_small(budget, now) {
            let wanted = self.size.saturating_mul(times).min(budget.max_window.max(self.size)) - self.size;
            let grown = wanted.min(u32::try_from(budget.left).unwrap_or(u32::MAX));
            self.size += grown;
            budget.left -= grown as usize;
            self.read + grown
        } else if now.saturating_sub(self.since) > SHRINK_AFTER && self.size > INITIAL_WINDOW {
            // No more than was read can be taken back: the rest is granted already.
            let shrunk = (self.size - (self.size / 2).max(INITIAL_WINDOW)).min(self.read);
            self.size -= shrunk;
            budget.left += shrunk as usize;
            self.rate = 0;
            self.read - shrunk
        } else {
            self.read
        };
        self.left += delta;
        self.read = 0;
        self.since = now;
        delta
    }

    /// Whether the window holds the peer back, as far as what was read lately tells: how many times larger it should be.
    fn is_too_small(&mut self, budget: &Budget, now: Duration) -> Option<u32> {
        self.measured += u64::from(self.read);
        let took = now.saturating_sub(self.measuring);
        let round_trip = budget.round_trip?;
        if took < MEASURE_EASY.max(round_trip) {
            return None;
        }
        let per = |time: Duration| {
            u64::try_from(u128::from(self.measured) * time.as_nanos() / took.as_nanos().max(1))
                .unwrap_or(u64::MAX)
        };
        // In a round trip passes a window, and at the edges of the measuring a part of one more. Where more has passed
        // the round trip is that of a path under load.
        let long = round_trip >= LONG && per(round_trip) <= 2 * u64::from(self.size);
        let easy = self.size < EASY || long;
        if !easy && took < MEASURE_MIN.max(round_trip * 4) {
            return None;
        }
        let rate = per(Duration::from_secs(1));
        let tight = per(round_trip * 2) >= u64::from(self.size);
        self.measured = 0;
        self.measuring = now;
        // A window that was too small lets twice as much pass when it is doubled.
        let helped = long || rate >= self.rate + self.rate / 5 * 2;
        if tight && helped && !easy {
            self.rate = rate;
        }
        (tight && helped).then_some(if long { 8 } else { 2 })
    }

    /// Gives back what the window holds of the budget.
    pub(super) fn release(&mut self, budget: &mut Budget) {
        budget.left += (self.size - INITIAL_WINDOW) as usize;
        self.size = INITIAL_WINDOW;
        self.left = self.left.min(INITIAL_WINDOW);
        self.read = 0;
    }

    #[cfg(all(test, not(frp_loom)))]
    pub(super) fn size(&self) -> u32 {
        self.size
    }
}
