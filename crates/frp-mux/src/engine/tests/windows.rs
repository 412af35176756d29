//! Receive windows: when they are granted, grow and shrink.

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

#[test]
fn a_window_grows_while_half_of_it_lasts_less_than_two_round_trips() {
    let (mut engine, key) = with_stream();
    engine.learn_round_trip(20 * MS);
    let mut now = 10 * MS;
    for _ in 0..32 {
        stream_in(&mut engine, key, 1, 128 << 10, now, true);
        now += 30 * MS;
    }
    assert_eq!(window(&engine, key), 256 << 11 << 1, "128 KiB in 30 ms: grown until half lasts 60 ms");
}

#[test]
fn a_window_grows_to_6_mib_at_most() {
    let (mut engine, key) = with_stream();
    engine.learn_round_trip(20 * MS);
    stream_in(&mut engine, key, 1, 64 << 20, 10 * MS, true);
    assert_eq!(window(&engine, key), 6 << 20);
}

#[test]
fn the_budget_bounds_all_windows_and_comes_back() {
    let mut engine = server();
    engine.learn_round_trip(20 * MS);
    let mut keys = Vec::new();
    for id in 0..50 {
        feed_header(&mut engine, Header::window(1 + 2 * id, Flags::SYN, 0)).unwrap();
        keys.push(engine.accept().unwrap());
        sent(&mut engine, START);
    }
    for (index, key) in keys.iter().enumerate() {
        stream_in(&mut engine, *key, 1 + 2 * u32::try_from(index).unwrap(), 16 << 20, 10 * MS, true);
    }
    let total: usize = keys.iter().map(|key| window(&engine, *key) as usize).sum();
    assert_eq!(total, 50 * (256 << 10) + (16 << 20));
    for key in keys {
        engine.reset(key);
    }
    assert_eq!(engine.budget.left, 16 << 20);
}

#[test]
fn a_window_that_is_not_used_shrinks_again() {
    let (mut engine, key) = with_stream();
    engine.learn_round_trip(20 * MS);
    stream_in(&mut engine, key, 1, 64 << 20, 10 * MS, true);
    let mut now = 10 * MS;
    for _ in 0..200 {
        now += Duration::from_secs(4);
        stream_in(&mut engine, key, 1, 128 << 10, now, true);
    }
    assert!(window(&engine, key) <= 1 << 20, "{}", window(&engine, key));
    assert_eq!(engine.budget.left + window(&engine, key) as usize, (16 << 20) + (256 << 10));
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
