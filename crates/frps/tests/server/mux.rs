//! Many streams in one connection.

use std::time::Duration;

use frp_mux::{Config, MuxStream, Session};
use frp_net::tls::{ClientTls, ClientTlsOptions, write_marker};
use frp_proto::crypto::key;
use frp_proto::msg::{Login, Message};
use frp_stream::Stream;
use frp_stream::message::{control_channel, read_message, write_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::*;

/// How long a stranger may stay silent.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

async fn server() -> Frps {
    Frps::with(|config| config.transport.tcp_mux = Some(true)).await
}

/// A session over a connection; its driver stops with the set.
pub(crate) fn session(stream: Stream) -> (Session, JoinSet<()>) {
    let (session, driver) = Session::client(stream, Config::default());
    let mut driving = JoinSet::new();
    driving.spawn(async {
        let _ = driver.await;
    });
    (session, driving)
}

async fn open(session: &Session) -> MuxStream {
    soon(session.open()).await.unwrap()
}

async fn logged_in(session: &Session) -> Client {
    Client::login_on(Stream::boxed(open(session).await)).await
}

async fn work_conn(session: &Session, client: &Client) -> Stream {
    client.work_conn_on(Stream::boxed(open(session).await)).await
}

/// A user is served over streams of `session`.
async fn carries_a_byte(session: &Session) {
    let mut client = logged_in(session).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let mut work = work_conn(session, &client).await;
    started(&mut work).await;
    say(&mut user, "x").await;
    hear(&mut work, "x").await;
    say(&mut work, "y").await;
    hear(&mut user, "y").await;
}

#[tokio::test]
async fn control_and_work_connections_are_streams_of_one_session() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    carries_a_byte(&session).await;
    frps.stop().await;
    soon(session.closed()).await;
}

#[tokio::test]
async fn a_service_that_sends_to_a_user_gone_after_its_end_is_told() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut client = logged_in(&session).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let mut work = work_conn(&session, &client).await;
    started(&mut work).await;
    say(&mut user, "question").await;
    user.shutdown().await.unwrap();
    hear(&mut work, "question").await;
    assert_eq!(soon(work.read(&mut [0])).await.unwrap(), 0);
    drop(user);
    // Not swallowed until halfCloseTimeout has passed.
    let error = soon(async {
        loop {
            if let Err(error) = work.write_all(&[0; 1000]).await {
                return error;
            }
        }
    });
    assert_eq!(error.await.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn tls_is_recognised_with_and_without_its_marker() {
    for marked in [false, true] {
        let frps = Frps::with(|config| {
            config.transport.tcp_mux = Some(true);
            config.transport.tls.force = true;
        })
        .await;
        let options = ClientTlsOptions { server_name: "127.0.0.1".to_owned(), ..ClientTlsOptions::default() };
        let tls = ClientTls::new(&options).unwrap();
        let mut stream = frps.connect().await;
        if marked {
            write_marker(&mut stream).await.unwrap();
        }
        let stream = soon(tls.connect(stream)).await.unwrap();
        let (session, _driving) = session(stream);
        carries_a_byte(&session).await;
    }
}

#[tokio::test]
async fn streams_before_login_are_bounded_and_the_session_lives_on() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut opened = Vec::new();
    for _ in 0..40 {
        opened.push(open(&session).await);
    }
    let mut ended = 0;
    for stream in &mut opened[16..] {
        assert!(matches!(soon(stream.read(&mut [0])).await, Ok(0) | Err(_)));
        ended += 1;
    }
    assert_eq!(ended, 24);
    drop(opened);
    // Room again once those are gone, and no bound once the client is known.
    let client = soon(async {
        loop {
            let mut stream = Stream::boxed(open(&session).await);
            let sent = write_message(&mut stream, &login().into()).await.is_ok();
            if sent && let Ok(Message::LoginResp(response)) = read_message(&mut stream).await {
                let (reader, writer) = control_channel(stream, &key::derive(TOKEN.as_bytes()));
                return Client { addr: frps.addr, run_id: response.run_id, reader, writer };
            }
        }
    })
    .await;
    let mut work = Vec::new();
    for _ in 0..10 {
        work.push(work_conn(&session, &client).await);
    }
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(open(&session).await);
    }
    let mut refused = work_conn(&session, &client).await;
    assert_eq!(started(&mut refused).await.error, "work connection pool is full, discarding");
}

#[tokio::test]
async fn a_second_session_may_carry_work_connections_of_the_first() {
    let frps = server().await;
    let (first, _first_driving) = session(frps.connect().await);
    let (second, _second_driving) = session(frps.connect().await);
    let mut client = logged_in(&first).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let mut work = work_conn(&second, &client).await;
    started(&mut work).await;
    say(&mut user, "x").await;
    hear(&mut work, "x").await;
}

#[tokio::test]
async fn replacing_a_control_leaves_its_session() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut old = logged_in(&session).await;
    let mut stream = Stream::boxed(open(&session).await);
    let again = Login { run_id: old.run_id.clone(), ..login() };
    write_message(&mut stream, &again.into()).await.unwrap();
    assert!(matches!(soon(read_message(&mut stream)).await.unwrap(), Message::LoginResp(_)));
    old.ended().await;
    assert!(!session.is_closed());
}

#[tokio::test]
async fn a_session_whose_login_was_refused_ends_when_no_stream_follows() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut stream = Stream::boxed(open(&session).await);
    write_message(&mut stream, &Login::default().into()).await.unwrap();
    let Message::LoginResp(response) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
    assert_eq!(response.error, "token in login doesn't match token from configuration");
    assert!(closed(&mut stream).await);
    // Nothing happens from here on but timers, so the paused clock runs from one to the next.
    tokio::time::pause();
    let start = Instant::now();
    session.closed().await;
    assert!(start.elapsed() <= 2 * FIRST_MESSAGE_TIMEOUT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_session_that_logs_in_after_a_refusal_stays() {
    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut stream = Stream::boxed(open(&session).await);
    write_message(&mut stream, &Login::default().into()).await.unwrap();
    assert!(matches!(soon(read_message(&mut stream)).await.unwrap(), Message::LoginResp(_)));
    let _client = logged_in(&session).await;
    tokio::time::pause();
    let ended = tokio::time::timeout(3 * FIRST_MESSAGE_TIMEOUT, session.closed()).await;
    assert!(ended.is_err());
}

#[tokio::test]
async fn a_hundred_downloads_under_a_limit_take_little_from_the_service() {
    /// What one of them may hold of the service's bytes, wherever that is.
    const EACH: usize = 1 << 20;
    /// Longer than a stream with room takes to take a piece. A slow machine makes this test pass too early, never fail.
    const STALLED: Duration = Duration::from_millis(300);

    let frps = server().await;
    let (session, _driving) = session(frps.connect().await);
    let mut client = logged_in(&session).await;
    let mut message = tcp("p", 0);
    message.bandwidth_limit = "1KB".to_owned();
    message.bandwidth_limit_mode = "server".to_owned();
    let port = client.start(message).await;
    let (mut users, mut services) = (Vec::new(), JoinSet::new());
    for _ in 0..100 {
        users.push(user(port).await);
        let mut work = work_conn(&session, &client).await;
        started(&mut work).await;
        services.spawn(async move {
            let (mut taken, piece) = (0, [7; 64 << 10]);
            while let Ok(written) = tokio::time::timeout(STALLED, work.write(&piece)).await {
                taken += written.unwrap();
                assert!(taken <= EACH, "took {taken} bytes that nobody has read");
            }
            (taken, work)
        });
    }
    let mut held = Vec::new();
    while let Some(service) = services.join_next().await {
        held.push(service.unwrap());
    }
    assert!(held.iter().any(|(taken, _)| *taken > 0));
    // The control and a user of another proxy are served beside them.
    let other = client.start(tcp("other", 0)).await;
    let mut user = user(other).await;
    let mut work = work_conn(&session, &client).await;
    started(&mut work).await;
    say(&mut user, "x").await;
    hear(&mut work, "x").await;
}
