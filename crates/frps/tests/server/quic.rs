//! Clients over QUIC.

use std::net::SocketAddr;
use std::time::Duration;

use frp_net::quic::{DialOptions, QuicOptions, Session, dial};
use frp_net::resolve::Resolver;
use frp_net::tls::{ClientTls, ClientTlsOptions};
use frp_proto::msg::Message;
use frp_stream::Stream;
use frp_stream::message::{read_message, write_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::support::*;

async fn server() -> Frps {
    let port = frp_test_support::ports::free();
    Frps::with(|config| config.quic_bind_port = port.into()).await
}

/// Connects and runs the tasks of the connection.
async fn session(frps: &Frps) -> Session {
    session_within(frps.quic_addr(), Duration::from_secs(10)).await.unwrap()
}

async fn session_within(address: SocketAddr, timeout: Duration) -> Option<Session> {
    let tls = ClientTls::new(&ClientTlsOptions::default()).unwrap();
    let options = DialOptions { timeout, local_ip: None, quic: QuicOptions::default() };
    let host = address.ip().to_string();
    dial(&Resolver::system(), &host, address.port(), &tls, &options, &TaskTracker::new()).await.ok()
}

async fn open(session: &Session) -> Stream {
    soon(session.open()).await.unwrap().into_stream()
}

async fn logged_in(session: &Session) -> Client {
    Client::login_on(open(session).await).await
}

async fn work_conn(session: &Session, client: &Client) -> Stream {
    client.work_conn_on(open(session).await).await
}

#[tokio::test]
async fn control_and_work_connections_are_streams_of_one_connection() {
    let frps = server().await;
    let session = session(&frps).await;
    let mut client = logged_in(&session).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let mut work = work_conn(&session, &client).await;
    started(&mut work).await;
    say(&mut user, "request").await;
    user.shutdown().await.unwrap();
    let mut request = String::new();
    soon(work.read_to_string(&mut request)).await.unwrap();
    assert_eq!(request, "request");
    say(&mut work, "answer").await;
    work.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(user.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer");
    frps.stop().await;
    assert!(soon(session.closed()).await.is_close());
}

#[tokio::test]
async fn a_client_has_more_streams_than_a_stranger() {
    let frps = server().await;
    let session = session(&frps).await;
    let client = logged_in(&session).await;
    let mut pooled = Vec::new();
    for _ in 0..40 {
        pooled.push(work_conn(&session, &client).await);
    }
}

#[tokio::test]
async fn a_lost_connection_ends_its_control() {
    let frps = server().await;
    let session = session(&frps).await;
    let mut client = logged_in(&session).await;
    let port = client.start(tcp("p", 0)).await;
    session.close();
    while !refuses(port).await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refused_login_is_answered() {
    let frps = server().await;
    let session = session(&frps).await;
    let mut stream = open(&session).await;
    let mut wrong = login();
    wrong.privilege_key = "wrong".into();
    write_message(&mut stream, &wrong.into()).await.unwrap();
    let Message::LoginResp(response) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
    assert_eq!(response.error, "token in login doesn't match token from configuration");
    assert!(closed(&mut stream).await);
}

#[tokio::test]
async fn silence_after_the_handshake_ends_after_ten_seconds() {
    for said in ["", "o\0\0\0\0\0\0\0\x09{\""] {
        let frps = server().await;
        let session = session(&frps).await;
        let mut stream = open(&session).await;
        say(&mut stream, said).await;
        tokio::time::pause();
        let start = Instant::now();
        session.closed().await;
        let elapsed = start.elapsed();
        assert!(elapsed > Duration::from_secs(5) && elapsed <= Duration::from_secs(11), "{elapsed:?}");
        tokio::time::resume();
    }
}

/// First datagrams of so many clients, none of which will say more.
async fn first_datagrams(count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut buffer = vec![0; 65_536];
    for _ in 0..count {
        // One each: a client has more than one datagram to begin with.
        let sink = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = sink.local_addr().unwrap();
        let length = tokio::select! {
            _ = session_within(address, Duration::from_secs(10)) => panic!("nobody answers there"),
            received = sink.recv(&mut buffer) => received.unwrap(),
        };
        datagrams.push(buffer[..length].to_vec());
    }
    datagrams
}

#[tokio::test]
async fn while_many_handshakes_hang_the_next_clients_prove_their_address_and_get_in() {
    const HANGING: usize = 128;
    let frps = server().await;
    let datagrams = first_datagrams(HANGING + 8).await;
    let (hanging, more) = datagrams.split_at(HANGING);
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in hanging {
        stranger.send_to(datagram, frps.quic_addr()).await.unwrap();
        // Its answer, so that none is lost in a full socket.
        let mut answer = [0; 2048];
        let answered = soon(stranger.recv(&mut answer)).await.unwrap();
        assert!(answered > 0);
    }
    let late = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in more {
        late.send_to(datagram, frps.quic_addr()).await.unwrap();
        let mut answer = [0; 2048];
        soon(late.recv(&mut answer)).await.unwrap();
        // A long header of type Retry (RFC 9000, section 17.2.5).
        assert_eq!(answer[0] & 0b1011_0000, 0b1011_0000);
    }
    let session = timeout(Duration::from_secs(3), session(&frps)).await.unwrap();
    let mut client = logged_in(&session).await;
    client.start(tcp("p", 0)).await;
}

#[tokio::test]
async fn rubbish_is_nothing() {
    let frps = server().await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagrams = first_datagrams(1).await;
    for length in [0, 1, 5, 20, 100, 1199] {
        stranger.send_to(&datagrams[0][..length], frps.quic_addr()).await.unwrap();
        stranger.send_to(&vec![0xc0; length], frps.quic_addr()).await.unwrap();
    }
    let session = session(&frps).await;
    logged_in(&session).await;
}
