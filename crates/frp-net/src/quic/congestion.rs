//! How much may be under way: CUBIC, that tells loss by chance from loss by congestion.
//!
//! CUBIC (RFC 9438) takes each loss for a full queue and gives up three tenths of its window. On a line that loses
//! one datagram in a hundred by itself, it is never allowed what the line can carry: 2 Mb/s of 200 at 100 ms. A queue
//! that is full, though, is seen twice: datagrams wait in it, and more than a few are lost. So here a loss counts as
//! congestion if the round trips of late were longer than they need to be, or if more than [`TOLERATED`] of what was sent
//! of late is gone. (BBR, version 3, draws the same line at 2 %.) What is left of CUBIC's growth keeps its pace beside
//! others.
//!
//! The beginning is that of RFC 9406 (HyStart++): once round trips grow, the window does so more slowly, and soon
//! CUBIC takes over, instead of losing half of what was sent when the queue runs over.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

/// The window of a new connection: 32 datagrams, as that of upstream's library.
const INITIAL_WINDOW: u64 = 32 * 1200;
/// What CUBIC keeps of its window (RFC 9438, section 4.6).
const BETA: f64 = 0.7;
/// What is kept at least of the window that the beginning has come to, and at most of any.
const BETA_OF_START: f64 = 0.5;
const BETA_MOST: f64 = 0.95;
/// Datagrams that the beginning adds in a round at most (as RFC 3742 has it). What is too much is noticed two rounds later, and a
/// receiver gives the connection up when more than a thousand pieces of a stream are missing at a time: quinn and
/// upstream's library both do.
const START_GROWTH: f64 = 600.0;
/// How fast it grows, in datagrams per cubic second (RFC 9438, section 5.1).
const C: f64 = 0.4;

/// The share of what was sent that may be lost by chance.
const TOLERATED: f64 = 0.025;
/// What is looked at for that, in datagrams.
const SAMPLE: u64 = 256;
/// A round trip is longer than it need be if it is so by this share of the shortest, and by that time.
const QUEUED_SHARE: u32 = 4;
const QUEUED_TIME: Duration = Duration::from_millis(2);

/// Of RFC 9406, section 4.3: bounds of the growth that is noticed, the share of growth from then on, and for how many
/// rounds.
const NOTICED: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(16));
const CONSERVATIVE_GROWTH: u64 = 4;
const CONSERVATIVE_ROUNDS: u32 = 5;
/// Round trips that a round needs to be believed.
const ROUND_SAMPLES: u32 = 8;

/// Makes one for each connection.
#[derive(Debug, Default)]
pub(super) struct Factory;

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, _: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Tolerant::new(current_mtu))
    }
}

/// See the module.
#[derive(Debug, Clone)]
struct Tolerant {
    /// Bytes that may be under way.
    window: u64,
    mtu: u64,
    phase: Phase,
    /// Datagrams sent before that have had their share in a reduction.
    reduced: Option<Instant>,
    round: Round,
    /// The shortest round trip there ever was.
    shortest: Option<Duration>,
    /// The shortest round trip of the round before.
    last_round: Option<Duration>,
    /// Bytes per second that arrived in the last rounds.
    rates: [f64; 2],
    /// Bytes that arrived and that were lost, of late.
    arrived: u64,
    lost: u64,
}

#[derive(Debug, Clone)]
enum Phase {
    /// The window doubles with each round.
    Start,
    /// Round trips have grown beyond this one.
    Conservative { baseline: Duration, rounds: u32 },
    /// CUBIC.
    Steady(Epoch),
}

/// What CUBIC's growth since the last reduction follows from. In datagrams and seconds.
#[derive(Debug, Clone)]
struct Epoch {
    began: Instant,
    /// The window before the reduction.
    largest: f64,
    /// When it is reached again.
    k: f64,
    /// The window that Reno would have.
    reno: f64,
    /// Bytes that the window has earned and not yet got.
    earned: f64,
}

/// What was sent between its begin and its end, about one round trip.
#[derive(Debug, Clone, Default)]
struct Round {
    /// What is sent later belongs to the next.
    until: Option<Instant>,
    /// Bytes that arrived in it.
    arrived: u64,
    shortest: Option<Duration>,
    samples: u32,
}

impl Tolerant {
    fn new(mtu: u16) -> Self {
        Self {
            window: INITIAL_WINDOW,
            mtu: mtu.into(),
            phase: Phase::Start,
            reduced: None,
            round: Round::default(),
            shortest: None,
            last_round: None,
            rates: [0.0; 2],
            arrived: 0,
            lost: 0,
        }
    }

    fn smallest_window(&self) -> u64 {
        2 * self.mtu
    }

    /// Notes a round trip, and what a whole round of them says.
    fn measure(&mut self, now: Instant, sent: Instant, shortest_ever: Duration) {
        if self.round.until.is_some_and(|until| sent >= until) {
            self.round_ended(now);
            self.round = Round { until: Some(now), ..Round::default() };
        }
        self.round.until.get_or_insert(now);
        let sample = now.saturating_duration_since(sent).max(shortest_ever);
        self.round.shortest = Some(self.round.shortest.map_or(sample, |shortest| shortest.min(sample)));
        self.round.samples += 1;
        let Some(shortest) = self.round.shortest.filter(|_| self.round.samples >= ROUND_SAMPLES) else {
            return;
        };
        match (&self.phase, self.last_round) {
            (Phase::Start, Some(last)) => {
                let noticed = (last / 8).clamp(NOTICED.0, NOTICED.1);
                if shortest >= last + noticed {
                    self.phase = Phase::Conservative { baseline: shortest, rounds: 0 };
                }
            }
            // It was not the queue.
            (Phase::Conservative { baseline, .. }, _) if shortest < *baseline => self.phase = Phase::Start,
            _ => {}
        }
    }

    fn round_ended(&mut self, now: Instant) {
        let length = self.round.until.map_or(0.0, |began| now.saturating_duration_since(began).as_secs_f64());
        if length > 0.0 {
            self.rates = [self.rates[1], self.round.arrived as f64 / length];
        }
        self.last_round = self.round.shortest.or(self.last_round);
        let limit = SAMPLE * self.mtu;
        if self.arrived + self.lost > 2 * limit {
            self.arrived /= 2;
            self.lost /= 2;
        }
        if let Phase::Conservative { rounds, .. } = &mut self.phase {
            *rounds += 1;
            if *rounds >= CONSERVATIVE_ROUNDS {
                self.phase = Phase::Steady(Epoch::at(now, self.in_datagrams()));
            }
        }
    }

    /// Bytes that were sent then have arrived.
    fn acked(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        [usual, shortest]: [Duration; 2],
    ) {
        self.arrived += bytes;
        self.shortest = Some(shortest);
        self.measure(now, sent, shortest);
        self.round.arrived += bytes;
        if app_limited || self.reduced.is_some_and(|reduced| sent <= reduced) {
            return;
        }
        let window = self.in_datagrams();
        let mtu = self.mtu as f64;
        match &mut self.phase {
            Phase::Start => self.window += bytes.min(whole(bytes as f64 * START_GROWTH / window)),
            Phase::Conservative { .. } => {
                let share = bytes / CONSERVATIVE_GROWTH;
                self.window += share.min(whole(bytes as f64 * START_GROWTH / 2.0 / window));
            }
            Phase::Steady(epoch) => {
                let acked = bytes as f64 / mtu;
                let since = now.saturating_duration_since(epoch.began) + usual;
                let cubic = C * (since.as_secs_f64() - epoch.k).powi(3) + epoch.largest;
                // Reno's share (RFC 9438, section 4.3), in full once the old window is reached.
                let alpha = if epoch.reno < epoch.largest { 3.0 * (1.0 - BETA) / (1.0 + BETA) } else { 1.0 };
                epoch.reno += alpha * acked / window;
                // Half of the window more in a round, at most.
                let target = cubic.max(epoch.reno).clamp(window, window * 1.5);
                epoch.earned += (target - window) / window * acked * mtu;
                let got = epoch.earned.floor();
                epoch.earned -= got;
                self.window += whole(got);
            }
        }
    }

    fn in_datagrams(&self) -> f64 {
        self.window as f64 / self.mtu as f64
    }

    /// Whether the datagrams that are lost were lost to a full queue.
    fn is_congestion(&self, shortest_ever: Option<Duration>) -> bool {
        let seen = (self.arrived + self.lost).max(SAMPLE * self.mtu);
        if self.lost as f64 > seen as f64 * TOLERATED {
            return true;
        }
        let of_late = [self.round.shortest, self.last_round].into_iter().flatten().min();
        match (of_late, shortest_ever) {
            (Some(of_late), Some(shortest)) => {
                of_late > shortest + (shortest / QUEUED_SHARE).max(QUEUED_TIME)
            }
            _ => true,
        }
    }

    fn reduce(&mut self, now: Instant) {
        let before = self.in_datagrams();
        let largest = match &self.phase {
            // Others came: leave them room (RFC 9438, section 4.7).
            Phase::Steady(epoch) if before < epoch.largest => before * (1.0 + BETA) / 2.0,
            _ => before,
        };
        // What the line carries without a queue, as far as that is known (as TCP Westwood has it): no need to leave it idle.
        let rate = self.rates.into_iter().fold(0.0, f64::max);
        let carried = rate * self.shortest.unwrap_or_default().as_secs_f64() / self.window as f64;
        let least = match self.phase {
            Phase::Steady(_) => BETA,
            // It may have doubled since.
            _ if carried > 0.0 => BETA_OF_START,
            _ => BETA,
        };
        self.reduced = Some(now);
        self.window = whole(self.window as f64 * carried.clamp(least, BETA_MOST)).max(self.smallest_window());
        self.phase = Phase::Steady(Epoch::after(now, largest, self.in_datagrams()));
        // A new count for a new window.
        self.arrived = 0;
        self.lost = 0;
    }
}

impl Epoch {
    /// Growth from here, without a reduction.
    fn at(now: Instant, window: f64) -> Self {
        Self { began: now, largest: window, k: 0.0, reno: window, earned: 0.0 }
    }

    /// Growth after a reduction from `largest` to `window`.
    fn after(now: Instant, largest: f64, window: f64) -> Self {
        let k = ((largest - window).max(0.0) / C).cbrt();
        Self { began: now, largest, k, reno: window, earned: 0.0 }
    }
}

/// Whole bytes of a number that is not negative.
#[expect(clippy::cast_possible_truncation, reason = "a window is far below what a float counts exactly")]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}

impl Controller for Tolerant {
    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.acked(now, sent, bytes, app_limited, [rtt.get(), rtt.min()]);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.lost += lost_bytes;
        if is_persistent_congestion {
            self.window = self.smallest_window();
            self.phase = Phase::Start;
            self.reduced = Some(now);
            self.arrived = 0;
            self.lost = 0;
            return;
        }
        if self.reduced.is_some_and(|reduced| sent <= reduced) {
            return;
        }
        // Without lost bytes it was a mark, which no accident makes.
        if lost_bytes == 0 || self.is_congestion(self.shortest) {
            self.reduce(now);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        let scale = self.mtu as f64 / f64::from(new_mtu);
        self.mtu = new_mtu.into();
        self.window = self.window.max(self.smallest_window());
        if let Phase::Steady(epoch) = &mut self.phase {
            epoch.largest *= scale;
            epoch.reno *= scale;
            epoch.k *= scale.cbrt();
        }
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A line with a bottleneck, a queue before it, and loss by chance; a sender that always has something.
    struct Line {
        /// Bytes per second.
        rate: f64,
        round_trip: Duration,
        /// Bytes.
        queue: f64,
        /// One datagram in so many is lost.
        loss: Option<u64>,
    }

    /// What came of it: the share of the rate that was used in the second half, and the share that was lost in it.
    fn used(line: &Line, length: Duration) -> (f64, f64) {
        const SIZE: u64 = 1452;
        let mut controller = Tolerant::new(1452);
        let start = tokio::time::Instant::now().into_std();
        let (mut now, mut free, mut number) = (start, start, 0_u64);
        // When the next one may be sent: quinn spreads a window over four fifths of a round trip.
        let mut paced = start;
        // When each is acknowledged, or noticed to be lost, and when it was sent.
        let mut under_way: VecDeque<(Instant, Instant, bool)> = VecDeque::new();
        let mut usual = line.round_trip;
        let (mut arrived, mut lost) = (0_u64, 0_u64);
        while now < start + length {
            let first = under_way.front().map(|(then, ..)| *then);
            let may_send = (under_way.len() as u64 + 1) * SIZE < controller.window();
            if may_send && first.is_none_or(|first| paced <= first) {
                now = now.max(paced);
                paced = now + usual.mul_f64(0.8 * SIZE as f64 / controller.window() as f64);
                number += 1;
                free = free.max(now);
                let waiting = (free - now).as_secs_f64() * line.rate;
                // Numbers that follow no pattern of the window's.
                let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                let by_chance = line.loss.is_some_and(|loss| chance < (1 << 32) / loss);
                let is_lost = by_chance || waiting > line.queue;
                if waiting <= line.queue {
                    free += Duration::from_secs_f64(SIZE as f64 / line.rate);
                }
                under_way.push_back((free + line.round_trip, now, is_lost));
                continue;
            }
            let Some((then, sent, is_lost)) = under_way.pop_front() else { break };
            now = now.max(then);
            let counts = now > start + length / 2;
            if is_lost {
                lost += u64::from(counts);
                controller.on_congestion_event(now, sent, false, SIZE);
            } else {
                arrived += u64::from(counts);
                usual = (usual * 7 + (now - sent)) / 8;
                controller.acked(now, sent, SIZE, false, [usual, line.round_trip]);
            }
        }
        let share = (arrived * SIZE) as f64 / (line.rate * (length / 2).as_secs_f64());
        (share, lost as f64 / (arrived + lost) as f64)
    }

    #[test]
    fn a_line_is_used_whatever_its_delay_and_its_own_loss() {
        for (milliseconds, least) in [(20, 0.85), (100, 0.8), (300, 0.7)] {
            for loss in [None, Some(100)] {
                let round_trip = Duration::from_millis(milliseconds);
                let line = Line { rate: 25e6, round_trip, queue: 1e6, loss };
                let (share, lost) = used(&line, Duration::from_secs(20));
                assert!(share > least, "{share} of {milliseconds} ms, {loss:?}");
                assert!(lost < 0.03, "{lost} of {milliseconds} ms, {loss:?}");
            }
        }
    }

    #[test]
    fn a_line_that_loses_much_is_left_to_others() {
        let line = Line { rate: 25e6, round_trip: Duration::from_millis(20), queue: 1e6, loss: Some(12) };
        let (share, _) = used(&line, Duration::from_secs(30));
        assert!(share < 0.2, "{share}");
    }

    #[test]
    fn a_short_queue_is_not_kept_full() {
        let line = Line { rate: 25e6, round_trip: Duration::from_millis(100), queue: 1e5, loss: None };
        let (share, lost) = used(&line, Duration::from_secs(30));
        assert!(share > 0.8 && lost < 0.02, "{share}, {lost}");
    }

    #[test]
    fn a_time_of_silence_begins_anew() {
        let mut controller = Tolerant::new(1200);
        let now = tokio::time::Instant::now().into_std();
        controller.on_congestion_event(now, now, true, 1200);
        assert_eq!(controller.window(), 2400);
        controller.acked(now, now + Duration::from_millis(1), 1200, false, [Duration::from_millis(1); 2]);
        assert_eq!(controller.window(), 3600);
    }
}
