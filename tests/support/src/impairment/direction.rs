//! What becomes of each datagram of one direction, and when. No clock and no socket.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::bottleneck::Bottleneck;
use super::{Conditions, Counts};

/// One direction with what is on its way in it.
#[derive(Debug)]
pub(super) struct Direction<T> {
    conditions: Conditions,
    random: SmallRng,
    bottleneck: Bottleneck,
    /// What has not left the bottleneck yet: when it will have, and its bytes.
    queue: VecDeque<(Instant, usize)>,
    queued: usize,
    on_its_way: BinaryHeap<Reverse<Due<T>>>,
    held: usize,
    number: u64,
    hole: bool,
    counts: Counts,
}

#[derive(Debug)]
struct Due<T> {
    arrives: Instant,
    /// Of two that arrive at once the one that was sent first goes first.
    number: u64,
    bytes: usize,
    item: T,
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.arrives, self.number).cmp(&(other.arrives, other.number))
    }
}

impl<T: Clone> Direction<T> {
    pub(super) fn new(conditions: Conditions, now: Instant) -> Self {
        Self {
            random: SmallRng::seed_from_u64(conditions.seed),
            bottleneck: Bottleneck::new(&conditions, now),
            conditions,
            queue: VecDeque::new(),
            queued: 0,
            on_its_way: BinaryHeap::new(),
            held: 0,
            number: 0,
            hole: false,
            counts: Counts::default(),
        }
    }

    /// Opens or closes the black hole.
    pub(super) fn black_hole(&mut self, open: bool) {
        self.hole = open;
    }

    /// Takes a datagram that has come `now`.
    pub(super) fn take(&mut self, now: Instant, bytes: usize, item: T) {
        self.counts.taken += 1;
        // All of them every time, so that the fate of one does not change that of the next.
        let [lost, twice, late] = std::array::from_fn(|_| self.random.random::<f64>());
        if self.hole {
            self.counts.swallowed += 1;
            return;
        }
        if lost < self.conditions.loss {
            self.counts.lost += 1;
            return;
        }
        while let Some(&(left, of_it)) = self.queue.front()
            && left <= now
        {
            self.queued -= of_it;
            self.queue.pop_front();
        }
        if self.queued + bytes > self.conditions.queue || self.held + bytes > self.conditions.capacity() {
            self.counts.overflowed += 1;
            return;
        }
        let passage = self.bottleneck.pass(now, bytes);
        if passage.left > now {
            self.queue.push_back((passage.left, bytes));
            self.queued += bytes;
        }
        let mut arrives = passage.arrives;
        if late < self.conditions.reordering {
            self.counts.reordered += 1;
            arrives += self.conditions.held_back;
        }
        if twice < self.conditions.duplication {
            self.counts.duplicated += 1;
            self.send(arrives, bytes, item.clone());
        }
        self.send(arrives, bytes, item);
    }

    fn send(&mut self, arrives: Instant, bytes: usize, item: T) {
        self.held += bytes;
        self.on_its_way.push(Reverse(Due { arrives, number: self.number, bytes, item }));
        self.number += 1;
    }

    /// When the next one arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.on_its_way.peek().map(|Reverse(due)| due.arrives)
    }

    /// The next one that has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<T> {
        while self.next().is_some_and(|arrives| arrives <= now) {
            let Reverse(due) = self.on_its_way.pop()?;
            self.held -= due.bytes;
            if self.hole {
                self.counts.swallowed += 1;
                continue;
            }
            self.counts.passed += 1;
            self.counts.bytes += due.bytes as u64;
            return Some(due.item);
        }
        None
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends `count` datagrams of 1,000 bytes, a millisecond apart, and gives the order in which they arrive.
    fn run(conditions: Conditions, count: u64) -> (Vec<u64>, Counts) {
        let start = Instant::now();
        let mut direction = Direction::new(conditions, start);
        let mut arrived = Vec::new();
        let mut now = start;
        for number in 0..count {
            now += MS;
            arrived.extend(std::iter::from_fn(|| direction.arrived(now)));
            direction.take(now, 1000, number);
        }
        while let Some(next) = direction.next() {
            arrived.extend(std::iter::from_fn(|| direction.arrived(next)));
        }
        assert_eq!((direction.held, direction.next()), (0, None));
        (arrived, direction.counts())
    }

    #[test]
    fn a_good_line_changes_nothing() {
        let (arrived, counts) = run(Conditions { delay: 7 * MS, ..Conditions::default() }, 100);
        assert_eq!(arrived, (0..100).collect::<Vec<_>>());
        assert_eq!(counts, Counts { taken: 100, passed: 100, bytes: 100_000, ..Counts::default() });
    }

    #[test]
    fn a_seed_decides() {
        let conditions =
            Conditions { loss: 0.1, duplication: 0.05, reordering: 0.05, ..Conditions::default() };
        let (arrived, counts) = run(conditions, 10_000);
        assert_eq!((arrived.clone(), counts), run(conditions, 10_000), "the same seed, the same fates");
        let (other, _) = run(conditions.back(), 10_000);
        assert_ne!(arrived, other, "another seed, other fates");
        let near = |count: u64, wanted: u64| count.abs_diff(wanted) < wanted / 5;
        assert!(near(counts.lost, 1000) && near(counts.duplicated, 450) && near(counts.reordered, 450));
        assert_eq!(counts.passed, 10_000 - counts.lost + counts.duplicated);
        assert_eq!(counts.passed, arrived.len() as u64);
    }

    #[test]
    fn the_fate_of_a_datagram_does_not_depend_on_the_time() {
        let conditions = Conditions { loss: 0.3, ..Conditions::default() };
        let slow = run(Conditions { delay: 50 * MS, ..conditions }, 500).0;
        assert_eq!(slow, run(conditions, 500).0);
    }

    #[test]
    fn who_is_held_back_is_overtaken() {
        let conditions = Conditions { reordering: 0.1, held_back: 3 * MS, ..Conditions::default() };
        let (arrived, counts) = run(conditions, 1000);
        let steps_back = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        assert!(counts.reordered > 50 && steps_back > counts.reordered / 2, "{steps_back} of {counts:?}");
        let mut sorted = arrived;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_drops_what_comes_last() {
        // 1,000 bytes take 2 ms, and come every millisecond.
        let rate = Some(4_000_000);
        let conditions = Conditions { rate, queue: 10_000, ..Conditions::default() };
        let (arrived, counts) = run(conditions, 1000);
        assert_eq!(arrived.len() as u64 + counts.overflowed, 1000);
        assert!((500..=515).contains(&arrived.len()), "half of them, and a queue: {}", arrived.len());
        assert_eq!(arrived[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "the queue has to fill first");
    }

    #[test]
    fn what_is_held_is_bounded_without_a_rate() {
        let start = Instant::now();
        let conditions = Conditions { delay: 1000 * MS, ..Conditions::default() };
        let mut direction = Direction::new(conditions, start);
        for number in 0..100_000 {
            direction.take(start, 1000, number);
        }
        assert!(direction.held <= conditions.capacity());
        assert!(direction.counts().overflowed > 0);
    }

    #[test]
    fn a_black_hole_swallows_what_is_on_its_way() {
        let start = Instant::now();
        let mut direction = Direction::new(Conditions { delay: 10 * MS, ..Conditions::default() }, start);
        direction.take(start, 1, 'a');
        direction.black_hole(true);
        direction.take(start + 5 * MS, 1, 'b');
        assert_eq!(direction.arrived(start + 20 * MS), None);
        direction.black_hole(false);
        direction.take(start + 30 * MS, 1, 'c');
        assert_eq!(direction.arrived(start + 40 * MS), Some('c'));
        assert_eq!(direction.counts().swallowed, 2);
    }
}
