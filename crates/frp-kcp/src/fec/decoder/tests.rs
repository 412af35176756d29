use proptest::prelude::*;

use super::*;
use crate::batch::Batch;
use crate::fec::{Datagram, Encoder};

/// One datagram of an encoder, with its parity.
fn encode(encoder: &mut Encoder, now: u64, segments: &[u8]) -> Vec<Vec<u8>> {
    let mut batch = Batch::default();
    batch.bytes.extend_from_slice(&[0; 8]);
    batch.bytes.extend_from_slice(segments);
    encoder.finish(now, &mut batch, 0);
    batch.datagrams().map(<[u8]>::to_vec).collect()
}

/// So many datagrams of different lengths, each recognisable.
fn stream(count: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut encoder = Encoder::default();
    let segments: Vec<Vec<u8>> = (0..count)
        .map(|n| (0..24 + n * 37 % 900).map(|at| u8::try_from((at * 7 + n * 31) % 256).unwrap()).collect())
        .collect();
    let datagrams = segments.iter().flat_map(|segments| encode(&mut encoder, 0, segments)).collect();
    (segments, datagrams)
}

/// The segments that a decoder gets to know of these, openly or by recovery, in no order.
fn decode(decoder: &mut Decoder, datagrams: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut known = Vec::new();
    for datagram in datagrams {
        let (sequence, body, is_parity) = match Datagram::parse(&datagram).unwrap() {
            Datagram::Data { sequence, body } => (sequence, body, false),
            Datagram::Parity { sequence, body } => (sequence, body, true),
            Datagram::Plain(_) => panic!("no header"),
        };
        if !is_parity {
            known.push(body[2..].to_vec());
        }
        decoder.receive(sequence, body, is_parity, |body| {
            let size = usize::from(u16::from_le_bytes([body[0], body[1]]));
            known.push(body[2..size].to_vec());
        });
    }
    known
}

#[test]
fn any_ten_of_thirteen_are_enough() {
    let (segments, datagrams) = stream(10);
    for a in 0..13 {
        for b in 0..a {
            for c in 0..b {
                let kept = (0..13).filter(|at| ![a, b, c].contains(at)).map(|at| datagrams[at].clone());
                let mut known = decode(&mut Decoder::default(), kept);
                known.sort();
                let mut expected = segments.clone();
                expected.sort();
                assert_eq!(known, expected, "{a} {b} {c}");
            }
        }
    }
}

#[test]
fn nine_are_not() {
    let (_, datagrams) = stream(10);
    assert_eq!(decode(&mut Decoder::default(), datagrams.into_iter().skip(4)).len(), 6);
}

/// kcp-go leaves out the parity of a slow group and goes on counting where the data ended.
#[test]
fn groups_may_begin_anywhere() {
    let (segments, datagrams) = stream(40);
    for slow in 0..4 {
        let mut shifted = Vec::new();
        for (at, datagram) in datagrams.iter().enumerate() {
            let (group, index) = (at / 13, at % 13);
            if group == slow && index >= 10 {
                continue;
            }
            let skipped = if group > slow { 3 } else { 0 };
            let mut datagram = datagram.clone();
            datagram[..4].copy_from_slice(&(u32::try_from(at).unwrap() - skipped).to_le_bytes());
            // One is lost of every group that has parity; not next to the border, which would hide it.
            if group == slow || index != 4 {
                shifted.push(datagram);
            }
        }
        let mut known = decode(&mut Decoder::default(), shifted);
        known.sort();
        let mut expected = segments.clone();
        expected.sort();
        assert_eq!(known, expected, "{slow}");
    }
}

#[test]
fn the_memory_is_bounded() {
    let mut decoder = Decoder::default();
    for sequence in 0..10_000_u32 {
        let is_parity = sequence % 3 == 0;
        decoder.receive(sequence.wrapping_mul(0x9e37_79b9), &[1; LONGEST], is_parity, |_| {});
        assert!(decoder.items.len() <= KEPT && decoder.free.len() <= KEPT);
        assert_eq!(decoder.parities, decoder.items.iter().filter(|item| item.is_parity).count());
    }
    decoder.receive(1, &[1; LONGEST + 1], false, |_| panic!("too long"));
}

proptest! {
    #[test]
    fn what_is_recovered_was_sent(
        keep in prop::collection::vec(prop::bool::weighted(0.85), 130),
        swaps in prop::collection::vec((0_usize..130, 0_usize..6), 0..40),
    ) {
        let (segments, datagrams) = stream(100);
        let mut order: Vec<usize> = (0..130).collect();
        for (at, distance) in swaps {
            let other = (at + distance).min(129);
            order.swap(at, other);
        }
        let came = order.into_iter().filter(|&at| keep[at]).map(|at| datagrams[at].clone());
        for known in decode(&mut Decoder::default(), came) {
            prop_assert!(segments.contains(&known));
        }
    }
}
