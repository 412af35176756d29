//! What we send: the queue, what is on its way, and what has to be sent again.

use std::collections::VecDeque;

use super::pace::{Mark, Pace};
use super::rtt::Rtt;
use super::{expand, low};
use crate::Micros;
use crate::config::MSS;

/// What a peer has room for before it has said so. kcp-go `IKCP_WND_RCV`.
pub(crate) const FIRST_WINDOW: u16 = 32;
/// Acknowledgements of later segments after which a segment counts as lost. Upstream `SetNoDelay(1, 20, 2, 1)`.
const FAST_RESEND: u32 = 2;
/// Segments that are sent again while a peer answers nothing.
const PROBES: usize = 8;
/// The longest time between two attempts to reach a peer that answers nothing.
const LONGEST_TIMEOUT: Micros = 3_000_000;
/// Half of the numbers after the first are behind it; less, to be sure.
const OLD_WITHIN: u64 = 1 << 30;
/// Milliseconds after which nobody acknowledges an attempt any more.
const OLDEST_ATTEMPT: u32 = 60_000;
/// Segments that wait to be sent, at least and at most: what leaves while a writer wakes.
const LEAST_QUEUE: usize = 128;
const MOST_QUEUE: usize = 1024;
/// Buffers that are kept for segments to come.
const KEPT_BUFFERS: usize = 64;

#[derive(Debug)]
struct Slot {
    data: Vec<u8>,
    /// Of the first attempt, and of the last.
    first_ts: u32,
    ts: u32,
    sent_at: Micros,
    mark: Mark,
    /// Acknowledgements of later segments that were sent later, too.
    skipped: u32,
    attempts: u16,
    is_acknowledged: bool,
    is_lost: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The first segment that the peer has not got, and the next that is sent.
    una: u64,
    next: u64,
    flight: VecDeque<Slot>,
    queue: VecDeque<Vec<u8>>,
    lost: VecDeque<u64>,
    /// Segments that are on their way as far as we know.
    outstanding: usize,
    own_window: u16,
    pub(crate) peer_window: u16,
    pub(crate) rtt: Rtt,
    pace: Pace,
    /// When the peer is given up for this time, and how often that was so since it last acknowledged anything.
    timeout_at: Option<Micros>,
    timeouts: u32,
    /// What may still be sent before the next timeout; none while the peer answers.
    probes: Option<usize>,
    /// The peer has repeated a time that only who receives from us can know.
    is_proven: bool,
    /// The number of a segment that holds a single byte of the stream; it can be the first only.
    single: Option<u64>,
    /// Acknowledgements of the datagram that is being read.
    acks: Vec<(u64, u32)>,
    free: Vec<Vec<u8>>,
}

impl Sender {
    pub(crate) fn new(window: u16, first: u64) -> Self {
        Self {
            una: first,
            next: first,
            flight: VecDeque::new(),
            queue: VecDeque::new(),
            lost: VecDeque::new(),
            outstanding: 0,
            own_window: window,
            peer_window: FIRST_WINDOW,
            rtt: Rtt::default(),
            pace: Pace::default(),
            timeout_at: None,
            timeouts: 0,
            probes: None,
            is_proven: false,
            single: None,
            acks: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Puts the first byte of the stream into a segment of its own, so that whoever has read anything has got more than
    /// that. See [`Self::first_again`].
    pub(crate) const fn begin_with_one_byte(&mut self) {
        self.single = Some(self.next);
    }

    /// The number of the first segment, if it holds one byte and may be sent again with anything in it: the peer has got it,
    /// and the number is certain to be an old one. Not while we wait for an acknowledgement in time, since of many the last
    /// one alone tells of a time (kcp-go `flush`); and not if nothing else was ever sent, see [`Self::is_forgotten_by`].
    pub(crate) fn first_again(&self) -> Option<u32> {
        let has_more = self.una_of_single() > Some(1);
        let is_free = if self.flight.is_empty() { has_more } else { self.timeouts > 0 };
        self.single.filter(|_| is_free && self.una_of_single() > Some(0)).map(low)
    }

    /// Whether a peer that has got no more than the first byte, or not even that, has got more before, and is thus another
    /// one by now.
    pub(crate) fn is_forgotten_by(&self, una: u32) -> bool {
        let (Some(single), Some(before)) = (self.single, self.una_of_single()) else { return false };
        u64::from(una.wrapping_sub(low(single))) < before.min(2)
    }

    /// What the peer has got, counted from the segment of one byte, while there are not so many that its number is no
    /// longer an old one.
    fn una_of_single(&self) -> Option<u64> {
        let single = self.single.filter(|single| self.next - single < OLD_WITHIN)?;
        Some(self.una - single)
    }

    pub(crate) const fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// The number of the next new segment.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next
    }

    /// Whether everything has been sent at least once.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the peer has got everything.
    pub(crate) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    /// How often in a row nothing came in time.
    pub(crate) const fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Takes bytes of the stream, as many as there is room for.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> usize {
        let offered = bytes.len();
        let mut number = self.next + self.queue.len() as u64;
        if let Some(last) = self.queue.back_mut()
            && self.single.is_none_or(|single| single + 1 != number)
        {
            let (now, later) = bytes.split_at(bytes.len().min(MSS.saturating_sub(last.len())));
            last.extend_from_slice(now);
            bytes = later;
        }
        let limit = self.queue_limit();
        while !bytes.is_empty() && self.queue.len() < limit {
            let most = if self.single == Some(number) { 1 } else { MSS };
            let (piece, later) = bytes.split_at(bytes.len().min(most));
            let mut data = self.free.pop().unwrap_or_default();
            data.clear();
            data.extend_from_slice(piece);
            self.queue.push_back(data);
            number += 1;
            bytes = later;
        }
        offered - bytes.len()
    }

    fn queue_limit(&self) -> usize {
        self.pace.window().clamp(LEAST_QUEUE, MOST_QUEUE)
    }

    /// Whether it is worth waking a writer.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() <= self.queue_limit() / 2
    }

    /// The peer has got all segments before this one. False if that cannot be: the number was never sent, or is behind
    /// what the peer has said before.
    pub(crate) fn receive_una(&mut self, now: Micros, una: u32) -> bool {
        let Some(una) = expand(self.una, una).filter(|una| (self.una..=self.next).contains(una)) else {
            return false;
        };
        if una > self.una {
            for _ in self.una..una {
                let Some(slot) = self.flight.pop_front() else { break };
                let is_first = slot.attempts == 1;
                self.settle(now, slot, is_first);
            }
            self.una = una;
            self.progress(now);
        }
        true
    }

    /// The peer has got this segment, which was sent at `ts`; `clock` is that clock now. `is_timely` is false for what
    /// was held up on the way.
    pub(crate) fn receive_ack(&mut self, now: Micros, sn: u32, ts: u32, clock: u32, is_timely: bool) {
        let Some(sn) = expand(self.una, sn).filter(|sn| (self.una..self.next).contains(sn)) else { return };
        self.acks.push((sn, ts));
        let at = usize::try_from(sn - self.una).unwrap_or(usize::MAX);
        let Some(slot) = self.flight.get_mut(at).filter(|slot| !slot.is_acknowledged) else { return };
        let is_of_last = slot.ts == ts;
        // Of an attempt before the last one only the milliseconds are known. Without these, a path that takes longer
        // than the first timeout would never be measured.
        let age = clock.wrapping_sub(ts);
        let rtt = match is_of_last {
            true => Some(now.saturating_sub(slot.sent_at)),
            false => (slot.attempts > 1 && age < OLDEST_ATTEMPT).then(|| Micros::from(age) * 1000),
        };
        // Where the first timeout is shorter than the path, it is the first attempt that is acknowledged. The times of the
        // others are not kept, and almost any time would do for them, which can be guessed.
        self.is_proven |= is_of_last || slot.first_ts == ts;
        if let Some(rtt) = rtt.filter(|_| is_timely) {
            self.rtt.sample(rtt);
            self.pace.round_trip(now, rtt);
        }
        let taken =
            Slot { data: std::mem::take(&mut slot.data), is_acknowledged: false, mark: slot.mark, ..*slot };
        slot.is_acknowledged = true;
        self.settle(now, taken, is_of_last);
        self.progress(now);
    }

    /// A segment has arrived, by whatever we know it. `is_of_last` says that it is the last attempt which has: what was
    /// sent again may have arrived before that.
    fn settle(&mut self, now: Micros, slot: Slot, is_of_last: bool) {
        if slot.is_acknowledged {
            return;
        }
        if !slot.is_lost {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
        self.pace.acknowledged(now, slot.mark, is_of_last);
        if self.free.len() < KEPT_BUFFERS {
            self.free.push(slot.data);
        }
    }

    fn progress(&mut self, now: Micros) {
        self.timeouts = 0;
        self.probes = None;
        self.timeout_at = Some(now + self.rtt.timeout());
    }

    /// A datagram has been read to its end.
    pub(crate) fn after_datagram(&mut self, now: Micros) {
        let mut acks = std::mem::take(&mut self.acks);
        self.find_lost(&mut acks);
        acks.clear();
        self.acks = acks;
        self.pace.update(now, self.outstanding);
    }

    /// Counts for each segment how many later ones have come, as kcp-go `parse_fastack` does.
    fn find_lost(&mut self, acks: &mut [(u64, u32)]) {
        acks.sort_unstable();
        let Some(&(last, _)) = acks.last() else { return };
        let enough = if self.queue.is_empty() { 1 } else { FAST_RESEND };
        let count = usize::try_from(last.saturating_sub(self.una)).unwrap_or(0);
        let mut before = 0;
        for (slot, sn) in self.flight.iter_mut().take(count).zip(self.una..) {
            if slot.is_acknowledged || slot.is_lost {
                continue;
            }
            while acks.get(before).is_some_and(|&(acked, _)| acked <= sn) {
                before += 1;
            }
            let later = acks.get(before..).unwrap_or_default();
            let later = if slot.attempts == 1 {
                // Whatever came later was sent later.
                later.len()
            } else {
                later.iter().filter(|(_, ts)| ts.wrapping_sub(slot.ts) < 1 << 31).count()
            };
            slot.skipped += u32::try_from(later).unwrap_or(u32::MAX);
            if slot.skipped >= enough {
                slot.is_lost = true;
                self.lost.push_back(sn);
                self.outstanding = self.outstanding.saturating_sub(1);
                self.pace.lost();
            }
        }
    }

    /// When something has to be done although nothing comes.
    pub(crate) fn due(&self, now: Micros) -> Option<Micros> {
        let sendable = self.sendable().then(|| self.pace.next().max(now));
        let timeout = self.timeout_at.filter(|_| !self.flight.is_empty());
        sendable.into_iter().chain(timeout).min()
    }

    /// Whether a segment could leave but for its pace.
    fn sendable(&self) -> bool {
        self.probes != Some(0)
            && self.outstanding < self.pace.window()
            && (!self.lost.is_empty() || (!self.queue.is_empty() && self.has_window()))
    }

    fn has_window(&self) -> bool {
        self.next - self.una < u64::from(self.own_window.min(self.peer_window))
    }

    /// Whether the peer has no room for what waits.
    pub(crate) fn is_shut_out(&self) -> bool {
        self.peer_window == 0 && !self.queue.is_empty()
    }

    /// What time alone brings.
    pub(crate) fn tick(&mut self, now: Micros) {
        if self.flight.is_empty() || self.timeout_at.is_none_or(|at| at > now) {
            return;
        }
        self.timeouts += 1;
        self.probes = Some(PROBES);
        self.lost.clear();
        let timeout = self.rtt.timeout();
        for (slot, sn) in self.flight.iter_mut().zip(self.una..) {
            if slot.is_acknowledged || (!slot.is_lost && slot.sent_at + timeout > now && sn > self.una) {
                continue;
            }
            if !slot.is_lost {
                slot.is_lost = true;
                self.outstanding = self.outstanding.saturating_sub(1);
            }
            self.lost.push_back(sn);
        }
        // Half a timeout more each time, as with `nodelay` in kcp-go.
        let longer = timeout + timeout / 2 * u64::from(self.timeouts);
        self.timeout_at = Some(now + longer.min(LONGEST_TIMEOUT.max(timeout)));
    }

    /// The next segment that may leave now: its number and its bytes. `ts` is what the peer will repeat.
    pub(crate) fn transmit(&mut self, now: Micros, ts: u32) -> Option<(u32, &[u8])> {
        while let Some(&sn) = self.lost.front() {
            let at = sn.checked_sub(self.una).and_then(|at| usize::try_from(at).ok());
            let slot = at.and_then(|at| self.flight.get(at));
            if slot.is_some_and(|slot| slot.is_lost && !slot.is_acknowledged) {
                break;
            }
            self.lost.pop_front();
        }
        if !self.sendable() || self.pace.next() > now {
            if self.queue.is_empty() && self.lost.is_empty() {
                self.pace.idle(self.outstanding);
            }
            return None;
        }
        let mark = self.pace.sent(now, self.outstanding, self.rtt.smoothed());
        if self.flight.is_empty() || self.timeout_at.is_none() {
            self.timeout_at = Some(now + self.rtt.timeout());
        }
        self.outstanding += 1;
        self.probes = self.probes.map(|probes| probes.saturating_sub(1));
        if let Some(sn) = self.lost.pop_front() {
            let at = usize::try_from(sn - self.una).unwrap_or(usize::MAX);
            let slot = self.flight.get_mut(at)?;
            slot.ts = ts;
            slot.sent_at = now;
            slot.mark = mark;
            slot.skipped = 0;
            slot.attempts = slot.attempts.saturating_add(1);
            slot.is_lost = false;
            return Some((low(sn), &slot.data));
        }
        let data = self.queue.pop_front()?;
        let sn = self.next;
        self.next += 1;
        self.flight.push_back(Slot {
            data,
            first_ts: ts,
            ts,
            sent_at: now,
            mark,
            skipped: 0,
            attempts: 1,
            is_acknowledged: false,
            is_lost: false,
        });
        self.flight.back().map(|slot| (low(sn), slot.data.as_slice()))
    }

    /// Forgets what has not been sent.
    pub(crate) fn abandon(&mut self) {
        self.queue.clear();
        self.flight.clear();
        self.lost.clear();
        self.outstanding = 0;
    }

    pub(crate) fn trim(&mut self) {
        self.free = Vec::new();
        self.acks = Vec::new();
        self.queue.shrink_to_fit();
        self.flight.shrink_to_fit();
        self.lost.shrink_to_fit();
    }

    pub(crate) fn is_trimmed(&self) -> bool {
        self.free.is_empty()
    }
}
