//! Two conversations and a link between them that has a clock of its own.

mod bulk;
mod ends;
mod link;
mod peers;

use link::{Link, Path};

use super::*;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// Both ends, of which the second is that of a listener, and what they have read.
struct Pair {
    now: Micros,
    ends: [Conversation; 2],
    paths: [Path; 2],
    read: [Vec<u8>; 2],
    /// Which end is read at once.
    reads: [bool; 2],
    /// What is still to be written.
    unwritten: [Vec<u8>; 2],
    written: [usize; 2],
    /// Every datagram that was sent, if that is wanted.
    sent: Option<Vec<(usize, Vec<u8>)>>,
    /// How often an end was asked what it wants to send.
    steps: usize,
}

impl Pair {
    fn new(config: Config, link: Link) -> Self {
        Self::starting_at(config.clone(), config, link, 0, 0)
    }

    fn of(one: Config, other: Config, link: Link) -> Self {
        Self::starting_at(one, other, link, 0, 0)
    }

    fn starting_at(one: Config, other: Config, link: Link, first: u64, ts_base: u32) -> Self {
        let end = |config, base| Conversation::starting_at(7, config, base, 0, first);
        Self {
            now: 0,
            ends: [end(one, ts_base).with_listener(), end(other, ts_base.wrapping_add(12345))],
            paths: [Path::new(link.clone(), 1), Path::new(link, 2)],
            read: [Vec::new(), Vec::new()],
            reads: [true; 2],
            unwritten: [Vec::new(), Vec::new()],
            written: [0; 2],
            sent: None,
            steps: 0,
        }
    }

    fn write(&mut self, end: usize, bytes: &[u8]) {
        self.unwritten[end].extend_from_slice(bytes);
    }

    /// Everything that is due at this moment.
    fn step(&mut self) {
        for end in 0..2 {
            let other = 1 - end;
            for datagram in self.paths[other].arrived(self.now) {
                self.ends[end].receive(self.now, &datagram);
            }
            self.read_available(end);
            let rest = &self.unwritten[end][self.written[end]..];
            if !rest.is_empty() && self.ends[end].is_writable() {
                self.written[end] += self.ends[end].write(rest);
            }
            while self.steps < 50_000_000 {
                self.steps += 1;
                let mut batch = Batch::default();
                self.ends[end].transmit(self.now, &mut batch);
                for datagram in batch.datagrams() {
                    assert!(datagram.len() <= HEADER_LEN + MTU);
                    if let Some(sent) = &mut self.sent {
                        sent.push((end, datagram.to_vec()));
                    }
                    self.paths[end].send(self.now, datagram);
                }
                let rest = &self.unwritten[end][self.written[end]..];
                let count = if rest.is_empty() { 0 } else { self.ends[end].write(rest) };
                self.written[end] += count;
                if count == 0 && self.ends[end].due(self.now).is_none_or(|at| at > self.now) {
                    break;
                }
            }
        }
    }

    fn read_available(&mut self, end: usize) {
        let mut buffer = [0; 4096];
        while self.reads[end] && self.ends[end].readable() == Readable::Bytes {
            let (count, _) = self.ends[end].read(self.now, &mut buffer);
            self.read[end].extend_from_slice(&buffer[..count]);
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Micros> {
        let due = self.ends.iter().filter_map(|end| end.due(self.now));
        due.chain(self.paths.iter().filter_map(Path::next)).min()
    }

    /// Runs until this holds; fails if nothing happens any more, or too late.
    fn run_until(&mut self, limit: Micros, done: impl Fn(&Self) -> bool) {
        loop {
            self.step();
            if done(self) {
                return;
            }
            let next = self.next().expect("something is still due");
            // As timers are in the programs.
            self.now = next.max(self.now + MILLISECOND / 4);
            assert!(self.now < limit, "not done after {} ms", self.now / 1000);
        }
    }

    /// Runs for so long.
    fn run_for(&mut self, duration: Micros) {
        let until = self.now + duration;
        loop {
            self.step();
            match self.next() {
                Some(next) if next < until => self.now = next.max(self.now + MILLISECOND / 4),
                _ => break,
            }
        }
        self.now = until;
        self.step();
    }
}

/// Bytes that show where they belong.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at ^ at >> 8 ^ at >> 16) & 0xff).unwrap()).collect()
}
