//! How fast segments may leave, and how many may be on their way.
//!
//! The original has no congestion control (`nc = 1`): it sends a whole window at once whenever it may, which its small
//! windows make bearable. Windows that fill a long path would overflow every queue on it. So the rate at which the path
//! delivers is measured, as BBR does it (draft-cardwell-iccrg-bbr-congestion-control-00, without its probing for the
//! round trip): by how much was acknowledged between the sending and the acknowledgement of a segment. Loss does not
//! slow it down, as it does not slow the original down. It never goes below what the original's client may send.

use crate::Micros;

/// Segments that may be on their way whatever was measured: the send window of the original's client. Before anything
/// was measured, half of what its server sends.
const LEAST_WINDOW: u64 = 128;
const FIRST_WINDOW: usize = 256;
/// The shortest round trip over which those are spread: the interval at which the original sends.
const LEAST_SPREAD: Micros = 20_000;
/// How long a peer may hold acknowledgements back: that interval, and something for its timers.
const ACK_DELAY: Micros = 25_000;
/// What is sent at once to make up for the coarseness of timers.
const BURST: Micros = 2_000;
/// Rounds for which a rate counts.
const ROUNDS: usize = 10;
/// How long the shortest round trip counts.
const SHORTEST_FOR: Micros = 10_000_000;
/// In hundredths: twice the rate a round, 2 / ln 2; and what empties the queue that this made.
const STARTUP: u64 = 289;
const DRAIN: u64 = 35;
/// Losses of a round, at least, that are taken for an overflow, and more than one in eight of what it carried.
const OVERFLOW: u64 = 32;
/// In startup, so many round trips in a row that are a quarter and this longer than the shortest one show a queue, which
/// means that the path is full. A peer of ours holds acknowledgements back for so long.
const LONG_TRIPS: u32 = 8;
const QUEUED: Micros = 10_000;
/// In hundredths, one for each shortest round trip. The largest of many samples is somewhat more than the path carries.
const CYCLE: [u64; 8] = [120, 75, 96, 96, 96, 96, 96, 96];
/// By how much the rate grows in hundredths where the path carries what the fast step sends.
const FOUND_MORE: u64 = 112;
/// Of what fills the path, how many hundredths may be on their way: enough for the faster steps.
const WINDOW: u64 = 125;

/// What is remembered of a segment when it is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    sent_at: Micros,
    /// What had been acknowledged, and when the last of it.
    delivered: u64,
    delivered_at: Micros,
    /// When the segment was sent whose acknowledgement was the last one.
    from: Micros,
    /// There was too little to send to tell how fast it could have gone.
    was_idle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    Steady,
}

#[derive(Debug)]
pub(crate) struct Pace {
    state: State,
    /// Segments per second: the largest sample of each of the last rounds.
    rates: [u64; ROUNDS],
    round: usize,
    /// The round ends when this much has been acknowledged at the sending of what is acknowledged.
    round_end: u64,
    delivered: u64,
    delivered_at: Micros,
    from: Micros,
    /// Until so much is acknowledged, samples tell nothing from above.
    idle_until: u64,
    shortest: Option<Micros>,
    shortest_at: Micros,
    /// The rate at which startup last saw growth, and the rounds without since.
    full: u64,
    flat_rounds: u8,
    /// Segments that were lost since the round began, and what had been acknowledged then.
    lost: u64,
    round_from: u64,
    /// Round trips in a row that show a queue.
    long_trips: u32,
    cycle: usize,
    cycle_at: Micros,
    /// The rate before the fast step.
    before_probe: u64,
    /// When the next segment leaves where none leaves earlier than at the rate, in nanoseconds.
    next: u64,
    /// The newest of those that were acknowledged together.
    newest: Option<Mark>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            state: State::Startup,
            rates: [0; ROUNDS],
            round: 0,
            round_end: 0,
            delivered: 0,
            delivered_at: 0,
            from: 0,
            idle_until: 0,
            shortest: None,
            shortest_at: 0,
            full: 0,
            flat_rounds: 0,
            lost: 0,
            round_from: 0,
            long_trips: 0,
            cycle: 0,
            cycle_at: 0,
            before_probe: 0,
            next: 0,
            newest: None,
        }
    }
}

impl Pace {
    /// A segment leaves while `outstanding` others are on their way.
    pub(crate) fn sent(&mut self, now: Micros, outstanding: usize, smoothed: Option<Micros>) -> Mark {
        if outstanding == 0 {
            self.from = now;
            self.delivered_at = now;
        }
        let rate = self.rate(smoothed);
        if let Some(gap) = 1_000_000_000_u64.checked_div(rate) {
            self.next = self.next.max(now * 1000) + gap;
        }
        Mark {
            sent_at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            from: self.from,
            was_idle: self.delivered < self.idle_until,
        }
    }

    /// When the next segment may leave.
    pub(crate) const fn next(&self) -> Micros {
        (self.next / 1000).saturating_sub(BURST)
    }

    /// Everything was sent, and more could have been.
    pub(crate) fn idle(&mut self, outstanding: usize) {
        self.idle_until = self.delivered + (outstanding as u64).max(1);
    }

    /// A segment was acknowledged for the first time. `tells` is false if it may have been sent before it was marked.
    pub(crate) fn acknowledged(&mut self, now: Micros, mark: Mark, tells: bool) {
        self.delivered += 1;
        self.delivered_at = now;
        if tells && self.newest.is_none_or(|newest| mark.delivered >= newest.delivered) {
            self.newest = Some(mark);
        }
    }

    /// A segment was lost, as its successors show. In startup, many are a sign of a queue that overflows, earlier than a
    /// rate that no longer grows.
    pub(crate) fn lost(&mut self) {
        self.lost += 1;
        let carried = self.delivered - self.round_from;
        if self.state == State::Startup && self.lost >= OVERFLOW && self.lost * 8 > carried {
            self.state = State::Drain;
        }
    }

    pub(crate) fn round_trip(&mut self, now: Micros, rtt: Micros) {
        let is_old = now.saturating_sub(self.shortest_at) > SHORTEST_FOR;
        if is_old || self.shortest.is_none_or(|shortest| rtt <= shortest) {
            self.shortest = Some(rtt.max(1));
            self.shortest_at = now;
        }
        let shortest = self.shortest.unwrap_or(0);
        self.long_trips = if rtt > shortest * 5 / 4 + QUEUED { self.long_trips + 1 } else { 0 };
        if self.state == State::Startup && self.long_trips >= LONG_TRIPS {
            self.state = State::Drain;
        }
    }

    /// All acknowledgements of a datagram were counted.
    pub(crate) fn update(&mut self, now: Micros, outstanding: usize) {
        let Some(mark) = self.newest.take() else { return };
        self.from = mark.sent_at;
        let began_round = mark.delivered >= self.round_end;
        if began_round {
            self.round_end = self.delivered;
            self.lost = 0;
            self.round_from = self.delivered;
        }
        let interval = (mark.sent_at - mark.from).max(now.saturating_sub(mark.delivered_at));
        let count = self.delivered - mark.delivered;
        if let Some(rate) = (count * 1_000_000).checked_div(interval)
            && self.shortest.is_none_or(|shortest| interval >= shortest)
        {
            let best = self.best();
            if !mark.was_idle || rate >= best {
                if began_round {
                    self.round = (self.round + 1) % ROUNDS;
                    if let Some(slot) = self.rates.get_mut(self.round) {
                        *slot = 0;
                    }
                }
                if let Some(slot) = self.rates.get_mut(self.round) {
                    *slot = rate.max(*slot);
                }
            }
        }
        self.advance(now, outstanding, began_round && !mark.was_idle);
    }

    fn advance(&mut self, now: Micros, outstanding: usize, round_counts: bool) {
        match self.state {
            State::Startup if round_counts => {
                let best = self.best();
                if best * 4 >= self.full * 5 {
                    self.full = best;
                    self.flat_rounds = 0;
                } else {
                    self.flat_rounds += 1;
                    if self.flat_rounds >= 3 {
                        self.state = State::Drain;
                    }
                }
            }
            State::Startup => {}
            State::Drain => {
                if (outstanding as u64) <= self.product().max(LEAST_WINDOW / 2) {
                    self.state = State::Steady;
                    self.cycle = CYCLE.len() - 1;
                    self.cycle_at = now;
                }
            }
            State::Steady => {
                if now.saturating_sub(self.cycle_at) >= self.shortest.unwrap_or(0).max(1_000) {
                    self.next_step(now);
                }
            }
        }
    }

    /// The next step of the steady cycle. Where the fast one found that the path carries more, that is looked for as in
    /// the beginning: startup may have ended too early, or the path has become faster.
    fn next_step(&mut self, now: Micros) {
        self.cycle = (self.cycle + 1) % CYCLE.len();
        self.cycle_at = now;
        let best = self.best();
        match self.cycle {
            0 => self.before_probe = best,
            // What was sent in the fast step has been acknowledged in the slow one.
            2 if best * 100 >= self.before_probe * FOUND_MORE => {
                self.state = State::Startup;
                self.full = best;
                (self.flat_rounds, self.long_trips, self.lost) = (0, 0, 0);
            }
            _ => {}
        }
    }

    fn best(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }

    /// Segments that fill the path and no queue on it.
    fn product(&self) -> u64 {
        self.best() * self.shortest.unwrap_or(0) / 1_000_000
    }

    /// Segments that may be on their way.
    pub(crate) fn window(&self) -> usize {
        let best = self.best();
        if best == 0 {
            return FIRST_WINDOW;
        }
        let gain = if self.state == State::Startup { 2 * 100 } else { WINDOW };
        let window = self.product() * gain / 100 + best * ACK_DELAY / 1_000_000;
        usize::try_from(window.max(LEAST_WINDOW)).unwrap_or(usize::MAX)
    }

    /// Segments per second.
    fn rate(&self, smoothed: Option<Micros>) -> u64 {
        let best = self.best();
        let spread = smoothed.unwrap_or(0).max(LEAST_SPREAD);
        if best == 0 {
            return FIRST_WINDOW as u64 * 1_000_000 / spread;
        }
        let gain = match self.state {
            State::Startup => STARTUP,
            State::Drain => DRAIN,
            State::Steady => CYCLE.get(self.cycle).copied().unwrap_or(100),
        };
        let least = LEAST_WINDOW * 1_000_000 / spread;
        (best * gain / 100).max(least)
    }
}
