//! Receive windows: when they are granted, grow and shrink.

use std::collections::VecDeque;

use super::*;
use crate::INITIAL_WINDOW;

const MS: Duration = Duration::from_millis(1);

/// Sends `bytes` in frames of 16 KiB that never exceed the window, reading all of it if `reads`. Gives the deltas.
fn stream_in(
    engine: &mut Engine,
    key: StreamKey,
    id: u32,
    bytes: usize,
    now: Duration,
    reads: bool,
) -> Vec<u32> {
    let mut deltas = Vec::new();
    let payload = vec![7; 16 * 1024];
    for _ in 0..bytes / payload.len() {
        let mut frame = Header::data(id, 16 * 1024).encode().to_vec();
        frame.extend_from_slice(&payload);
        feed(engine, &frame, now).unwrap();
        if reads {
            read_all(engine, key);
        }
        for header in headers(&sent(engine, now)) {
            if header.kind == Kind::Ping && header.flags == Flags::SYN {
                continue;
            }
            assert_eq!((header.kind, header.stream), (Kind::WindowUpdate, id));
            deltas.push(header.length);
        }
    }
    deltas
}

fn window(engine: &Engine, key: StreamKey) -> u32 {
    engine.table.get(key).unwrap().window.size()
}

#[test]
fn an_update_comes_when_half_of_the_window_is_read() {
    let (mut engine, key) = with_stream();
    let deltas = stream_in(&mut engine, key, 1, 1 << 20, 10 * MS, true);
    assert_eq!(deltas, vec![INITIAL_WINDOW / 2; 8]);
}

#[test]
fn an_unread_stream_is_granted_nothing() {
    let (mut engine, key) = with_stream();
    assert!(stream_in(&mut engine, key, 1, 256 << 10, 10 * MS, false).is_empty());
    assert_eq!(engine.table.get(key).unwrap().window.left(), 0);
}

#[test]
fn bulk_without_a_known_round_trip_asks_for_one() {
    let (mut engine, _) = with_stream();
    feed_data(&mut engine, 1, &[0; 60 * 1024]).unwrap();
    assert!(sent(&mut engine, START).is_empty());
    feed_data(&mut engine, 1, &[0; 8 * 1024]).unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::ping(Flags::SYN, 0)]);
    feed(&mut engine, &Header::ping(Flags::ACK, 0).encode(), 30 * MS).unwrap();
    assert_eq!(engine.budget.round_trip, Some(30 * MS));
}

/// A sender that always has more, over a path of this round trip and rate, for this long. Gives the window and the
/// bytes that passed in the last second. `learnt` is the round trip that pings show, which the load may lengthen.
fn over_path(round_trip: Duration, per_ms: usize, learnt: Duration, lasts: Duration) -> (u32, usize) {
    let (mut engine, key) = with_stream();
    engine.learn_round_trip(learnt);
    let (mut now, mut credit) = (START, INITIAL_WINDOW as usize);
    let mut coming = VecDeque::new();
    let mut granted: VecDeque<(Duration, usize)> = VecDeque::new();
    let mut passed = 0;
    while now < lasts {
        now += MS / 4;
        while granted.front().is_some_and(|(at, _)| *at <= now) {
            credit += granted.pop_front().unwrap().1;
        }
        let count = credit.min(per_ms / 4);
        credit -= count;
        coming.push_back((now + round_trip / 2, count));
        while coming.front().is_some_and(|(at, _)| *at <= now) {
            let (_, count) = coming.pop_front().unwrap();
            let mut bytes = Header::data(1, u32::try_from(count).unwrap()).encode().to_vec();
            bytes.resize(bytes.len() + count, 0);
            feed(&mut engine, &bytes, now).unwrap();
            read_all(&mut engine, key);
            if now + Duration::from_secs(1) >= lasts {
                passed += count;
            }
        }
        for header in headers(&sent(&mut engine, now)) {
            if header.kind == Kind::WindowUpdate {
                granted.push_back((now + round_trip / 2, header.length as usize));
            }
        }
    }
    (window(&engine, key), passed)
}

#[test]
fn a_window_grows_to_what_a_long_path_needs() {
    // 200 Mb/s and 100 ms: 2.5 MB are under way.
    let (window, passed) = over_path(100 * MS, 25_000, 100 * MS, Duration::from_secs(5));
    assert!((3 << 20..=6 << 20).contains(&window), "{window}");
    assert!(passed >= 24_000_000, "{passed} bytes in the last second");
}

#[test]
fn a_window_that_a_short_path_does_not_need_stays_small() {
    // 2 Gb/s and 1 ms.
    let (window, passed) = over_path(MS, 250_000, MS, Duration::from_secs(2));
    assert!(window <= 1 << 20, "{window}");
    assert!(passed >= 240_000_000, "{passed} bytes in the last second");
}

#[test]
fn a_round_trip_that_the_load_lengthens_does_not_inflate_the_window() {
    let (window, _) = over_path(MS, 250_000, 50 * MS, Duration::from_secs(2));
    assert!(window <= 1 << 20, "{window}");
}

#[test]
fn a_slow_stream_keeps_its_first_window() {
    let (window, _) = over_path(100 * MS, 500, 100 * MS, Duration::from_secs(5));
    assert_eq!(window, INITIAL_WINDOW);
}

#[test]
fn a_window_grows_to_6_mib_at_most() {
    let (mut engine, key) = grown(1);
    assert_eq!(window(&engine, key[0]), 6 << 20);
    engine.reset(key[0]);
    assert_eq!(engine.budget.left, 16 << 20);
}

/// Streams that took in ever more, as if over a very long path.
fn grown(count: u32) -> (Engine, Vec<StreamKey>) {
    let mut engine = server();
    let mut now = START;
    engine.learn_round_trip(500 * MS);
    let mut keys = Vec::new();
    for id in 0..count {
        let id = 1 + 2 * id;
        feed_header(&mut engine, Header::window(id, Flags::SYN, 0)).unwrap();
        let key = engine.accept().unwrap();
        sent(&mut engine, now);
        for doubled in 0..7 {
            stream_in(&mut engine, key, id, (1 << 20) << doubled, now, true);
            now += Duration::from_secs(2);
            // Not a second passes without an answer.
            feed(&mut engine, &Header::data(99, 0).encode(), now).unwrap();
            stream_in(&mut engine, key, id, (1 << 20) << doubled, now, true);
        }
        keys.push(key);
    }
    (engine, keys)
}

#[test]
fn the_budget_bounds_all_windows_and_comes_back() {
    let (mut engine, keys) = grown(6);
    let total: usize = keys.iter().map(|key| window(&engine, *key) as usize).sum();
    assert_eq!(total, 6 * (256 << 10) + (16 << 20));
    for key in keys {
        engine.reset(key);
    }
    assert_eq!(engine.budget.left, 16 << 20);
}

#[test]
fn a_window_that_is_not_used_shrinks_again() {
    let (mut engine, keys) = grown(1);
    let mut now = Duration::from_secs(100);
    for _ in 0..200 {
        now += Duration::from_secs(4);
        stream_in(&mut engine, keys[0], 1, 128 << 10, now, true);
    }
    let window = window(&engine, keys[0]);
    assert!(window < 2 << 20, "{window}");
    assert_eq!(engine.budget.left + window as usize, (16 << 20) + (256 << 10));
}

#[test]
fn what_an_unread_stream_holds_is_what_it_was_sent() {
    // Tiny frames between bulk that is drained: the worst for slices of shared read buffers.
    let (mut engine, key) = with_stream();
    let mut frame = Header::data(1, 1).encode().to_vec();
    frame.push(1);
    frame.extend_from_slice(&Header::data(99, 50_000).encode());
    frame.resize(frame.len() + 50_000, 0);
    for _ in 0..1000 {
        feed(&mut engine, &frame, START).unwrap();
    }
    assert_eq!(engine.table.get(key).unwrap().received.len(), 1000);
}
