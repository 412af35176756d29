//! Who sees which end, and when.

use std::time::Duration;

use tokio::time::timeout;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn half_close_both_ways() {
    let (client, server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(b"request").await.unwrap();
    near.shutdown().await.unwrap();
    let mut request = String::new();
    far.read_to_string(&mut request).await.unwrap();
    assert_eq!(request, "request");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0, "the end stays");
    assert_eq!(server.session.num_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drop_is_seen_within_a_second_even_with_both_queues_full() {
    let (client, server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let full = timeout(SECOND, async {
        loop {
            near.write_all(&[1; 1000]).await.unwrap();
        }
    });
    assert!(full.await.is_err());
    drop(near);
    let seen = timeout(Duration::from_millis(1100), async {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await
    });
    // Reading frees the window, so that all of it can still come, or the reset does.
    let _ = seen.await.expect("an end within a second");
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_drop_with_unread_data_resets_the_writer() {
    let (client, server) = pair(4096);
    let (near, mut far) = stream_pair(&client, &server).await;
    far.write_all(b"nobody reads this").await.unwrap();
    tokio::task::yield_now().await;
    while near.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    drop(near);
    let error = far.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_writer_to_a_dropped_stream_is_reset() {
    let (client, server) = pair(4096);
    let (near, mut far) = stream_pair(&client, &server).await;
    drop(near);
    let error = timeout(SECOND, async {
        loop {
            if let Err(error) = far.write_all(&[0; 100]).await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(error.await.unwrap().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_shutdown_and_drop_arrives() {
    let (client, server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    // The other side writes too, and nobody reads it: that must not cost it the answer.
    far.write_all(&[9; 50_000]).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        near.write_all(&[5; 500_000]).await.unwrap();
        near.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [5; 500_000]);
    tasks.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_to_a_stream_abandoned_after_its_end_is_reset_and_has_read_all() {
    let (client, server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(&[5; 100_000]).await.unwrap();
    near.shutdown().await.unwrap();
    near.abandon();
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [5; 100_000]);
    let error = timeout(SECOND, async {
        loop {
            if let Err(error) = far.write_all(&[0; 100]).await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(error.await.unwrap().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!((client.session.num_streams(), server.session.num_streams()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn abort_resets_at_once() {
    let (client, server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(b"x").await.unwrap();
    near.abort();
    let mut got = Vec::new();
    assert!(far.read_to_end(&mut got).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn close_ends_everything_within_half_a_second() {
    let (mut client, mut server) = pair(4096);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let mut tasks = JoinSet::new();
    let session = client.session.clone();
    tasks.spawn(async move {
        assert!(session.accept().await.is_none());
        assert!(matches!(session.closed().await, SessionEnd::Closed));
    });
    tokio::task::yield_now().await;
    client.session.close();
    assert!(near.write_all(b"x").await.is_err());
    assert!(near.read_u8().await.is_err());
    assert!(far.read_u8().await.is_err());
    tasks.join_all().await;
    timeout(Duration::from_millis(501), client.end()).await.unwrap();
    assert!(matches!(server.end().await, SessionEnd::PeerClosed));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_close_arrives() {
    let (client, server) = pair(100);
    let (mut streams, mut readers) = (Vec::new(), JoinSet::new());
    for _ in 0..3 {
        let (mut near, mut far) = stream_pair(&client, &server).await;
        near.write_all(&[5; 40_000]).await.unwrap();
        streams.push(near);
        readers.spawn(async move {
            let mut got = Vec::new();
            // The end of the session is an error after the data.
            let _ = far.read_to_end(&mut got).await;
            assert_eq!(got, [5; 40_000]);
        });
    }
    client.session.close();
    readers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_a_peer_that_neither_reads_nor_closes() {
    let (ours, mut theirs) = duplex(100);
    let mut server = Running::start(false, ours, Config::default());
    theirs.write_all(&Header::window(1, Flags::SYN, 0).encode()).await.unwrap();
    let mut stream = server.session.accept().await.unwrap();
    stream.write_all(&[0; 5000]).await.unwrap();
    tokio::time::sleep(SECOND).await;
    server.session.close();
    let end = timeout(Duration::from_millis(501), server.end()).await.unwrap();
    assert!(matches!(end, SessionEnd::Closed));
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_driver_ends_everything() {
    let (client, mut server) = pair(4096);
    let (mut near, _far) = stream_pair(&client, &server).await;
    server.driver.abort_all();
    assert!(near.read_u8().await.is_err());
    assert!(server.session.accept().await.is_none());
    assert!(server.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_driver() {
    let (mut client, mut server) = pair(4096);
    let (near, mut far) = stream_pair(&client, &server).await;
    let session = client.session.clone();
    let Running { session: first, driver } = client;
    drop(first);
    assert!(session.open().await.is_ok(), "a clone is as good");
    drop(session);
    client = Running { session: server.session.clone(), driver };
    far.write_all(b"still here").await.unwrap();
    let mut near = near;
    near.read_exact(&mut [0; 10]).await.unwrap();
    // Nobody can accept there any more.
    let mut refused = server.session.open().await.unwrap();
    assert!(refused.read_u8().await.is_err());
    drop(near);
    assert!(matches!(client.end().await, SessionEnd::Closed));
    drop(client);
    assert!(matches!(server.end().await, SessionEnd::PeerClosed));
}
