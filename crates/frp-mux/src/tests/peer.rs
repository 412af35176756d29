//! Hostile peers.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_streams_before_login_are_refused() {
    let (server, peer) = server_and_peer_with(Config { inbound_limit: 8, ..Config::default() });
    let (mut reader, mut writer) = tokio::io::split(peer.io);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for id in 0..100_000 {
            writer.write_all(&Header::window(1 + 2 * id, Flags::SYN, 0).encode()).await.unwrap();
        }
        writer.write_all(&Header::ping(Flags::SYN, 7).encode()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let mut refused = 0;
    loop {
        let mut bytes = [0; HEADER_LEN];
        reader.read_exact(&mut bytes).await.unwrap();
        let header = Header::decode(bytes).unwrap();
        if header.kind == Kind::Ping {
            break;
        }
        assert_eq!(header.flags, Flags::RST);
        refused += 1;
    }
    assert_eq!(refused, 100_000 - 8);
    assert_eq!(server.session.num_streams(), 8);
    assert!(server.session.accept().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_floods_and_does_not_read_is_not_listened_to() {
    let (ours, mut theirs) = duplex(4096);
    let mut server = Running::start(false, ours, Config::default());
    let ping = Header::ping(Flags::SYN, 1).encode().repeat(64);
    let flood = async {
        let mut total = 0;
        while theirs.write_all(&ping).await.is_ok() {
            total += ping.len();
        }
        total
    };
    let total = flood.await;
    assert!(total < 300_000, "{total} bytes of pings were taken, none of the answers was");
    assert!(matches!(server.end().await, SessionEnd::WriteTimeout));
}

#[tokio::test]
async fn a_flood_of_nothing_does_not_hide_that_nothing_is_read() {
    // In real time: a busy session never comes to rest, and its deadlines hold all the same.
    let (ours, mut theirs) = duplex(4096);
    let config = Config { write_timeout: std::time::Duration::from_millis(20), ..Config::default() };
    let mut server = Running::start(false, ours, config);
    theirs.write_all(&Header::window(1, Flags::SYN, 0).encode()).await.unwrap();
    let mut stream = server.session.accept().await.unwrap();
    stream.write_all(&[0; 50_000]).await.unwrap();
    let junk = [&Header::data(99, 1000).encode()[..], &[0; 1000]].concat();
    while theirs.write_all(&junk).await.is_ok() {}
    assert!(matches!(server.end().await, SessionEnd::WriteTimeout));
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_and_then_the_end() {
    for cut in 1..HEADER_LEN {
        let (mut server, mut peer) = server_and_peer();
        peer.io.write_all(&Header::data(1, 5).encode()[..cut]).await.unwrap();
        drop(peer);
        assert!(matches!(server.end().await, SessionEnd::PeerClosed));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_is_an_error_and_not_the_end_of_the_stream() {
    let (server, mut peer) = server_and_peer();
    let mut stream = accepted(&server, &mut peer, 1).await;
    peer.send_data(1, b"part").await;
    drop(peer);
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(got, b"part");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(stream.write_all(b"x").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reset_reaches_reader_and_writer() {
    let (server, mut peer) = server_and_peer();
    let stream = accepted(&server, &mut peer, 1).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { reader.read_u8().await.unwrap_err().kind() });
    tasks.spawn(async move { writer.write_all(&vec![0; 1 << 20]).await.unwrap_err().kind() });
    peer.expect_data(1, &vec![0; 64 << 10]).await;
    peer.send(Header::window(1, Flags::RST, 0)).await;
    for kind in tasks.join_all().await {
        assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
    }
}
