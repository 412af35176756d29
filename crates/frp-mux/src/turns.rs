//! Whether the driver of a session waits for its turn behind the tasks that are about to write.
//!
//! What a session has read wakes several tasks. The first of them that answers wakes the driver, which the runtime then
//! runs at once, before the others: each answer would be a write to the transport of its own, and at the far end a read.
//! Behind them the driver finds all answers, for one write. That costs a task that is alone another wake-up, and perhaps
//! one of another thread, so it is done only while it pays.

use crate::shared::Shared;

/// So many frames in one write, and no more bytes, show that waiting has paid: with more bytes there would have been
/// enough to write without it.
const FRAMES: usize = 3;
const BYTES: usize = 16 * 1024;
/// Waiting is done this often after it paid, at least and at most.
const PAID: u8 = 4;
const CREDIT: u8 = 32;
/// Without that, it is tried each time so many wake-ups have passed. The model check tries it each time.
const TRIAL: u8 = if cfg!(frp_loom) { 1 } else { 32 };
/// With fewer streams nobody else can be about to write; one of them is a control.
const STREAMS: usize = if cfg!(frp_loom) { 1 } else { 3 };

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    /// The driver has given its turn away and is to use the next one.
    waited: bool,
    /// What is gathered next shows whether that has paid.
    judged: bool,
    credit: u8,
    passed: u8,
}

impl Turns {
    /// Whether others shall run first. Never twice in a row, so that nothing waits for long.
    pub(crate) fn comes_last(&mut self, shared: &Shared) -> bool {
        if std::mem::take(&mut self.waited) {
            return false;
        }
        if self.credit == 0 {
            self.passed = (self.passed + 1) % TRIAL;
            if self.passed != 0 {
                return false;
            }
        }
        self.waited = shared.lock().engine.num_streams() >= STREAMS;
        self.judged = self.waited;
        self.waited
    }

    /// So many frames, and bytes, are now to be written.
    pub(crate) fn gathered(&mut self, frames: usize, bytes: usize) {
        if !std::mem::take(&mut self.judged) {
            return;
        }
        self.credit = match frames >= FRAMES && bytes <= BYTES {
            true => (self.credit + PAID).min(CREDIT),
            false => self.credit.saturating_sub(1),
        };
    }
}
