//! Receive windows: when they are granted, grow and shrink.

use std::collections::VecDeque;

use super::super::window::{Budget, ReceiveWindow};
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
fn a_long_path_has_its_window_after_a_few_round_trips() {
    // Of a second of which all would be 25 MB.
    let (window, passed) = over_path(100 * MS, 25_000, 100 * MS, Duration::from_secs(1));
    assert!(window > 4 << 20, "{window}");
    assert!(passed >= 15_000_000, "{passed} bytes in the first second");
}

#[test]
fn a_window_that_a_short_path_does_not_need_stays_small() {
    // 2 Gb/s and 1 ms.
    let (window, passed) = over_path(MS, 250_000, MS, Duration::from_secs(1));
    assert!(window <= 1 << 20, "{window}");
    assert!(passed >= 230_000_000, "{passed} bytes in the only second");
}

#[test]
fn a_round_trip_that_the_load_lengthens_does_not_inflate_the_window() {
    let (window, _) = over_path(MS, 250_000, 50 * MS, Duration::from_secs(1));
    assert!(window <= 1 << 20, "{window}");
}

#[test]
fn a_slow_stream_keeps_its_first_window() {
    let (window, _) = over_path(100 * MS, 500, 100 * MS, Duration::from_secs(5));
    assert_eq!(window, INITIAL_WINDOW);
}

/// The deltas with which the next streams that the peer opens are acknowledged.
fn acknowledged(engine: &mut Engine, ids: impl Iterator<Item = u32>) -> Vec<u32> {
    ids.map(|id| {
        feed_header(engine, Header::window(id, Flags::SYN, 0)).unwrap();
        engine.accept().unwrap();
        let headers = headers(&sent(engine, START));
        assert_eq!(
            (headers[0].kind, headers[0].stream, headers[0].flags),
            (Kind::WindowUpdate, id, Flags::ACK)
        );
        headers[0].length
    })
    .collect()
}

#[test]
fn a_stream_over_a_long_path_begins_with_the_window_for_it() {
    let mut engine = server();
    engine.learn_round_trip(20 * MS);
    assert_eq!(acknowledged(&mut engine, [1].into_iter()), [2_500_000 - INITIAL_WINDOW]);
    let mut engine = client();
    engine.learn_round_trip(100 * MS);
    engine.open(START).unwrap();
    assert_eq!(
        headers(&sent(&mut engine, START)),
        [Header::window(1, Flags::SYN, (6 << 20) - INITIAL_WINDOW)]
    );
}

#[test]
fn a_stream_over_a_short_path_begins_with_the_first_window() {
    let mut engine = server();
    engine.learn_round_trip(9 * MS);
    assert_eq!(acknowledged(&mut engine, [1].into_iter()), [0]);
}

#[test]
fn streams_that_begin_leave_a_quarter_of_the_budget() {
    let mut engine = server();
    engine.learn_round_trip(100 * MS);
    let deltas = acknowledged(&mut engine, (0..100).map(|at| 1 + 2 * at));
    // The next one is often opened while the first still waits for its user.
    assert!(deltas[1] > 4 << 20 && deltas[99] == 0, "{deltas:?}");
    assert!(engine.budget.left >= 4 << 20, "{}", engine.budget.left);
    for id in (0..100).map(|at| 1 + 2 * at) {
        feed_header(&mut engine, Header::window(id, Flags::RST, 0)).unwrap();
    }
    assert_eq!(engine.budget.left, 16 << 20);
}

#[test]
fn a_first_window_over_a_long_path_may_be_used_at_once() {
    let mut engine = server();
    engine.learn_round_trip(100 * MS);
    feed_header(&mut engine, Header::window(1, Flags::SYN, 0)).unwrap();
    let key = engine.accept().unwrap();
    sent(&mut engine, START);
    assert!(stream_in(&mut engine, key, 1, 6 << 20, START, false).is_empty());
    assert_eq!(engine.table.get(key).unwrap().window.left(), 0);
    assert!(matches!(feed_data(&mut engine, 1, &[0]), Err(SessionEnd::Protocol(_))));
}

fn budget() -> Budget {
    Budget { left: 16 << 20, kept: 4 << 20, max_window: 6 << 20, round_trip: Some(500 * MS) }
}

/// A window that is used up in every round trip, until it grows no more.
fn grown(budget: &mut Budget) -> ReceiveWindow {
    let mut window = ReceiveWindow::new();
    for second in 0..60 {
        let now = Duration::from_millis(500 * second);
        // What is granted meanwhile comes in the next round.
        let mut left = window.left();
        while left > 0 {
            let part = left.min(64 << 10);
            left -= part;
            window.received(part, now);
            window.read(part);
            window.update(budget, now);
        }
    }
    window
}

#[test]
fn a_window_grows_to_6_mib_at_most() {
    let mut budget = budget();
    let mut window = grown(&mut budget);
    assert_eq!(window.size(), 6 << 20);
    window.release(&mut budget);
    assert_eq!(budget.left, 16 << 20);
}

#[test]
fn the_budget_bounds_all_windows_and_comes_back() {
    let mut budget = budget();
    let mut windows: Vec<_> = (0..20).map(|_| grown(&mut budget)).collect();
    let total: u32 = windows.iter().map(ReceiveWindow::size).sum();
    assert_eq!(total, 20 * (256 << 10) + (16 << 20));
    for window in &mut windows {
        window.release(&mut budget);
    }
    assert_eq!(budget.left, 16 << 20);
}

#[test]
fn a_window_that_is_not_used_shrinks_again() {
    let mut budget = budget();
    let mut window = grown(&mut budget);
    for slow in 0..200 {
        let now = Duration::from_secs(100 + 4 * slow);
        window.received(128 << 10, now);
        window.read(128 << 10);
        window.update(&mut budget, now);
    }
    assert!(window.size() < 2 << 20, "{}", window.size());
    assert_eq!(budget.left + window.size() as usize, (16 << 20) + (256 << 10));
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
