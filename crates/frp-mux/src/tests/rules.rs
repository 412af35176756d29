//! The numbered points of upstream's wire behaviour, each against a scripted peer.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::OpenError;
use crate::error::ProtocolError;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn point_1_open_sends_syn_at_once() {
    let (client, mut peer) = client_and_peer();
    let stream = client.session.open().await.unwrap();
    assert_eq!(stream.id(), 1);
    peer.expect(Header::window(1, Flags::SYN, 0)).await;
    let _second = client.session.open().await.unwrap();
    peer.expect(Header::window(3, Flags::SYN, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn point_2_accept_sends_ack_before_anything_is_read_or_written() {
    let (server, mut peer) = server_and_peer();
    let mut streams = Vec::new();
    for (id, delta) in [(1, 0), (3, 0x005c_0000), (5, u32::MAX)] {
        peer.send(Header::window(id, Flags::SYN, delta)).await;
        streams.push(server.session.accept().await.unwrap());
        peer.expect(Header::window(id, Flags::ACK, 0)).await;
    }
    peer.send(Header { flags: Flags::SYN, ..Header::data(7, 2) }).await;
    peer.io.write_all(b"hi").await.unwrap();
    let mut stream = server.session.accept().await.unwrap();
    peer.expect(Header::window(7, Flags::ACK, 0)).await;
    let mut data = [0; 2];
    stream.read_exact(&mut data).await.unwrap();
    assert_eq!(&data, b"hi");
}

#[tokio::test(start_paused = true)]
async fn point_3_the_send_window_is_kept() {
    let (server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        stream.write_all(&vec![7; 300_000]).await.unwrap();
        stream
    });
    let mut got = 0;
    while got < 256 << 10 {
        got += peer.frame().await.1.len();
    }
    assert_eq!(got, 256 << 10);
    let silence = tokio::time::timeout(5 * SECOND, peer.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
    peer.send(Header::window(1, Flags::NONE, 10)).await;
    peer.expect_data(1, &[7; 10]).await;
    peer.send(Header::window(1, Flags::NONE, 1 << 20)).await;
    let rest = 300_000 - (256 << 10) - 10;
    let mut got = 0;
    while got < rest {
        got += peer.frame().await.1.len();
    }
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn point_4_window_updates_come_when_half_is_read() {
    let (server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    let half = vec![1; 128 << 10];
    peer.send_data(1, &half).await;
    peer.expect(Header::ping(Flags::SYN, 0)).await;
    let mut data = vec![0; half.len()];
    stream.read_exact(&mut data[..half.len() - 1]).await.unwrap();
    let silence = tokio::time::timeout(5 * SECOND, peer.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
    stream.read_exact(&mut data[..1]).await.unwrap();
    // What was handed out last counts as read when the reader comes back.
    let more = tokio::time::timeout(SECOND, stream.read(&mut data)).await;
    assert!(more.is_err());
    peer.expect(Header::window(1, Flags::NONE, 128 << 10)).await;
}

#[tokio::test(start_paused = true)]
async fn point_5_pings_are_answered() {
    let (_server, mut peer) = server_and_peer();
    peer.send(Header::ping(Flags::SYN, 42)).await;
    peer.expect(Header::ping(Flags::ACK, 42)).await;
}

#[tokio::test(start_paused = true)]
async fn point_5_first_ping_after_30_s_and_end_at_40_s() {
    let began = Instant::now();
    let (mut server, mut peer) = server_and_peer();
    peer.expect(Header::ping(Flags::SYN, 0)).await;
    assert_eq!(began.elapsed().as_secs(), 30);
    let end = server.end().await;
    assert_eq!(began.elapsed().as_secs(), 40);
    assert!(matches!(end, SessionEnd::KeepaliveTimeout), "{end:?}");
    assert_eq!(end.to_string(), "keepalive timeout");
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn point_5_next_ping_an_interval_after_the_answer() {
    let began = Instant::now();
    let (_server, mut peer) = server_and_peer();
    for opaque in 0..5 {
        peer.expect(Header::ping(Flags::SYN, opaque)).await;
        assert_eq!(began.elapsed().as_secs(), u64::from(opaque) * 31 + 30);
        tokio::time::sleep(SECOND).await;
        peer.send(Header::ping(Flags::ACK, opaque)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn point_5_no_pings_when_off() {
    let (server, mut peer) = server_and_peer_with(Config { keepalive_interval: None, ..Config::default() });
    let silence = tokio::time::timeout(1000 * SECOND, peer.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn point_6_close_is_one_fin_without_data() {
    let (server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    stream.write_all(b"bye").await.unwrap();
    stream.shutdown().await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    peer.expect_data(1, b"bye").await;
    peer.expect(Header::window(1, Flags::FIN, 0)).await;
    peer.send(Header::window(1, Flags::FIN, 0)).await;
    peer.send(Header::window(1, Flags::FIN, 0)).await;
    accepted(&server, &mut peer, 1).await;
}

#[tokio::test(start_paused = true)]
async fn point_6_a_second_fin_ends_the_session() {
    let (mut server, mut peer) = server_and_peer();
    let _stream = accepted(&server, &mut peer, 1).await;
    peer.send(Header::window(1, Flags::FIN, 0)).await;
    peer.send(Header::window(1, Flags::FIN, 0)).await;
    let end = server.end().await;
    assert!(matches!(end, SessionEnd::Protocol(ProtocolError::UnexpectedFlag)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn point_7_reading_goes_on_after_our_fin() {
    let (server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    stream.shutdown().await.unwrap();
    peer.expect(Header::window(1, Flags::FIN, 0)).await;
    peer.send_data(1, b"answer").await;
    peer.send(Header::window(1, Flags::FIN, 0)).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    let error = stream.write_all(b"x").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn point_8_close_sends_no_goaway() {
    let (mut server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    stream.write_all(b"last words").await.unwrap();
    server.session.close();
    peer.expect_data(1, b"last words").await;
    peer.expect_end().await;
    assert!(stream.read_u8().await.is_err());
    drop(peer);
    assert!(matches!(server.end().await, SessionEnd::Closed));
}

#[tokio::test(start_paused = true)]
async fn point_8_goaway_0_stops_our_opens_only() {
    let (server, mut peer) = server_and_peer();
    peer.send(Header::go_away(0)).await;
    accepted(&server, &mut peer, 1).await;
    assert!(matches!(server.session.open().await, Err(OpenError::RemoteGoAway)));
}

#[tokio::test(start_paused = true)]
async fn point_8_other_goaways_end_the_session() {
    for (code, text) in
        [(1, "yamux protocol error"), (2, "remote yamux internal error"), (3, "unexpected go away received")]
    {
        let (mut server, mut peer) = server_and_peer();
        peer.send(Header::go_away(code)).await;
        assert_eq!(server.end().await.to_string(), text);
        peer.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn point_9_a_transport_that_takes_nothing_ends_the_session_after_10_s() {
    let (ours, mut theirs) = duplex(1000);
    let mut server = Running::start(false, ours, Config::default());
    theirs.write_all(&Header::window(1, Flags::SYN, 0).encode()).await.unwrap();
    let mut stream = server.session.accept().await.unwrap();
    let began = Instant::now();
    stream.write_all(&[0; 5000]).await.unwrap();
    let end = server.end().await;
    assert!(matches!(end, SessionEnd::WriteTimeout), "{end:?}");
    assert_eq!(end.to_string(), "connection write timeout");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn point_9_a_slow_transport_is_no_dead_one() {
    let (ours, mut theirs) = duplex(1000);
    let server = Running::start(false, ours, Config { keepalive_interval: None, ..Config::default() });
    theirs.write_all(&Header::window(1, Flags::SYN, 0).encode()).await.unwrap();
    let mut stream = server.session.accept().await.unwrap();
    stream.write_all(&[0; 5000]).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(9 * SECOND).await;
        theirs.read_exact(&mut [0; 1000]).await.unwrap();
    }
    assert!(!server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn point_10_a_protocol_error_closes_the_transport() {
    let (mut server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    peer.send(Header::data(1, 262_145)).await;
    let end = server.end().await;
    assert!(matches!(end, SessionEnd::Protocol(ProtocolError::WindowExceeded)), "{end:?}");
    peer.expect(Header::go_away(1)).await;
    peer.expect_end().await;
    assert!(stream.read_u8().await.is_err());
    assert!(server.session.accept().await.is_none());
    assert!(matches!(server.session.open().await, Err(OpenError::Ended(_))));
    assert!(server.session.closed().await.to_string().contains("recv window exceeded"));
}

#[tokio::test(start_paused = true)]
async fn point_10_a_login_without_mux_closes_without_goaway() {
    let (mut server, mut peer) = server_and_peer();
    peer.io.write_all(b"o\0\0\0\0\0\0\0\xad{\"version\"").await.unwrap();
    let end = server.end().await;
    assert!(matches!(end, SessionEnd::Protocol(ProtocolError::InvalidVersion)), "{end:?}");
    peer.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn point_11_a_dropped_stream_leaves_the_session_alone() {
    let (server, mut peer) = server_and_peer();
    drop(accepted(&server, &mut peer, 1).await);
    peer.expect(Header::window(1, Flags::FIN, 0)).await;
    accepted(&server, &mut peer, 3).await;
}

#[tokio::test(start_paused = true)]
async fn point_12_an_unanswered_fin_gets_rst_after_5_minutes() {
    let began = Instant::now();
    let (server, mut peer) = server_and_peer_with(Config { keepalive_interval: None, ..Config::default() });
    drop(accepted(&server, &mut peer, 1).await);
    peer.expect(Header::window(1, Flags::FIN, 0)).await;
    peer.expect(Header::window(1, Flags::RST, 0)).await;
    assert_eq!(began.elapsed().as_secs(), 300);
    assert_eq!(server.session.num_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn table_an_open_that_is_not_acknowledged_ends_the_session_after_75_s() {
    let began = Instant::now();
    let (mut client, mut peer) = client_and_peer();
    let _stream = client.session.open().await.unwrap();
    peer.expect(Header::window(1, Flags::SYN, 0)).await;
    for opaque in 0..2 {
        peer.expect(Header::ping(Flags::SYN, opaque)).await;
        peer.send(Header::ping(Flags::ACK, opaque)).await;
    }
    let end = client.end().await;
    assert!(matches!(end, SessionEnd::OpenTimeout), "{end:?}");
    assert_eq!(began.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn table_the_257th_open_waits_for_an_acknowledgement() {
    let (client, mut peer) = client_and_peer();
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(client.session.open().await.unwrap());
    }
    let waits = tokio::time::timeout(5 * SECOND, client.session.open()).await;
    assert!(waits.is_err());
    peer.send(Header::window(9, Flags::ACK, 0)).await;
    streams.push(client.session.open().await.unwrap());
    // A reset one gives its place back too.
    peer.send(Header::window(11, Flags::RST, 0)).await;
    streams.push(client.session.open().await.unwrap());
    let waits = tokio::time::timeout(5 * SECOND, client.session.open()).await;
    assert!(waits.is_err());
}

#[tokio::test(start_paused = true)]
async fn table_the_257th_waiting_stream_is_reset() {
    let (server, mut peer) = server_and_peer();
    for id in 0..257 {
        peer.send(Header::window(1 + 2 * id, Flags::SYN, 0)).await;
    }
    peer.expect(Header::window(513, Flags::RST, 0)).await;
    for id in 0..256 {
        assert_eq!(server.session.accept().await.unwrap().id(), 1 + 2 * id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_round_trip_is_measured_acknowledges_with_the_window_for_it() {
    let (server, mut peer) = server_and_peer();
    let _control = accepted(&server, &mut peer, 1).await;
    server.session.measure_round_trip();
    peer.expect(Header::ping(Flags::SYN, 0)).await;
    tokio::time::advance(Duration::from_millis(20)).await;
    peer.send(Header::ping(Flags::ACK, 0)).await;
    peer.send(Header::window(3, Flags::SYN, 0)).await;
    let _bulk = server.session.accept().await.unwrap();
    peer.expect(Header::window(3, Flags::ACK, 2_500_000 - (256 << 10))).await;
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_that_is_known_is_not_measured_again() {
    let (server, mut peer) = server_and_peer();
    server.session.measure_round_trip();
    peer.expect(Header::ping(Flags::SYN, 0)).await;
    peer.send(Header::ping(Flags::ACK, 0)).await;
    // What comes before it has been taken by then.
    let _first = accepted(&server, &mut peer, 1).await;
    server.session.measure_round_trip();
    let _second = accepted(&server, &mut peer, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_sends_no_pings_measures_nothing() {
    let (server, mut peer) = server_and_peer_with(Config { keepalive_interval: None, ..Config::default() });
    server.session.measure_round_trip();
    let _stream = accepted(&server, &mut peer, 1).await;
}
