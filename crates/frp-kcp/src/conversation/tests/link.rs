//! A path for datagrams: it takes time, has a rate and a queue, loses, doubles and reorders, the same way each time.

use std::collections::BTreeMap;

use crate::Micros;

/// What a path does to datagrams.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) delay: Micros,
    /// Added to the delay of some, at random up to this.
    pub(super) jitter: Micros,
    /// In ten thousandths.
    pub(super) loss: u64,
    pub(super) duplicates: u64,
    /// Bytes per second.
    pub(super) rate: Option<u64>,
    /// Bytes that wait where the rate is limited.
    pub(super) queue: u64,
    pub(super) seed: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: 1000, jitter: 0, loss: 0, duplicates: 0, rate: None, queue: u64::MAX, seed: 1 }
    }
}

/// One direction.
pub(super) struct Path {
    link: Link,
    random: u64,
    free_at: Micros,
    arriving: BTreeMap<(Micros, u64), Vec<u8>>,
    count: u64,
    /// Nothing passes.
    pub(super) is_cut: bool,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

impl Path {
    pub(super) fn new(link: Link, salt: u64) -> Self {
        let random = (link.seed ^ salt << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let arriving = BTreeMap::new();
        Self { link, random, free_at: 0, arriving, count: 0, is_cut: false, bytes: 0, dropped: 0 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % below
    }

    pub(super) fn send(&mut self, now: Micros, datagram: &[u8]) {
        let length = datagram.len() as u64 + 28;
        self.bytes += length;
        let mut at = now;
        if let Some(rate) = self.link.rate {
            let waiting = self.free_at.saturating_sub(now) * rate / 1_000_000;
            if waiting + length > self.link.queue {
                self.dropped += 1;
                return;
            }
            self.free_at = self.free_at.max(now) + length * 1_000_000 / rate;
            at = self.free_at;
        }
        if self.is_cut || self.random(10_000) < self.link.loss {
            return;
        }
        let copies = if self.random(10_000) < self.link.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = match self.link.jitter {
                0 => 0,
                jitter => self.random(jitter),
            };
            self.count += 1;
            self.arriving.insert((at + self.link.delay + jitter, self.count), datagram.to_vec());
        }
    }

    pub(super) fn arrived(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let later = self.arriving.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.arriving, later).into_values().collect()
    }

    pub(super) fn next(&self) -> Option<Micros> {
        self.arriving.first_key_value().map(|((at, _), _)| *at)
    }
}
