//! What we receive: segments in their order, those that came too early, and what has to be said about them.

use std::collections::{BTreeMap, VecDeque};

use super::{expand, low};
use crate::Micros;

/// New segments after which an acknowledgement does not wait for anything to travel with.
const FRESH: usize = 8;
/// How long it waits otherwise: less than any peer waits before it sends again.
const DELAY: Micros = 10_000;
/// Acknowledgements that wait. A peer that sends more than this at once sends some again.
const WAITING: usize = 4096;
/// How often a window is told that has opened again, until something comes through it.
const TELLS: u8 = 3;
/// The time between those.
const TELL_AGAIN: Micros = 100_000;
/// Buffers that are kept for segments to come.
const KEPT_BUFFERS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Receiver {
    expected: u64,
    window: u16,
    /// Segments that are kept at most, whatever was announced.
    limit: u16,
    ready: VecDeque<Vec<u8>>,
    /// Bytes of the first that were read.
    read: usize,
    ahead: BTreeMap<u64, Vec<u8>>,
    acks: VecDeque<(u32, u32)>,
    fresh: usize,
    ack_at: Option<Micros>,
    /// The window that was announced last.
    announced: u16,
    tells: u8,
    tell_at: Micros,
    free: Vec<Vec<u8>>,
    is_abandoned: bool,
}

impl Receiver {
    pub(crate) const fn new(window: u16, first: u64) -> Self {
        Self {
            expected: first,
            window,
            limit: window,
            ready: VecDeque::new(),
            read: 0,
            ahead: BTreeMap::new(),
            acks: VecDeque::new(),
            fresh: 0,
            ack_at: None,
            announced: window,
            tells: 0,
            tell_at: 0,
            free: Vec::new(),
            is_abandoned: false,
        }
    }

    /// The number of the first segment that has not come.
    pub(crate) const fn una(&self) -> u32 {
        low(self.expected)
    }

    /// Whether everything before this number has come.
    pub(crate) const fn has_all_before(&self, number: u64) -> bool {
        self.expected >= number
    }

    /// A number of the peer's in full.
    pub(crate) fn expand(&self, number: u32) -> Option<u64> {
        expand(self.expected, number)
    }

    /// Segments that there is room for.
    pub(crate) fn room(&self) -> u16 {
        self.window.saturating_sub(u16::try_from(self.ready.len()).unwrap_or(u16::MAX))
    }

    /// Keeps no more segments than this, or as many as were announced. What is beyond is not acknowledged.
    pub(crate) fn limit(&mut self, limit: Option<u16>) {
        self.limit = limit.map_or(self.window, |limit| limit.min(self.window));
    }

    /// Segments that are kept.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.ready.len() + self.ahead.len()
    }

    /// Bytes that there is memory for.
    #[cfg(test)]
    pub(crate) fn reserved(&self) -> usize {
        self.ready.iter().chain(self.ahead.values()).chain(&self.free).map(Vec::capacity).sum()
    }

    /// A segment of the stream has come.
    pub(crate) fn receive(&mut self, now: Micros, number: u32, ts: u32, data: &[u8]) {
        self.tells = 0;
        let Some(sn) = expand(self.expected, number) else { return };
        let held = u16::try_from(self.ready.len()).unwrap_or(u16::MAX);
        let room = self.room().min(self.limit.saturating_sub(held));
        if sn >= self.expected + u64::from(room) {
            return;
        }
        // The order is kept, so that the peer gets to its end; the bytes are not.
        let data = if self.is_abandoned { &[] } else { data };
        if self.acks.len() == WAITING {
            self.acks.pop_front();
        }
        self.acks.push_back((number, ts));
        let mut at_once = true;
        if sn == self.expected && self.ahead.is_empty() {
            let kept = self.keep(data);
            self.push(kept);
            self.fresh += 1;
            at_once = self.fresh >= FRESH;
        } else if sn >= self.expected && !self.ahead.contains_key(&sn) {
            let kept = self.keep(data);
            self.ahead.insert(sn, kept);
            while let Some(data) = self.ahead.remove(&self.expected) {
                self.push(data);
            }
        }
        let at = if at_once { now } else { now + DELAY };
        self.ack_at = Some(self.ack_at.map_or(at, |before| before.min(at)));
    }

    fn keep(&mut self, data: &[u8]) -> Vec<u8> {
        let mut kept = self.free.pop().unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(data);
        kept
    }

    fn push(&mut self, data: Vec<u8>) {
        self.expected += 1;
        if !data.is_empty() {
            self.ready.push_back(data);
        }
    }

    pub(crate) fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes bytes of the stream.
    pub(crate) fn read(&mut self, mut into: &mut [u8]) -> usize {
        let room = into.len();
        while let Some(first) = self.ready.front() {
            if into.is_empty() {
                break;
            }
            let rest = first.get(self.read..).unwrap_or_default();
            let count = rest.len().min(into.len());
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(rest.get(..count).unwrap_or_default());
            into = later;
            self.read += count;
            if self.read == first.len() {
                self.read = 0;
                if let Some(done) = self.ready.pop_front()
                    && self.free.len() < KEPT_BUFFERS
                {
                    self.free.push(done);
                }
            }
        }
        room - into.len()
    }

    /// After reading: a peer that may have stopped for want of room has to know that there is some again.
    pub(crate) fn reopen(&mut self, now: Micros) -> bool {
        if self.tells == 0 && self.announced < self.window / 4 && self.room() >= self.window / 2 {
            self.tells = TELLS;
            self.tell_at = now;
            return true;
        }
        false
    }

    /// Whether the window has to be told now.
    pub(crate) const fn take_tell(&mut self, now: Micros) -> bool {
        if self.tells == 0 || self.tell_at > now {
            return false;
        }
        self.tells -= 1;
        self.tell_at = now + TELL_AGAIN;
        true
    }

    pub(crate) fn due(&self) -> Option<Micros> {
        self.ack_at.into_iter().chain((self.tells > 0).then_some(self.tell_at)).min()
    }

    /// Whether acknowledgements may wait no longer.
    pub(crate) fn wants_ack(&self, now: Micros) -> bool {
        self.ack_at.is_some_and(|at| at <= now)
    }

    /// The next acknowledgement: of segments that are not covered by [`Self::una`], and the last one in any case, by
    /// which the peer measures (kcp-go `flush`).
    pub(crate) fn next_ack(&mut self) -> Option<(u32, u32)> {
        loop {
            let (sn, ts) = self.acks.pop_front()?;
            if self.acks.is_empty() || sn.wrapping_sub(self.una()) < 1 << 31 {
                return Some((sn, ts));
            }
        }
    }

    /// Whether there is an acknowledgement, due or not.
    pub(crate) fn has_ack(&self) -> bool {
        !self.acks.is_empty()
    }

    /// All acknowledgements have been taken.
    pub(crate) const fn acknowledged(&mut self) {
        self.fresh = 0;
        self.ack_at = None;
    }

    /// A segment with this window leaves.
    pub(crate) const fn announce(&mut self, window: u16) {
        self.announced = window;
    }

    /// Nobody will read any more.
    pub(crate) fn abandon(&mut self) {
        self.is_abandoned = true;
        self.ready = VecDeque::new();
        self.ahead.values_mut().for_each(|data| *data = Vec::new());
        self.free = Vec::new();
        self.read = 0;
    }

    pub(crate) fn trim(&mut self) {
        self.free = Vec::new();
        self.acks.shrink_to_fit();
        self.ready.shrink_to_fit();
    }

    pub(crate) fn is_trimmed(&self) -> bool {
        self.free.is_empty()
    }
}
