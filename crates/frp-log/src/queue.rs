//! The bounded queue between those who log and the thread that writes.

use crate::options::Level;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines waiting at most. What comes on top is dropped and counted.
const MAX_LINES: usize = 16 * 1024;
/// Bytes of text waiting at most.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// One thing for the writer to do, in the order of arrival.
pub(crate) enum Entry {
    /// A log line with its line break, for the target in force.
    Line(Level, String),
    /// Text for stdout as it is, whatever the target is.
    Print(String),
    /// A new target for the lines after it.
    Target(crate::writer::Target),
    /// Tell the counts of lines left out.
    Flush,
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Self::Line(_, text) | Self::Print(text) => text.len(),
            Self::Target(_) | Self::Flush => 0,
        }
    }
}

/// What the writer takes at a time.
pub(crate) struct Batch {
    pub(crate) entries: VecDeque<Entry>,
    /// Lines dropped, after these entries, because the queue was full.
    pub(crate) dropped: u64,
    /// To be given to [`Queue::finish`].
    end: u64,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    dropped: u64,
    /// Entries that have ever been accepted.
    accepted: u64,
    /// Those of them that are written.
    written: u64,
    /// The writer shall look again how long it may wait.
    nudged: bool,
    /// No logger is left; the writer ends.
    closed: bool,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    finished: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid between any two statements, so a panic of another holder does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks for longer than others hold the lock, which they never do while writing.
    pub(crate) fn push(&self, entry: Entry) {
        let mut state = self.lock();
        let size = entry.size();
        if matches!(entry, Entry::Line(..) | Entry::Print(_))
            && (state.entries.len() >= MAX_LINES || state.bytes + size > MAX_BYTES)
        {
            state.dropped += 1;
            return;
        }
        state.bytes += size;
        state.accepted += 1;
        state.entries.push_back(entry);
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits until there is something to write or `timeout` has passed (the batch is empty then); `None` when
    /// the queue is closed and empty.
    pub(crate) fn take(&self, timeout: Option<Duration>) -> Option<Batch> {
        let idle = |state: &mut State| {
            state.entries.is_empty() && state.dropped == 0 && !state.nudged && !state.closed
        };
        let state = self.lock();
        let mut state = match timeout {
            None => self.arrived.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.arrived
                    .wait_timeout_while(state, timeout, idle)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if state.closed && state.entries.is_empty() {
            return None;
        }
        state.bytes = 0;
        state.nudged = false;
        Some(Batch {
            entries: std::mem::take(&mut state.entries),
            dropped: std::mem::take(&mut state.dropped),
            end: state.accepted,
        })
    }

    /// Lets [`Queue::take`] return with an empty batch.
    pub(crate) fn nudge(&self) {
        self.lock().nudged = true;
        self.arrived.notify_one();
    }

    /// The batch is written.
    pub(crate) fn finish(&self, batch: &Batch) {
        self.lock().written = batch.end;
        self.finished.notify_all();
    }

    /// Waits until all that is queued now is written; false if that takes longer than `timeout`.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.push(Entry::Flush);
        let state = self.lock();
        let end = state.accepted;
        let (state, _) = self
            .finished
            .wait_timeout_while(state, timeout, |state| state.written < end && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.written >= end
    }

    /// Ends the writer once it has written what is queued.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}
