//! A session over streams in memory, with the clock in hand.

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};

use frp_auth::token_source::TokenSource;
use frp_auth::{ClientAuth, Scopes, Token};
use frp_net::resolve::Resolver;
use frp_proto::msg::{NewWorkConn, ReqWorkConn, StartWorkConn};
use frp_stream::Stream;
use frp_stream::message::{message_channel, read_message, write_message};
use tokio::io::duplex;

use super::*;
use crate::client::{ClientOptions, PENDING_WORK_CONNECTIONS};
use crate::connector::MuxConnection;

const SECOND: Duration = Duration::from_secs(1);

fn shared(options: ClientOptions) -> Arc<Shared> {
    shared_with(ClientAuth::token(Token::from("secret"), Scopes::default()), options)
}

fn shared_with(auth: ClientAuth, options: ClientOptions) -> Arc<Shared> {
    Arc::new(Shared::new(options, auth, Arc::new(Resolver::system()), CancellationToken::new()))
}

/// The two ends of a multiplexed connection; the driver of the server's end runs until `stalled`.
fn mux(drivers: &mut JoinSet<()>, stalled: CancellationToken) -> (Arc<Connection>, frp_mux::Session) {
    let (near, far) = duplex(64 * 1024);
    let (session, mut near_driver) = frp_mux::Session::client(near, frp_mux::Config::default());
    let (server, mut far_driver) = frp_mux::Session::server(far, frp_mux::Config::default());
    drivers.spawn(async move {
        let _ = (&mut near_driver).await;
    });
    drivers.spawn(async move {
        tokio::select! {
            _ = &mut far_driver => {}
            () = stalled.cancelled() => pending().await,
        }
    });
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    (Arc::new(Connection::Mux(MuxConnection::of(session, local))), server)
}

/// A session whose control stream is `stream`.
fn control(stream: Stream, connection: Arc<Connection>) -> Control {
    let (reader, writer) = message_channel(stream);
    let proxies = Arc::new(Proxies::new("", &[]));
    Control {
        run_id: "run".to_owned(),
        connection,
        reader,
        writer,
        payload_framing: Framing::V1,
        wants_pings: false,
        proxies,
        visitors: Arc::from([]),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_nothing_is_given_up() {
    let mut drivers = JoinSet::new();
    let (connection, server) = mux(&mut drivers, CancellationToken::new());
    // Room for one ping.
    let (near, _far) = duplex(16);
    let options = ClientOptions { heartbeat_interval: Some(SECOND), ..ClientOptions::default() };
    let began = Instant::now();
    control(Stream::boxed(near), connection).run(shared(options)).await;
    // The second ping is begun after a second.
    assert_eq!(began.elapsed(), SECOND + WRITE_TIMEOUT);
    server.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_is_missed_even_while_no_ping_can_leave() {
    let mut drivers = JoinSet::new();
    let (connection, _server) = mux(&mut drivers, CancellationToken::new());
    let (near, _far) = duplex(16);
    let options = ClientOptions {
        heartbeat_interval: Some(SECOND),
        heartbeat_timeout: Some(5 * SECOND),
        ..ClientOptions::default()
    };
    let began = Instant::now();
    control(Stream::boxed(near), connection).run(shared(options)).await;
    assert!((5 * SECOND..=6 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_pings_gets_them_although_none_are_configured() {
    let mut drivers = JoinSet::new();
    let (connection, _server) = mux(&mut drivers, CancellationToken::new());
    let (near, mut far) = duplex(1024);
    let shared = shared(ClientOptions::default());
    let mut running = JoinSet::new();
    let control = Control { wants_pings: true, ..control(Stream::boxed(near), connection) };
    running.spawn(control.run(Arc::clone(&shared)));
    let began = Instant::now();
    // Nor are answers missed.
    for number in 0..10 {
        assert_eq!(read_message(&mut far).await.unwrap(), Ping::default().into());
        assert_eq!(began.elapsed(), number * 30 * SECOND);
    }
    shared.shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_without_a_proof_is_tried_again_soon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let source = TokenSource::File { path: path.clone() };
    let scopes = Scopes { heart_beats: true, ..Scopes::default() };
    let auth = ClientAuth::oidc_source(source, |_| {}, Token::from("secret"), scopes);
    let options = ClientOptions { heartbeat_interval: Some(30 * SECOND), ..ClientOptions::default() };
    let shared = shared_with(auth, options);
    let mut drivers = JoinSet::new();
    let (connection, _server) = mux(&mut drivers, CancellationToken::new());
    let (near, mut far) = duplex(1024);
    let mut running = JoinSet::new();
    running.spawn(control(Stream::boxed(near), connection).run(Arc::clone(&shared)));
    let began = Instant::now();
    let ping: Message = Ping { privilege_key: "proof".into(), timestamp: 0 }.into();
    // There is none at 0, 2 and 6 seconds, and after a success none at 44, 46, 50, 58 and 74.
    for (proof_at, ping_at) in [(7, 14), (75, 104)] {
        tokio::time::sleep_until(began + proof_at * SECOND).await;
        std::fs::write(&path, "proof").unwrap();
        assert_eq!(read_message(&mut far).await.unwrap(), ping);
        assert_eq!(began.elapsed(), ping_at * SECOND);
        std::fs::remove_file(&path).unwrap();
    }
    shared.shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_turns_into_a_black_hole_is_noticed() {
    let mut drivers = JoinSet::new();
    let stalled = CancellationToken::new();
    let (connection, server) = mux(&mut drivers, stalled.clone());
    let stream = connection.open().await.unwrap().stream;
    let _control_stream = server.accept().await.unwrap();
    let control = control(stream, connection);
    stalled.cancel();
    let began = Instant::now();
    control.run(shared(ClientOptions::default())).await;
    // The multiplexer's ping and the wait for its answer: 30 s and 10 s.
    assert!(began.elapsed() <= 41 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_work_connections_are_pending_and_the_others_wait_their_turn() {
    let mut drivers = JoinSet::new();
    let (connection, server) = mux(&mut drivers, CancellationToken::new());
    let (near, mut far) = duplex(1024);
    let shared = shared(ClientOptions::default());
    let reserved = Arc::clone(&shared.pending_work_connections)
        .acquire_many_owned(u32::try_from(PENDING_WORK_CONNECTIONS - 4).unwrap());
    let _reserved = reserved.await.unwrap();
    let mut running = JoinSet::new();
    running.spawn(control(Stream::boxed(near), connection).run(Arc::clone(&shared)));
    for _ in 0..100 {
        write_message(&mut far, &ReqWorkConn::default().into()).await.unwrap();
    }
    let mut pending = Vec::new();
    for _ in 0..4 {
        pending.push(server.accept().await.unwrap());
    }
    // A started connection makes room for the next one, until all requests are served.
    for _ in 4..100 {
        assert_eq!(server.num_streams(), 4);
        let mut work = pending.remove(0);
        let expected = NewWorkConn { run_id: "run".to_owned(), ..NewWorkConn::default() };
        assert_eq!(read_message(&mut work).await.unwrap(), expected.into());
        write_message(&mut work, &StartWorkConn::default().into()).await.unwrap();
        drop(work);
        pending.push(server.accept().await.unwrap());
    }
    assert_eq!(shared.pending_work_connections.available_permits(), 0);
    shared.shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
    shared.work_connections.close();
    shared.work_connections.wait().await;
    assert_eq!(shared.pending_work_connections.available_permits(), 4);
}

#[tokio::test]
async fn requests_without_end_cost_nothing() {
    let mut drivers = JoinSet::new();
    let (connection, _server) = mux(&mut drivers, CancellationToken::new());
    let session = Session {
        shared: shared(ClientOptions::default()),
        run_id: String::new(),
        connection,
        proxies: Arc::new(Proxies::new("", &[])),
        payload_framing: Framing::V1,
        wants_pings: false,
        last_pong: Mutex::new(Instant::now()),
        requested: Semaphore::new(0),
        token: CancellationToken::new(),
    };
    for _ in 0..2 * MAX_REQUESTED {
        session.request_work_connection();
    }
    assert_eq!(session.requested.available_permits(), MAX_REQUESTED);
}
