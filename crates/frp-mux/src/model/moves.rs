//! Bytes and streams arrive whole.

use super::*;

/// Frames of the session until `ends` streams have ended: what each of the streams 1, 3, … carried.
async fn collect(peer: &mut Peer, ends: usize) -> Vec<Vec<u8>> {
    let mut streams = vec![Vec::new(); 2];
    let mut left = ends;
    while left > 0 {
        let (header, payload) = peer.frame().await.unwrap();
        assert!(!header.flags.has(Flags::RST));
        streams[header.stream as usize / 2].extend(payload);
        left -= usize::from(header.flags.has(Flags::FIN));
    }
    streams
}

#[test]
fn what_a_stream_writes_reaches_the_peer() {
    // Neither the queue nor the transport holds it: the writer waits for the driver, and the driver for the peer.
    check(|| {
        let (session, driver, mut peer) = session(true, 16, config());
        let driver = go(driver);
        let writer = go(async move {
            let mut stream = session.open().await.unwrap();
            write_all(&mut stream, b"seven b").await;
            // Not dropped before the peer has it all: the end of the last handle is another model's.
            (session, stream)
        });
        let peer = go(async move {
            assert_eq!(collect(&mut peer, 1).await[0], b"seven b");
        });
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::PeerClosed | SessionEnd::Transport(_)));
        drop(writer.join().unwrap());
    });
}

#[test]
fn what_two_streams_write_reaches_the_peer() {
    check(|| {
        let (session, driver, mut peer) = session(true, 64, config());
        let driver = go(driver);
        let writers = [b"one", b"two"].map(|data| {
            let session = session.clone();
            go(async move {
                let mut stream = session.open().await.unwrap();
                write_all(&mut stream, data).await;
                (stream.id(), data, stream)
            })
        });
        let peer = go(async move { collect(&mut peer, 2).await });
        let came = peer.join().unwrap();
        for writer in writers {
            let (id, data, _stream) = writer.join().unwrap();
            assert_eq!(came[id as usize / 2], data);
        }
        drop(session);
        driver.join().unwrap();
    });
}

#[test]
fn what_the_peer_sends_reaches_the_reader() {
    check(|| {
        let (session, driver, mut peer) = session(false, 1000, config());
        let driver = go(driver);
        let reader = go(async move {
            let mut stream = session.accept().await.unwrap();
            let bytes = read_all(&mut stream).await;
            stream.shutdown().await.unwrap();
            bytes
        });
        let peer = go(async move {
            peer.send(Header::window(1, Flags::SYN, 0), b"").await;
            peer.send(Header::data(1, 3), b"one").await;
            peer.send(Header::data(1, 3), b"two").await;
            peer.send(Header::window(1, Flags::FIN, 0), b"").await;
            // The last handle goes with the reader, and the session with it.
            let (mut acknowledged, mut finished) = (false, false);
            while let Some((header, _)) = peer.frame().await {
                acknowledged |= header.flags.has(Flags::ACK);
                finished |= header.flags.has(Flags::FIN);
                assert!(!header.flags.has(Flags::RST));
            }
            assert!(acknowledged && finished);
        });
        assert_eq!(reader.join().unwrap(), b"onetwo");
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
    });
}

#[test]
fn two_wait_to_accept_and_both_get_one() {
    check(|| {
        let (session, driver, mut peer) = session(false, 1000, config());
        let driver = go(driver);
        let acceptors = [(); 2].map(|()| {
            let session = session.clone();
            go(async move { session.accept().await.unwrap() })
        });
        let peer = go(async move {
            peer.send(Header::window(1, Flags::SYN, 0), b"").await;
            peer.send(Header::window(3, Flags::SYN, 0), b"").await;
            peer.drain().await;
        });
        let mut ids = acceptors.map(|acceptor| acceptor.join().unwrap().id());
        ids.sort_unstable();
        assert_eq!(ids, [1, 3]);
        drop(session);
        peer.join().unwrap();
        driver.join().unwrap();
    });
}

#[test]
fn a_stream_waits_until_another_is_acknowledged() {
    check(|| {
        let (session, driver, mut peer) = session(true, 1000, Config { accept_backlog: 1, ..config() });
        let driver = go(driver);
        let opener = go(async move {
            let first = session.open().await.unwrap();
            let second = session.open().await.unwrap();
            (session, first, second)
        });
        let peer = go(async move {
            for id in [1, 3] {
                let (header, _) = peer.frame().await.unwrap();
                assert_eq!((header.stream, header.flags), (id, Flags::SYN));
                peer.send(Header::window(id, Flags::ACK, 0), b"").await;
            }
            peer
        });
        let peer = peer.join().unwrap();
        let handles = opener.join().unwrap();
        drop(peer);
        driver.join().unwrap();
        drop(handles);
    });
}

#[test]
fn a_reader_lets_the_peer_go_on() {
    // The peer fills the window and sends more only when the reader has made room for it.
    check_some(500, || {
        let window = crate::INITIAL_WINDOW;
        let (session, driver, mut peer) = session(false, 1 << 20, config());
        let driver = go(driver);
        let reader = go(async move {
            let mut stream = session.accept().await.unwrap();
            let mut buffer = vec![0; 1 << 20];
            let mut total = 0;
            while let count @ 1.. = stream.read(&mut buffer).await.unwrap() {
                total += count;
            }
            total
        });
        let peer = go(async move {
            peer.send(Header::window(1, Flags::SYN, 0), b"").await;
            peer.send(Header::data(1, window), &vec![7; window as usize]).await;
            loop {
                let (header, _) = peer.frame().await.unwrap();
                if header.kind == Kind::WindowUpdate && header.length > 0 {
                    break;
                }
                if header.kind == Kind::Ping {
                    peer.send(Header::ping(Flags::ACK, header.length), b"").await;
                }
            }
            peer.send(Header::data(1, 1), b"x").await;
            peer.send(Header::window(1, Flags::FIN, 0), b"").await;
            peer.drain().await;
        });
        assert_eq!(reader.join().unwrap(), window as usize + 1);
        peer.join().unwrap();
        driver.join().unwrap();
    });
}

#[test]
fn a_request_and_its_answer_pass_two_sessions() {
    check(|| {
        let (near, far) = wire(16);
        let (client, client_driver) = Session::client(near, config());
        let (server, server_driver) = Session::server(far, config());
        let drivers = [go(client_driver), go(server_driver)];
        let server = go(async move {
            let mut stream = server.accept().await.unwrap();
            assert_eq!(read_all(&mut stream).await, b"what");
            write_all(&mut stream, b"that").await;
        });
        let client = go(async move {
            let mut stream = client.open().await.unwrap();
            write_all(&mut stream, b"what").await;
            assert_eq!(read_all(&mut stream).await, b"that");
        });
        client.join().unwrap();
        server.join().unwrap();
        drivers.into_iter().for_each(|driver| {
            driver.join().unwrap();
        });
    });
}
