//! The receive window of a stream: how much the peer may send ahead of the reader.
//!
//! It starts at the protocol's 256 KiB. It doubles when the reader has taken half of it within two round trips,
//! that is when the window and not the reader or the path holds the peer back, and shrinks again when half of it
//! lasts for long. What all windows of a session have above their start comes out of one budget, so that a
//! hundred users that read fast at first and then stop still cost little.

use std::time::Duration;

use crate::INITIAL_WINDOW;

/// Below this a round trip says nothing: scheduling takes as long.
const ROUND_TRIP_FLOOR: Duration = Duration::from_millis(1);
/// A window of which half lasts longer than this is larger than it need be.
const SHRINK_AFTER: Duration = Duration::from_secs(10);

/// What all windows of a session may still take above their start, in bytes.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) left: usize,
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
}

impl ReceiveWindow {
    pub(super) fn new() -> Self {
        Self { size: INITIAL_WINDOW, left: INITIAL_WINDOW, read: 0, since: Duration::ZERO }
    }

    /// What the peer may still send.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// `count` bytes arrived; they must fit.
    pub(super) fn received(&mut self, count: u32, now: Duration) {
        if self.left == self.size {
            self.since = now;
        }
        self.left = self.left.saturating_sub(count);
    }

    /// `count` bytes were read. Says whether an update is due.
    pub(super) fn read(&mut self, count: u32) -> bool {
        self.read = self.read.saturating_add(count);
        self.read >= self.size / 2
    }

    /// Bytes received so far are enough to ask whether the window should grow.
    pub(super) fn wants_round_trip(&self, budget: &Budget) -> bool {
        budget.round_trip.is_none() && self.size < budget.max_window && self.size - self.left >= self.size / 4
    }

    /// The delta to grant now, 0 for none yet; grows or shrinks the window first.
    pub(super) fn update(&mut self, budget: &mut Budget, now: Duration) -> u32 {
        if self.read < self.size / 2 {
            return 0;
        }
        let took = now.saturating_sub(self.since);
        let waiting = self.size - self.left - self.read;
        let old = self.size;
        if let Some(round_trip) = budget.round_trip
            && took < round_trip.max(ROUND_TRIP_FLOOR) * 2
            && waiting <= self.size / 4
        {
            let wanted = self.size.saturating_mul(2).min(budget.max_window.max(self.size)) - self.size;
            let grown = wanted.min(u32::try_from(budget.left).unwrap_or(u32::MAX));
            self.size += grown;
            budget.left -= grown as usize;
        } else if took > SHRINK_AFTER && self.size > INITIAL_WINDOW {
            // No more than was read can be taken back: the rest is granted already.
            let shrunk = (self.size - (self.size / 2).max(INITIAL_WINDOW)).min(self.read);
            self.size -= shrunk;
            budget.left += shrunk as usize;
        }
        let delta =
            if self.size >= old { self.read + (self.size - old) } else { self.read - (old - self.size) };
        self.left += delta;
        self.read = 0;
        self.since = now;
        delta
    }

    /// Gives back what the window holds of the budget.
    pub(super) fn release(&mut self, budget: &mut Budget) {
        budget.left += (self.size - INITIAL_WINDOW) as usize;
        self.size = INITIAL_WINDOW;
        self.left = self.left.min(INITIAL_WINDOW);
        self.read = 0;
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u32 {
        self.size
    }
}
