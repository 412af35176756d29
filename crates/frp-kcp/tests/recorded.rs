//! A recorded connection of the original's programs, with datagrams lost: parity gives back what was lost, and both
//! conversations read what was written. See `tests/data/kcp/README.md`.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's")]

use std::collections::BTreeMap;
use std::path::Path;

use frp_kcp::config::Config;
use frp_kcp::conversation::{Conversation, Readable};
use frp_kcp::fec::{Datagram, Decoder};
use frp_kcp::segment::{Command, Segment};

struct Record {
    direction: usize,
    is_dropped: bool,
    at: u64,
    datagram: Vec<u8>,
}

fn records() -> Vec<Record> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/kcp/session.bin");
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut records = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<7>() {
        let [flags, t0, t1, t2, t3, l0, l1] = *head;
        let (datagram, after) = after.split_at(u16::from_le_bytes([l0, l1]).into());
        rest = after;
        records.push(Record {
            direction: usize::from(flags & 1),
            is_dropped: flags & 2 != 0,
            at: u64::from(u32::from_le_bytes([t0, t1, t2, t3])) * 1000,
            datagram: datagram.to_vec(),
        });
    }
    records
}

#[test]
fn parity_gives_back_every_datagram_that_was_lost() {
    let records = records();
    for direction in 0..2 {
        let of_direction = || records.iter().filter(|record| record.direction == direction);
        let mut decoder = Decoder::default();
        let mut recovered = Vec::new();
        for record in of_direction().filter(|record| !record.is_dropped) {
            let (sequence, body, is_parity) = match Datagram::parse(&record.datagram).unwrap() {
                Datagram::Data { sequence, body } => (sequence, body, false),
                Datagram::Parity { sequence, body } => (sequence, body, true),
                Datagram::Plain(_) => continue,
            };
            decoder.receive(sequence, body, is_parity, |body| {
                let size = usize::from(u16::from_le_bytes([body[0], body[1]]));
                recovered.push(body[..size].to_vec());
            });
        }
        let lost: Vec<&[u8]> = of_direction()
            .filter(|record| record.is_dropped)
            .filter_map(|record| match Datagram::parse(&record.datagram) {
                Some(Datagram::Data { body, .. }) => Some(body),
                _ => None,
            })
            .collect();
        assert_eq!(lost.len(), 6);
        assert_eq!(recovered, lost, "direction {direction}");
    }
}

/// What the segments of one direction say, whether they arrived or not.
fn written(records: &[Record], direction: usize) -> (u32, Vec<u8>) {
    let mut conv = 0;
    let mut pieces = BTreeMap::new();
    for record in records.iter().filter(|record| record.direction == direction) {
        let segments = Datagram::parse(&record.datagram).and_then(|datagram| datagram.segments());
        let mut rest = segments.unwrap_or_default();
        while let Some((segment, payload, after)) = Segment::decode(rest).unwrap() {
            rest = after;
            conv = segment.conv;
            if segment.command == Command::Push {
                assert_eq!(segment.fragment, 0);
                pieces.insert(segment.sn, payload.to_vec());
            }
        }
    }
    assert!(pieces.keys().copied().eq(0..u32::try_from(pieces.len()).unwrap()), "segments without gaps");
    (conv, pieces.into_values().flatten().collect())
}

#[test]
fn either_end_reads_what_the_other_wrote() {
    let records = records();
    for direction in 0..2 {
        let (conv, expected) = written(&records, direction);
        assert!(expected.len() > 31_457);
        let mut conversation = Conversation::new(conv, Config::multiplexed(), 0, 0);
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        for record in records.iter().filter(|record| record.direction == direction && !record.is_dropped) {
            conversation.receive(record.at, &record.datagram);
            while conversation.readable() == Readable::Bytes {
                let (count, _) = conversation.read(record.at, &mut buffer);
                read.extend_from_slice(&buffer[..count]);
            }
        }
        assert!(read == expected, "{} of {} bytes in direction {direction}", read.len(), expected.len());
    }
}
