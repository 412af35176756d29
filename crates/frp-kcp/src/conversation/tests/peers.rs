//! Peers that are not ours, or not there.

use super::*;

fn push(conv: u32, sn: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let segment = Segment { conv, command: Command::Push, fragment: 0, window: 128, ts: 9, sn, una: 0 };
    segment.encode(data.len(), &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

fn reply(command: Command, sn: u32, ts: u32, una: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Segment { conv: 1, command, fragment: 0, window: 128, ts, sn, una }.encode(0, &mut bytes);
    bytes
}

fn transmitted(conversation: &mut Conversation, now: Micros) -> Vec<Vec<u8>> {
    let mut batch = Batch::default();
    conversation.transmit(now, &mut batch);
    batch.datagrams().map(<[u8]>::to_vec).collect()
}

#[test]
fn segments_without_the_header_of_the_parity_are_taken() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0);
    conversation.receive(0, &push(1, 0, b"hello"));
    let mut read = [0; 9];
    assert_eq!(conversation.read(0, &mut read).0, 5);
    // They are answered with it: old peers demand it.
    let sent = transmitted(&mut conversation, SECOND);
    assert!(matches!(Datagram::parse(&sent[0]), Some(Datagram::Data { sequence: 0, .. })));
}

#[test]
fn only_who_repeats_our_time_is_proven() {
    let mut conversation = Conversation::new(1, Config::single(), 0x5eed_0000, 0);
    conversation.receive(0, &push(1, 0, b"hello"));
    conversation.write(b"answer");
    transmitted(&mut conversation, 0);
    conversation.receive(1000, &reply(Command::Ack, 0, 9, 0));
    conversation.receive(1000, &reply(Command::Tell, 0, 0, 1));
    assert!(!conversation.is_proven());
    let mut conversation = Conversation::new(1, Config::single(), 0x5eed_0000, 0);
    conversation.write(b"answer");
    transmitted(&mut conversation, 5000);
    conversation.receive(6000, &reply(Command::Ack, 0, 0x5eed_0005, 1));
    assert!(conversation.is_proven());
}

#[test]
fn a_recent_time_proves_nobody_even_if_a_segment_was_sent_twice() {
    let base = 0x5eed_0000;
    let attempts = || {
        let mut conversation = Conversation::new(1, Config::single(), base, 0);
        conversation.write(b"answer");
        assert_eq!(transmitted(&mut conversation, 0).len(), 1);
        let again = conversation.due(0).unwrap();
        assert_eq!(transmitted(&mut conversation, again).len(), 1);
        (conversation, again)
    };
    // The segment was acknowledged, by whomever; only the time of the last attempt proves anything.
    let (_, again) = attempts();
    let last = base + u32::try_from(again / MILLISECOND).unwrap();
    for (ts, is_proven) in [(last - 7, false), (last + 1, false), (last, true)] {
        let (mut conversation, again) = attempts();
        conversation.receive(again + 2 * MILLISECOND, &reply(Command::Ack, 0, ts, 0));
        assert_eq!(conversation.is_proven(), is_proven, "{ts:#x} of {last:#x}");
    }
}

#[test]
fn the_time_of_the_first_attempt_proves_a_peer_behind_a_long_path() {
    let base = 0x5eed_0000;
    for (attempt, is_proven) in [(0, true), (1, false), (2, true)] {
        let mut conversation = Conversation::new(1, Config::single(), base, 0);
        conversation.write(b"answer");
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..3 {
            assert_eq!(transmitted(&mut conversation, now).len(), 1);
            times.push(base + u32::try_from(now / MILLISECOND).unwrap());
            now = conversation.due(now).unwrap();
        }
        conversation.receive(now, &reply(Command::Ack, 0, times[attempt], 0));
        assert_eq!(conversation.is_proven(), is_proven, "attempt {attempt} of {times:x?}");
    }
}

#[test]
fn the_tail_of_a_peer_that_left_is_awaited_no_longer_than_it_may_be_sent() {
    for (has_come, expected) in [(true, Over::PeerLeft), (false, Over::Silent)] {
        let mut conversation = Conversation::new(1, Config::multiplexed(), 0, 0);
        conversation.receive(0, &push(1, 0, b"a"));
        let mut leaves = Vec::new();
        let fragment = ENDS | READS_NO_MORE;
        let tell = Segment { conv: 1, command: Command::Tell, fragment, window: 2048, ts: 0, sn: 2, una: 0 };
        tell.encode(0, &mut leaves);
        conversation.receive(0, &leaves);
        if has_come {
            conversation.receive(0, &push(1, 1, b"b"));
        }
        let mut now = 0;
        while let Some(at) = conversation.due(now) {
            assert_eq!(conversation.over(), Some(Over::PeerLeft));
            now = at.max(now + 1);
            transmitted(&mut conversation, now);
        }
        assert_eq!((conversation.over(), now == LONGEST_LINGER), (Some(expected), !has_come));
    }
}

#[test]
fn what_makes_no_sense_is_ignored() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0);
    for datagram in [
        reply(Command::Ack, 5, 0, 0),
        reply(Command::Ack, 0, 0, 77),
        reply(Command::Tell, 0, 0, u32::MAX),
        push(2, 0, b"other"),
        push(1, 2048, b"too far"),
        push(1, u32::MAX, b"before"),
        b"short".to_vec(),
        vec![0xff; 1500],
    ] {
        conversation.receive(0, &datagram);
    }
    assert_eq!(conversation.readable(), Readable::Nothing);
    assert!(!conversation.is_proven() && conversation.over().is_none());
    conversation.receive(0, &push(1, 1, b"b"));
    conversation.receive(0, &push(1, 0, b"a"));
    let mut read = [0; 9];
    assert_eq!(conversation.read(0, &mut read).0, 2);
    assert_eq!(&read[..2], b"ab");
}

#[test]
fn a_datagram_longer_than_any_peer_sends_is_ignored() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0);
    let longest = crate::fec::LONGEST - OVERHEAD;
    conversation.receive(0, &push(1, 0, &vec![7; longest + 1]));
    assert_eq!((conversation.receiver.held(), conversation.readable()), (0, Readable::Nothing));
    conversation.receive(0, &push(1, 0, &vec![7; longest]));
    assert_eq!((conversation.receiver.held(), conversation.readable()), (1, Readable::Bytes));
}

#[test]
fn of_a_limited_peer_no_more_is_kept_whatever_is_announced() {
    let mut conversation = Conversation::new(1, Config::multiplexed(), 0, 0);
    conversation.limit(Some(64));
    // Half of them in their order, the others behind a gap.
    for sn in (0..32).chain(33..9000) {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!(conversation.receiver.held(), 32 + 31);
    conversation.receive(0, &push(1, 32, &[7; 100]));
    conversation.receive(0, &push(1, 64, &[7; 100]));
    assert_eq!((conversation.receiver.held(), conversation.receiver.una()), (64, 64));
    assert_eq!(conversation.receiver.room(), 8192 - 64);
    // What was read makes room.
    assert_eq!(conversation.read(0, &mut [0; 1000]).0, 1000);
    for sn in 64..9000 {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!(conversation.receiver.held(), 64);
    conversation.limit(None);
    for sn in 74..9000 {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!(conversation.receiver.held(), 8192);
}

#[test]
fn of_what_comes_after_the_stream_was_dropped_no_byte_is_kept() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0);
    // Some are read, some wait for the reader, and some for one that is missing.
    for sn in [0, 1, 2, 4, 5] {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!(conversation.read(0, &mut [0; 150]).0, 150);
    assert!(conversation.receiver.reserved() >= 500);
    conversation.abandon(0);
    assert_eq!(conversation.receiver.reserved(), 0);
    for sn in 6..1000 {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!((conversation.receiver.reserved(), conversation.receiver.una()), (0, 3));
    // The peer gets to its end all the same, and nothing fills the window.
    conversation.receive(0, &push(1, 3, &[7; 100]));
    for sn in 1000..5000 {
        conversation.receive(0, &push(1, sn, &[7; 100]));
    }
    assert_eq!((conversation.receiver.reserved(), conversation.receiver.una()), (0, 5000));
    assert_eq!((conversation.receiver.held(), conversation.readable()), (0, Readable::Nothing));
}

#[test]
fn a_flood_of_segments_is_kept_within_bounds() {
    let mut conversation = Conversation::new(1, Config::single(), 0, 0);
    for sn in 0..100_000_u32 {
        conversation.receive(0, &push(1, sn.wrapping_mul(0x9e37_79b9) % 5000, &[7; 100]));
    }
    assert!(conversation.receiver.held() <= 2048);
    assert!(transmitted(&mut conversation, 0).len() <= 100);
}
