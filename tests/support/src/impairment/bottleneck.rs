//! When a byte is through.

use std::time::Duration;

use tokio::time::Instant;

use super::{Conditions, Stall};

/// The narrow place of one direction. Whatever comes passes in its order.
#[derive(Debug)]
pub(super) struct Bottleneck {
    rate: Option<u64>,
    delay: Duration,
    stall: Option<Stall>,
    born: Instant,
    /// When the last byte that came has left.
    free: Instant,
}

/// When something has left the narrow place, and when it is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) left: Instant,
    pub(super) arrives: Instant,
}

impl Bottleneck {
    pub(super) fn new(conditions: &Conditions, now: Instant) -> Self {
        let Conditions { rate, delay, stall, .. } = *conditions;
        Self { rate, delay, stall, born: now, free: now }
    }

    /// Lets so many bytes through that have come `now`.
    pub(super) fn pass(&mut self, now: Instant, bytes: usize) -> Passage {
        let takes = self.rate.map_or(0, |rate| bytes as u64 * 8 * 1_000_000_000 / rate.max(1));
        let left = self.moving(self.free.max(now), Duration::from_nanos(takes));
        self.free = left;
        Passage { left, arrives: left + self.delay }
    }

    /// When something that starts `from` has moved for that long, which it does not in a stall.
    fn moving(&self, from: Instant, takes: Duration) -> Instant {
        let Some(Stall { every, length }) = self.stall else { return from + takes };
        let moves = every.saturating_sub(length).as_nanos().max(1);
        let every = every.as_nanos().max(1);
        let since = (from - self.born).as_nanos();
        let moved = since / every * moves + (since % every).min(moves) + takes.as_nanos();
        let at = moved / moves * every + moved % moves;
        self.born + Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn bottleneck(conditions: Conditions) -> (Bottleneck, Instant) {
        let now = Instant::now();
        (Bottleneck::new(&conditions, now), now)
    }

    #[test]
    fn bytes_leave_at_the_rate_and_arrive_after_the_delay() {
        // A byte takes a microsecond.
        let (mut place, now) =
            bottleneck(Conditions { rate: Some(8_000_000), delay: 10 * MS, ..Conditions::default() });
        assert_eq!(place.pass(now, 1000), Passage { left: now + MS, arrives: now + 11 * MS });
        assert_eq!(place.pass(now, 2000).left, now + 3 * MS, "behind the first");
        assert_eq!(place.pass(now + 5 * MS, 1000).left, now + 6 * MS, "after a pause");
    }

    #[test]
    fn nothing_leaves_in_a_stall() {
        let stall = Stall { every: 100 * MS, length: 20 * MS };
        let (mut place, now) = bottleneck(Conditions { stall: Some(stall), ..Conditions::default() });
        for (at, left) in [(79, 79), (80, 100), (99, 100), (100, 100), (185, 200)] {
            assert_eq!(place.pass(now + at * MS, 1).left, now + left * MS, "at {at} ms");
        }
        // A byte takes a millisecond: half of these come before the first stall, and none jumps over one.
        let conditions = Conditions { rate: Some(8000), stall: Some(stall), ..Conditions::default() };
        let (mut place, now) = bottleneck(conditions);
        assert_eq!(place.pass(now + 40 * MS, 79).left, now + 139 * MS);
        assert_eq!(place.pass(now + 41 * MS, 200).left, now + (139 + 200 + 2 * 20) * MS);
    }
}
