//! What goes out, in which order.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Stream and payload length of all data frames.
fn data(bytes: &[u8]) -> Vec<(u32, usize)> {
    let frames = frames(bytes).into_iter();
    frames
        .filter(|(header, _)| header.kind == Kind::Data)
        .map(|(header, data)| (header.stream, data.len()))
        .collect()
}

fn open_acknowledged(engine: &mut Engine, count: u32) -> Vec<StreamKey> {
    let keys: Vec<_> = (0..count).map(|_| engine.open(START).unwrap()).collect();
    sent(engine, START);
    for key in &keys {
        let id = engine.id(*key).unwrap();
        feed_header(engine, Header::window(id, Flags::ACK, 8 << 20)).unwrap();
    }
    keys
}

#[test]
fn no_more_is_sent_than_the_peer_granted() {
    let mut engine = client();
    let key = engine.open(START).unwrap();
    let mut total = 0;
    loop {
        let wrote = write(&mut engine, key, &[1; 60_001]);
        if wrote == 0 {
            break;
        }
        total += data(&sent(&mut engine, START)).iter().map(|(_, len)| len).sum::<usize>();
    }
    assert_eq!(total, 256 << 10);
    feed_header(&mut engine, Header::window(1, Flags::ACK, 1000)).unwrap();
    assert_eq!(data(&sent(&mut engine, START)), [(1, 1000)]);
    assert!(sent(&mut engine, START).is_empty());
}

#[test]
fn a_window_that_overflows_is_the_largest() {
    let mut engine = client();
    engine.open(START).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::ACK, u32::MAX)).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::NONE, u32::MAX)).unwrap();
}

#[test]
fn a_stream_queues_its_share_and_is_woken_at_half() {
    let mut engine = client();
    let key = open_acknowledged(&mut engine, 1)[0];
    assert_eq!(write(&mut engine, key, &[0; 200_000]), 128 << 10);
    assert_eq!(engine.room(key, Waker::noop()), Room::Full);
    sent(&mut engine, START);
    let mut wakes = Vec::new();
    engine.take_wakes(&mut wakes);
    assert_eq!(wakes.len(), 1);
    assert_eq!(engine.room(key, Waker::noop()), Room::Bytes(128 << 10));
}

#[test]
fn bulk_streams_take_turns() {
    let mut engine = client();
    let keys = open_acknowledged(&mut engine, 3);
    for key in &keys {
        write(&mut engine, *key, &[0; 64 << 10]);
    }
    let order: Vec<_> = data(&sent(&mut engine, START)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, [1, 3, 5, 1, 3, 5, 1, 3, 5, 1, 3, 5]);
}

#[test]
fn a_small_frame_goes_before_bulk_that_is_under_way() {
    let mut engine = client();
    let keys = open_acknowledged(&mut engine, 8);
    for key in &keys[..7] {
        write(&mut engine, *key, &[0; 64 << 10]);
    }
    // Each has had its first turn.
    for _ in 0..7 {
        engine.transmit(&mut Outgoing::new(true), START);
    }
    write(&mut engine, keys[7], b"small");
    assert_eq!(data(&sent(&mut engine, START))[0], (15, 5));
}

#[test]
fn one_that_writes_little_and_often_does_not_starve_bulk() {
    let mut engine = client();
    let keys = open_acknowledged(&mut engine, 9);
    write(&mut engine, keys[0], &[0; 64 << 10]);
    let mut bulk = 0;
    for _ in 0..8 {
        for key in &keys[1..] {
            write(&mut engine, *key, &[0; 15_000]);
        }
        let mut out = Outgoing::new(true);
        (0..3).for_each(|_| out.speed_up());
        engine.transmit(&mut out, START);
        let mut bytes = Vec::new();
        while !out.is_empty() {
            bytes.extend_from_slice(out.first());
            out.advance(out.first().len());
        }
        bulk += data(&bytes).into_iter().filter(|(id, _)| *id == 1).count();
    }
    assert_eq!(bulk, 4, "the bulk stream has had its turns");
}

#[test]
fn a_slow_transport_is_given_little_at_a_time() {
    let mut engine = client();
    let keys = open_acknowledged(&mut engine, 2);
    write(&mut engine, keys[0], &[0; 128 << 10]);
    write(&mut engine, keys[1], &[0; 128 << 10]);
    let mut out = Outgoing::new(true);
    engine.transmit(&mut out, START);
    assert_eq!(out.len(), 12 + (16 << 10));
    let mut out = Outgoing::new(true);
    (0..9).for_each(|_| out.speed_up());
    engine.transmit(&mut out, START);
    assert_eq!(out.len(), 8 * (12 + (16 << 10)));
}

#[test]
fn fin_goes_alone_behind_what_is_queued() {
    let mut engine = client();
    let key = engine.open(START).unwrap();
    sent(&mut engine, START);
    write(&mut engine, key, b"bye");
    engine.finish(key);
    assert_eq!(engine.room(key, Waker::noop()), Room::Closed);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::data(1, 3), Header::window(1, Flags::FIN, 0)]);
    engine.finish(key);
    assert!(sent(&mut engine, START).is_empty(), "never a second one");
}

#[test]
fn fin_waits_for_the_window() {
    let mut engine = client();
    let key = engine.open(START).unwrap();
    while write(&mut engine, key, &[0; 50_000]) > 0 {
        sent(&mut engine, START);
    }
    engine.finish(key);
    assert!(sent(&mut engine, START).is_empty());
    feed_header(&mut engine, Header::window(1, Flags::ACK, 1 << 20)).unwrap();
    assert_eq!(headers(&sent(&mut engine, START)).last(), Some(&Header::window(1, Flags::FIN, 0)));
}

#[test]
fn a_dropped_stream_that_cannot_send_is_reset_after_a_second() {
    let mut engine = client();
    let key = engine.open(START).unwrap();
    while write(&mut engine, key, &[0; 50_000]) > 0 {
        sent(&mut engine, START);
    }
    feed_header(&mut engine, Header::window(1, Flags::ACK, 0)).unwrap();
    engine.release(key, false, SECOND);
    assert_eq!(engine.next_timeout(), Some(2 * SECOND));
    engine.handle_timeout(2 * SECOND).unwrap();
    assert_eq!(headers(&sent(&mut engine, 2 * SECOND)), [Header::window(1, Flags::RST, 0)]);
}

#[test]
fn an_unanswered_fin_gets_rst_after_5_minutes() {
    let (mut engine, key) = with_stream();
    engine.finish(key);
    sent(&mut engine, 10 * SECOND);
    engine.release(key, false, 10 * SECOND);
    for at in [100, 200, 309] {
        engine.handle_timeout(at * SECOND).ok();
        let headers = headers(&sent(&mut engine, at * SECOND));
        assert!(headers.iter().all(|header| header.kind == Kind::Ping), "{headers:?}");
        feed(&mut engine, &Header::ping(Flags::ACK, headers[0].length).encode(), at * SECOND).unwrap();
    }
    engine.handle_timeout(310 * SECOND).unwrap();
    assert_eq!(headers(&sent(&mut engine, 310 * SECOND)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!(engine.num_streams(), 0);
}

#[test]
fn a_half_closed_stream_that_is_read_outlives_the_close_timeout() {
    let (mut engine, key) = with_stream();
    engine.config.keepalive_interval = None;
    engine.deadlines = super::super::Deadlines::new(&engine.config);
    engine.finish(key);
    sent(&mut engine, START);
    let mut now = START;
    for _ in 0..20 {
        now += 60 * SECOND;
        let mut bytes = Header::data(1, 1).encode().to_vec();
        bytes.push(1);
        feed(&mut engine, &bytes, now).unwrap();
        read_all(&mut engine, key);
        engine.handle_timeout(now).unwrap();
        assert!(sent(&mut engine, now).is_empty());
    }
    now += 299 * SECOND;
    engine.handle_timeout(now).unwrap();
    assert!(sent(&mut engine, now).is_empty());
    engine.handle_timeout(now + SECOND).unwrap();
    assert_eq!(headers(&sent(&mut engine, now)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!(read_all(&mut engine, key).1, Read::Reset);
}

#[test]
fn many_closed_streams_leave_no_deadlines_behind() {
    let mut engine = server();
    for id in 0..10_000 {
        let id = 1 + 2 * id;
        feed_header(&mut engine, Header::window(id, Flags::SYN, 0)).unwrap();
        let key = engine.accept().unwrap();
        engine.finish(key);
        sent(&mut engine, START);
        feed_header(&mut engine, Header::window(id, Flags::FIN, 0)).unwrap();
        engine.release(key, false, START);
    }
    assert!(engine.deadlines.closing_len() <= 66);
}

#[test]
fn pings_are_one_at_a_time_and_numbered() {
    let mut engine = client();
    assert_eq!(engine.next_timeout(), Some(30 * SECOND));
    engine.handle_timeout(29 * SECOND).unwrap();
    assert!(sent(&mut engine, 29 * SECOND).is_empty());
    engine.handle_timeout(30 * SECOND).unwrap();
    assert_eq!(headers(&sent(&mut engine, 30 * SECOND)), [Header::ping(Flags::SYN, 0)]);
    feed(&mut engine, &Header::ping(Flags::ACK, 0).encode(), 31 * SECOND).unwrap();
    assert_eq!(engine.next_timeout(), Some(61 * SECOND));
    engine.handle_timeout(61 * SECOND).unwrap();
    assert_eq!(headers(&sent(&mut engine, 61 * SECOND)), [Header::ping(Flags::SYN, 1)]);
    engine.handle_timeout(70 * SECOND).unwrap();
    assert!(sent(&mut engine, 70 * SECOND).is_empty());
    assert!(matches!(engine.handle_timeout(71 * SECOND), Err(SessionEnd::KeepaliveTimeout)));
}

#[test]
fn a_peer_that_still_sends_is_alive() {
    let mut engine = client();
    engine.handle_timeout(30 * SECOND).unwrap();
    feed(&mut engine, &Header::data(99, 1000).encode(), 39 * SECOND).unwrap();
    engine.handle_timeout(40 * SECOND).unwrap();
    assert!(matches!(engine.handle_timeout(49 * SECOND), Err(SessionEnd::KeepaliveTimeout)));
}

#[test]
fn an_open_that_is_not_acknowledged_ends_the_session() {
    let mut engine = Engine::new(Role::Client, Config { keepalive_interval: None, ..Config::default() });
    engine.open(SECOND).unwrap();
    engine.open(2 * SECOND).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::ACK, 0)).unwrap();
    assert_eq!(engine.next_timeout(), Some(77 * SECOND));
    engine.handle_timeout(76 * SECOND).unwrap();
    assert!(matches!(engine.handle_timeout(77 * SECOND), Err(SessionEnd::OpenTimeout)));
}
