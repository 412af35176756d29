//! Everything ends: whoever waits learns of it, and so does the driver.

use super::*;

#[test]
fn close_ends_whoever_waits() {
    check(|| {
        let (session, driver, peer) = session(true, 1000, config());
        let driver = go(driver);
        let waiting = session.clone();
        let acceptor = go(async move { waiting.accept().await.is_none() });
        let waiting = session.clone();
        let reader = go(async move {
            // Closed before it is open, or later.
            let Ok(mut stream) = waiting.open().await else { return };
            assert!(stream.read(&mut [0]).await.is_err());
        });
        let peer = go(peer.drain());
        session.close();
        assert!(acceptor.join().unwrap());
        reader.join().unwrap();
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
        assert!(matches!(block_on(session.closed()), SessionEnd::Closed));
    });
}

#[test]
fn close_ends_a_writer_and_a_blocked_driver() {
    check(|| {
        let (session, driver, peer) = session(true, 16, Config { accept_backlog: 1, ..config() });
        let driver = go(driver);
        let waiting = session.clone();
        let writer = go(async move {
            let Ok(mut stream) = waiting.open().await else { return };
            // Nobody reads the transport before the session is closed.
            while stream.write(b"more").await.is_ok() {}
            assert!(waiting.open().await.is_err());
        });
        session.close();
        writer.join().unwrap();
        let peer = go(peer.drain());
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
    });
}

#[test]
fn the_peers_end_is_everyones() {
    check(|| {
        let (session, driver, mut peer) = session(true, 1000, Config { accept_backlog: 1, ..config() });
        let driver = go(driver);
        let waiting = session.clone();
        let opener = go(async move {
            let Ok(mut stream) = waiting.open().await else { return };
            // The peer does not acknowledge it.
            assert!(waiting.open().await.is_err());
            assert!(stream.read(&mut [0]).await.is_err());
        });
        let closed = go(async move {
            session.closed().await;
            assert!(session.accept().await.is_none());
        });
        let peer = go(async move {
            let _ = peer.frame().await;
        });
        peer.join().unwrap();
        opener.join().unwrap();
        closed.join().unwrap();
        driver.join().unwrap();
    });
}

#[test]
fn a_driver_that_is_dropped_ends_whoever_waits() {
    check(|| {
        let (session, mut driver, peer) = session(true, 1000, config());
        // It runs for a moment, and then its task is aborted.
        let driver = go(async move {
            std::future::poll_fn(|cx| {
                let _ = std::pin::Pin::new(&mut driver).poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
            drop(driver);
        });
        let waiting = session.clone();
        let acceptor = go(async move { assert!(waiting.accept().await.is_none()) });
        let user = go(async move {
            let Ok(mut stream) = session.open().await else { return };
            while stream.write(b"more").await.is_ok() {}
            assert!(stream.read(&mut [0]).await.is_err());
        });
        driver.join().unwrap();
        acceptor.join().unwrap();
        user.join().unwrap();
        drop(peer);
    });
}

#[test]
fn the_last_handle_ends_the_driver() {
    check(|| {
        let (session, driver, peer) = session(true, 1000, config());
        let stream = block_on(session.open()).unwrap();
        let driver = go(driver);
        let peer = go(peer.drain());
        let other = go(async move { drop(stream) });
        drop(session);
        other.join().unwrap();
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
    });
}

#[test]
fn what_was_queued_goes_out_before_a_dropped_stream_ends() {
    check(|| {
        let (session, driver, mut peer) = session(true, 1000, config());
        let driver = go(driver);
        let writer = go(async move {
            let mut stream = session.open().await.unwrap();
            stream.write_all(b"six by").await.unwrap();
        });
        let peer = go(async move {
            let (mut bytes, mut finished) = (Vec::new(), false);
            while let Some((header, payload)) = peer.frame().await {
                assert!(!finished && !header.flags.has(Flags::RST));
                bytes.extend(payload);
                finished |= header.flags.has(Flags::FIN);
            }
            assert!(finished);
            bytes
        });
        writer.join().unwrap();
        assert_eq!(peer.join().unwrap(), b"six by");
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
    });
}

#[test]
fn a_reset_ends_reader_and_writer() {
    check(|| {
        let (session, driver, mut peer) = session(true, 1000, config());
        let driver = go(driver);
        let user = go(async move {
            let mut stream = session.open().await.unwrap();
            while stream.write(b"more").await.is_ok() {}
            assert!(stream.read(&mut [0]).await.is_err());
            session
        });
        let peer = go(async move {
            peer.frame().await.unwrap();
            peer.send(Header::window(1, Flags::RST, 0), b"").await;
            peer.drain().await;
        });
        let session = user.join().unwrap();
        assert_eq!(session.num_streams(), 0);
        drop(session);
        peer.join().unwrap();
        assert!(matches!(driver.join().unwrap(), SessionEnd::Closed));
    });
}
