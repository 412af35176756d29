//! Numbers datagrams, and makes parity after every tenth.

use super::{DATA, GROUP, PARITY_NUMBERS, SEQUENCE_AND_TYPE, TYPE_DATA, TYPE_PARITY, field};
use crate::Micros;
use crate::batch::Batch;

/// Parity is made only if the last datagram of a group follows the one before it within this time: what is older has
/// been sent again by then, if it was lost. kcp-go `maxFECEncodeLatency`.
const LATENCY: Micros = 500_000;
/// Where the numbers begin again: the largest multiple of a group. kcp-go `paws`.
const END: u32 = u32::MAX / GROUP * GROUP;

/// The sending half.
#[derive(Debug, Default)]
pub struct Encoder {
    /// The number of the next datagram.
    next: u32,
    /// The bodies of the group's datagrams so far, one after the other, and where each ends.
    bodies: Vec<u8>,
    ends: [usize; DATA],
    count: usize,
    longest: usize,
    last: Micros,
}

impl Encoder {
    /// Makes the last bytes of `batch`, from `start` on, a datagram: eight bytes that were left free, and segments.
    /// Then adds the parity, if the group is complete.
    pub(crate) fn finish(&mut self, now: Micros, batch: &mut Batch, start: usize) {
        let Some(datagram) = batch.bytes.get_mut(start..) else { return };
        let length = datagram.len();
        let size = u16::try_from(length.saturating_sub(SEQUENCE_AND_TYPE)).unwrap_or(u16::MAX);
        head(datagram, self.next, TYPE_DATA);
        if let Some(field) = datagram.get_mut(SEQUENCE_AND_TYPE..SEQUENCE_AND_TYPE + 2) {
            field.copy_from_slice(&size.to_le_bytes());
        }
        let body = datagram.get(SEQUENCE_AND_TYPE..).unwrap_or_default();
        self.bodies.extend_from_slice(body);
        self.longest = self.longest.max(body.len());
        if let Some(end) = self.ends.get_mut(self.count) {
            *end = self.bodies.len();
        }
        batch.lengths.push(length);
        self.next += 1;
        self.count += 1;
        if self.count == DATA {
            if now.saturating_sub(self.last) < LATENCY {
                self.parity(batch);
            }
            // Left out or not, its numbers are used up: receivers may rely on where groups begin.
            self.next = (self.next + PARITY_NUMBERS) % END;
            self.bodies.clear();
            self.count = 0;
            self.longest = 0;
        }
        self.last = now;
    }

    fn parity(&self, batch: &mut Batch) {
        let bodies = self.ends.iter().scan(0, |begin, &end| {
            let body = self.bodies.get(*begin..end).unwrap_or_default();
            *begin = end;
            Some(body)
        });
        for (row, sequence) in field::ROWS.iter().zip(self.next..) {
            let start = batch.bytes.len();
            let length = SEQUENCE_AND_TYPE + self.longest;
            batch.bytes.resize(start + length, 0);
            let datagram = batch.bytes.get_mut(start..).unwrap_or_default();
            head(datagram, sequence, TYPE_PARITY);
            let body = datagram.get_mut(SEQUENCE_AND_TYPE..).unwrap_or_default();
            field::combine(body, &row.iter().copied().zip(bodies.clone()));
            batch.lengths.push(length);
        }
    }

    /// Gives back what a quiet conversation does not need; a group that has begun goes on.
    pub(crate) fn trim(&mut self) {
        self.bodies.shrink_to_fit();
    }
}

fn head(datagram: &mut [u8], sequence: u32, kind: u16) {
    let [s0, s1, s2, s3] = sequence.to_le_bytes();
    let [t0, t1] = kind.to_le_bytes();
    if let Some(head) = datagram.first_chunk_mut() {
        *head = [s0, s1, s2, s3, t0, t1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fec::Datagram;

    /// What a datagram with these segments becomes.
    fn encode(encoder: &mut Encoder, now: Micros, segments: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.bytes.extend_from_slice(&[0; 8]);
        batch.bytes.extend_from_slice(segments);
        encoder.finish(now, &mut batch, 0);
        batch
    }

    fn numbers(batch: &Batch) -> Vec<(u32, bool)> {
        let parsed = batch.datagrams().map(|datagram| Datagram::parse(datagram).unwrap());
        parsed
            .map(|datagram| match datagram {
                Datagram::Data { sequence, .. } => (sequence, true),
                Datagram::Parity { sequence, .. } => (sequence, false),
                Datagram::Plain(_) => panic!("no header"),
            })
            .collect()
    }

    #[test]
    fn parity_follows_the_tenth() {
        let mut encoder = Encoder::default();
        for count in 0..9 {
            assert_eq!(numbers(&encode(&mut encoder, 0, &[7; 30])), [(count, true)]);
        }
        let batch = encode(&mut encoder, 0, &[7; 40]);
        assert_eq!(numbers(&batch), [(9, true), (10, false), (11, false), (12, false)]);
        assert_eq!(batch.lengths(), [48; 4]);
        assert_eq!(numbers(&encode(&mut encoder, 0, &[7; 40])), [(13, true)]);
    }

    #[test]
    fn a_group_that_came_slowly_has_none_and_uses_its_numbers() {
        let mut encoder = Encoder::default();
        for _ in 0..9 {
            encode(&mut encoder, 0, &[7; 30]);
        }
        assert_eq!(numbers(&encode(&mut encoder, LATENCY, &[7; 30])), [(9, true)]);
        assert_eq!(numbers(&encode(&mut encoder, LATENCY, &[7; 30])), [(13, true)]);
    }

    #[test]
    fn numbers_begin_again_after_a_whole_group() {
        let mut encoder = Encoder { next: END - GROUP, ..Encoder::default() };
        for _ in 0..10 {
            encode(&mut encoder, 0, &[7; 30]);
        }
        assert_eq!(numbers(&encode(&mut encoder, 0, &[7; 30])), [(0, true)]);
    }
}
