//! What each frame does, and which frames end the session.

use super::*;
use crate::ProtocolError;
use crate::error::GoAwayReason;

fn protocol_error(result: Result<(), SessionEnd>) -> ProtocolError {
    match result {
        Err(SessionEnd::Protocol(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_syn_of_a_live_stream_is_fatal_and_answered_with_goaway() {
    let (mut engine, _) = with_stream();
    let result = feed_header(&mut engine, Header::window(1, Flags::SYN, 0));
    assert_eq!(protocol_error(result), ProtocolError::DuplicateStream);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::go_away(1)]);
}

#[test]
fn a_second_fin_is_fatal() {
    let (mut engine, _) = with_stream();
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    let result = feed_header(&mut engine, Header::window(1, Flags::FIN, 0));
    assert_eq!(protocol_error(result), ProtocolError::UnexpectedFlag);
}

#[test]
fn a_fin_after_both_is_ignored_and_the_id_may_open_again() {
    let (mut engine, key) = with_stream();
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    engine.finish(key);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::FIN, 0)]);
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::SYN, 0)).unwrap();
    assert!(engine.accept().is_some());
    assert_eq!(engine.num_streams(), 1);
}

#[test]
fn wrong_version_and_type_end_the_session_without_goaway() {
    for (at, error) in [(0, ProtocolError::InvalidVersion), (1, ProtocolError::InvalidType)] {
        let mut engine = server();
        let mut bytes = Header::data(1, 0).encode();
        bytes[at] = b'o';
        assert_eq!(protocol_error(feed(&mut engine, &bytes, START)), error);
        assert!(sent(&mut engine, START).is_empty());
    }
}

#[test]
fn data_beyond_the_window_is_fatal_before_it_is_read() {
    for length in [256 * 1024 + 1, u32::MAX] {
        let (mut engine, _) = with_stream();
        let result = feed_header(&mut engine, Header::data(1, length));
        assert_eq!(protocol_error(result), ProtocolError::WindowExceeded);
    }
}

#[test]
fn the_window_counts_over_frames() {
    let (mut engine, _) = with_stream();
    let half = vec![0; 128 * 1024];
    feed_data(&mut engine, 1, &half).unwrap();
    feed_data(&mut engine, 1, &half).unwrap();
    assert_eq!(protocol_error(feed_data(&mut engine, 1, b"x")), ProtocolError::WindowExceeded);
}

#[test]
fn data_of_unknown_streams_is_drained_whatever_its_length() {
    let (mut engine, key) = with_stream();
    feed_header(&mut engine, Header::data(99, u32::MAX)).unwrap();
    let chunk = vec![0; 1 << 20];
    let mut left = u32::MAX as usize;
    // Not all of it, that would take a second; the engine keeps none of it.
    for _ in 0..64 {
        feed(&mut engine, &chunk, START).unwrap();
        left -= chunk.len();
    }
    assert!(left > 0);
    assert_eq!(read_all(&mut engine, key).0, b"");
}

#[test]
fn frames_of_unknown_streams_are_ignored() {
    let (mut engine, key) = with_stream();
    for flags in [Flags::NONE, Flags::ACK, Flags::FIN, Flags::RST] {
        feed_header(&mut engine, Header::window(77, flags, 5)).unwrap();
    }
    feed_data(&mut engine, 77, b"lost").unwrap();
    feed_data(&mut engine, 1, b"kept").unwrap();
    assert_eq!(read_all(&mut engine, key), (b"kept".to_vec(), Read::Pending));
    assert_eq!(engine.num_streams(), 1);
}

#[test]
fn unknown_flags_even_ids_and_stray_answers_are_tolerated() {
    let mut engine = server();
    feed_header(&mut engine, Header::window(2, Flags(0x8001), 0)).unwrap();
    let key = engine.accept().unwrap();
    feed_header(&mut engine, Header::ping(Flags::ACK, 9)).unwrap();
    feed_header(&mut engine, Header::window(2, Flags::ACK, 0)).unwrap();
    feed_data(&mut engine, 2, b"ok").unwrap();
    assert_eq!(read_all(&mut engine, key).0, b"ok");
}

#[test]
fn a_stream_opened_by_a_data_frame_has_its_data() {
    let mut engine = server();
    let mut bytes = Header { flags: Flags::SYN, ..Header::data(1, 5) }.encode().to_vec();
    bytes.extend_from_slice(b"hello");
    feed(&mut engine, &bytes, START).unwrap();
    let key = engine.accept().unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::ACK, 0)]);
    assert_eq!(read_all(&mut engine, key), (b"hello".to_vec(), Read::Pending));
}

#[test]
fn fin_on_a_data_frame_holds_behind_its_data() {
    let (mut engine, key) = with_stream();
    let mut bytes = Header { flags: Flags::FIN, ..Header::data(1, 5) }.encode().to_vec();
    bytes.extend_from_slice(b"he");
    feed(&mut engine, &bytes, START).unwrap();
    assert_eq!(read_all(&mut engine, key), (b"he".to_vec(), Read::Pending));
    feed(&mut engine, b"llo", START).unwrap();
    assert_eq!(read_all(&mut engine, key), (b"llo".to_vec(), Read::End));
}

#[test]
fn a_ping_is_echoed() {
    let mut engine = server();
    feed_header(&mut engine, Header::ping(Flags::SYN, 0xdead_beef)).unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::ping(Flags::ACK, 0xdead_beef)]);
}

#[test]
fn goaway_0_stops_our_opens_and_nothing_else() {
    let (mut engine, key) = with_stream();
    feed_header(&mut engine, Header::go_away(0)).unwrap();
    assert!(engine.open(START).is_err());
    feed_header(&mut engine, Header::window(3, Flags::SYN, 0)).unwrap();
    assert!(engine.accept().is_some());
    feed_data(&mut engine, 1, b"still").unwrap();
    assert_eq!(read_all(&mut engine, key).0, b"still");
}

#[test]
fn any_other_goaway_ends_the_session() {
    for (code, reason) in
        [(1, GoAwayReason::ProtocolError), (2, GoAwayReason::InternalError), (7, GoAwayReason::Unknown(7))]
    {
        match feed_header(&mut server(), Header::go_away(code)) {
            Err(SessionEnd::GoAway(got)) => assert_eq!(got, reason),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_full_backlog_refuses_and_room_in_it_accepts() {
    let mut engine = server();
    for id in 0..257 {
        feed_header(&mut engine, Header::window(1 + 2 * id, Flags::SYN, 0)).unwrap();
    }
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(513, Flags::RST, 0)]);
    assert!(engine.accept().is_some());
    feed_header(&mut engine, Header::window(515, Flags::SYN, 0)).unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::ACK, 0)]);
}

#[test]
fn the_inbound_limit_refuses_until_it_is_lifted() {
    let mut engine = Engine::new(Role::Server, Config { inbound_limit: 1, ..Config::default() });
    feed_header(&mut engine, Header::window(1, Flags::SYN, 0)).unwrap();
    for id in 1..20_000 {
        let id = 1 + 2 * id;
        feed_header(&mut engine, Header::window(id, Flags::SYN, 0)).unwrap();
        feed_data(&mut engine, id, b"dropped").unwrap();
        assert_eq!(engine.num_streams(), 1);
        if engine.reading_paused() {
            sent(&mut engine, START);
        }
    }
    let key = engine.accept().unwrap();
    engine.set_inbound_limit(2);
    feed_header(&mut engine, Header::window(3, Flags::SYN, 0)).unwrap();
    assert!(engine.accept().is_some());
    // A stream that is over makes room.
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    engine.release(key, false, START);
    feed_header(&mut engine, Header::window(5, Flags::SYN, 0)).unwrap();
    assert!(engine.accept().is_some());
}

#[test]
fn a_flood_that_has_to_be_answered_pauses_reading() {
    let mut engine = server();
    let mut count = 0;
    while !engine.reading_paused() {
        feed_header(&mut engine, Header::ping(Flags::SYN, count)).unwrap();
        count += 1;
        assert!(count < 10_000);
    }
    assert_eq!(headers(&sent(&mut engine, START)).len(), count as usize);
    assert!(!engine.reading_paused());
}

#[test]
fn a_reset_stream_gives_what_came_before_and_then_the_reset() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"before").unwrap();
    write(&mut engine, key, b"never sent");
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    assert!(sent(&mut engine, START).is_empty());
    assert_eq!(engine.room(key, Waker::noop()), Room::Reset);
    assert_eq!(read_all(&mut engine, key), (b"before".to_vec(), Read::Reset));
}

#[test]
fn a_reset_behind_a_fin_does_not_spoil_what_was_sent() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"all").unwrap();
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    assert_eq!(read_all(&mut engine, key), (b"all".to_vec(), Read::End));
}

#[test]
fn a_stream_reset_before_it_is_accepted_is_not_handed_out() {
    let mut engine = server();
    feed_header(&mut engine, Header::window(1, Flags::SYN, 0)).unwrap();
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    feed_header(&mut engine, Header::window(3, Flags::SYN, 0)).unwrap();
    let key = engine.accept().unwrap();
    assert_eq!(engine.id(key), Some(3));
    assert!(engine.accept().is_none());
}

#[test]
fn our_ids_are_odd_as_client_and_even_as_server_and_skip_what_lives() {
    let mut client = client();
    let keys = [(); 3].map(|()| client.open(START).unwrap());
    let ids = keys.map(|key| client.id(key).unwrap());
    assert_eq!(ids, [1, 3, 5]);
    let mut server = server();
    feed_header(&mut server, Header::window(2, Flags::SYN, 0)).unwrap();
    let key = server.open(START).unwrap();
    assert_eq!(server.id(key), Some(4));
}

#[test]
fn ids_run_out() {
    let mut engine = client();
    engine.next_id = u32::MAX - 4;
    assert!(engine.open(START).is_ok());
    assert!(engine.open(START).is_ok());
    assert!(matches!(engine.open(START), Err(crate::OpenError::Exhausted)));
}

#[test]
fn an_acknowledgement_gives_the_open_back_once() {
    let mut engine = client();
    let key = engine.open(START).unwrap();
    assert_eq!(engine.take_acknowledged(), 0);
    feed_header(&mut engine, Header::window(1, Flags::ACK, 0)).unwrap();
    assert_eq!(engine.take_acknowledged(), 1);
    feed_header(&mut engine, Header::window(1, Flags::ACK, 0)).unwrap();
    engine.release(key, false, START);
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    assert_eq!(engine.take_acknowledged(), 0);
    let other = engine.open(START).unwrap();
    engine.reset(other);
    assert_eq!(engine.take_acknowledged(), 1);
}

#[test]
fn dropping_an_idle_stream_sends_fin_and_data_after_it_gets_rst() {
    let (mut engine, key) = with_stream();
    engine.release(key, false, START);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::FIN, 0)]);
    assert_eq!(engine.num_streams(), 1);
    feed_data(&mut engine, 1, b"more").unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!(engine.num_streams(), 0);
}

#[test]
fn dropping_with_unread_data_resets() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"unread").unwrap();
    write(&mut engine, key, b"lost");
    engine.release(key, false, START);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!((engine.num_streams(), engine.inbound), (0, 0));
}

#[test]
fn dropping_after_shutdown_delivers_and_swallows() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"unread").unwrap();
    write(&mut engine, key, b"answer");
    engine.finish(key);
    engine.release(key, false, START);
    let bytes = sent(&mut engine, START);
    assert_eq!(frames(&bytes)[0].1, b"answer");
    assert_eq!(frames(&bytes)[1].0, Header::window(1, Flags::FIN, 0));
    feed_data(&mut engine, 1, &vec![0; 200 * 1024]).unwrap();
    assert!(sent(&mut engine, START).is_empty(), "nothing is granted to a stream that nobody reads");
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    assert_eq!((engine.num_streams(), engine.inbound), (0, 0));
}

#[test]
fn abandoning_after_shutdown_delivers_and_data_after_it_gets_rst() {
    let (mut engine, key) = with_stream();
    write(&mut engine, key, b"answer");
    engine.finish(key);
    engine.abandon(key, false, START);
    // Before our end is out, a reset would take the answer with it.
    feed_data(&mut engine, 1, b"nobody reads this").unwrap();
    let bytes = sent(&mut engine, START);
    assert_eq!(frames(&bytes)[0].1, b"answer");
    let ends = [Header::window(1, Flags::FIN, 0), Header::window(1, Flags::RST, 0)];
    assert_eq!(headers(&bytes)[1..], ends);
    assert_eq!((engine.num_streams(), engine.inbound, engine.queued_total), (0, 0, 0));

    let (mut engine, key) = with_stream();
    engine.finish(key);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::FIN, 0)]);
    engine.abandon(key, false, START);
    assert!(sent(&mut engine, START).is_empty(), "the peer may have nothing more to say");
    feed_data(&mut engine, 1, b"more").unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!((engine.num_streams(), engine.inbound), (0, 0));
}

#[test]
fn abandoning_with_unread_data_resets_behind_what_is_queued() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"unread").unwrap();
    write(&mut engine, key, b"kept");
    engine.abandon(key, false, START);
    let bytes = sent(&mut engine, START);
    assert_eq!(frames(&bytes)[0].1, b"kept");
    let ends = [Header::window(1, Flags::FIN, 0), Header::window(1, Flags::RST, 0)];
    assert_eq!(headers(&bytes)[1..], ends);

    let (mut engine, key) = with_stream();
    engine.finish(key);
    sent(&mut engine, START);
    feed_data(&mut engine, 1, b"unread").unwrap();
    engine.abandon(key, false, START);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::RST, 0)]);
    assert_eq!((engine.num_streams(), engine.inbound), (0, 0));
}

#[test]
fn abandoning_after_the_peers_end_resets_nothing() {
    let (mut engine, key) = with_stream();
    feed_data(&mut engine, 1, b"unread").unwrap();
    feed_header(&mut engine, Header::window(1, Flags::FIN, 0)).unwrap();
    engine.abandon(key, true, START);
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::FIN, 0)]);
    assert_eq!((engine.num_streams(), engine.inbound), (0, 0));
}

#[test]
fn a_slot_used_again_is_another_stream() {
    let (mut engine, key) = with_stream();
    feed_header(&mut engine, Header::window(1, Flags::RST, 0)).unwrap();
    engine.release(key, false, START);
    feed_header(&mut engine, Header::window(3, Flags::SYN, 0)).unwrap();
    let other = engine.accept().unwrap();
    assert_ne!(key, other);
    assert_eq!(engine.read(key, 0, Waker::noop()), Read::Reset);
    engine.finish(key);
    engine.release(key, false, START);
    assert_eq!(engine.num_streams(), 1);
}
