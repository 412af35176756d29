use super::*;
use crate::listen::bind_tcp;
use socket2::SockRef;
use std::sync::Mutex;

async fn dial(host: &str, port: u16, options: DialOptions) -> Result<TcpStream, String> {
    dial_tcp(&Resolver::system(), host, port, &options).await.map_err(|e| e.to_string())
}

/// A port of the loopback on which nobody listens.
fn closed_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[tokio::test]
async fn connections_have_no_delay_and_keepalive() {
    let listener = bind_tcp("127.0.0.1", 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = dial("localhost", port, DialOptions::default()).await.unwrap();
    assert!(stream.nodelay().unwrap());
    assert!(SockRef::from(&stream).keepalive().unwrap());
    let stream = dial("127.0.0.1", port, DialOptions::default()).await.unwrap();
    assert!(stream.nodelay().unwrap());
    assert!(!SockRef::from(&stream).keepalive().unwrap(), "the peer is on this host");
    let options = DialOptions { keepalive: Keepalive::from_seconds(99), ..DialOptions::default() };
    let stream = dial("127.0.0.1", port, options).await.unwrap();
    assert!(SockRef::from(&stream).keepalive().unwrap(), "asked for");
    let options = DialOptions { keepalive: Keepalive::Off, ..DialOptions::default() };
    let stream = dial("127.0.0.1", port, options).await.unwrap();
    assert!(!SockRef::from(&stream).keepalive().unwrap());
}

#[tokio::test]
async fn wildcards_and_names_reach_the_local_host() {
    let listener = bind_tcp("0.0.0.0", 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["0.0.0.0", "", "localhost", "127.0.0.1"] {
        dial(host, port, DialOptions::default()).await.unwrap();
    }
    if listener.local_addr().unwrap().is_ipv6() {
        dial("::", port, DialOptions::default()).await.unwrap();
        dial("::1", port, DialOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn failures_read_like_go() {
    let port = closed_port();
    let options = DialOptions::default;
    assert_eq!(
        dial("127.0.0.1", port, options()).await.unwrap_err(),
        format!("dial tcp 127.0.0.1:{port}: connect: connection refused")
    );
    assert_eq!(
        dial("0.0.0.0", port, options()).await.unwrap_err(),
        format!("dial tcp 0.0.0.0:{port}: connect: connection refused")
    );
    assert_eq!(dial("no..host", 80, options()).await.unwrap_err(), "dial tcp: lookup no..host: no such host");
    let local_ip = Some("127.0.0.5".parse().unwrap());
    assert_eq!(
        dial("127.0.0.1", port, DialOptions { local_ip, ..options() }).await.unwrap_err(),
        format!("dial tcp 127.0.0.5:0->127.0.0.1:{port}: connect: connection refused")
    );
    assert_eq!(
        dial("::1", port, DialOptions { local_ip, ..options() }).await.unwrap_err(),
        "dial tcp: address 127.0.0.5:0: no suitable address found"
    );
    // TEST-NET-1: never ours.
    let local_ip = Some("192.0.2.1".parse().unwrap());
    assert_eq!(
        dial("127.0.0.1", port, DialOptions { local_ip, ..options() }).await.unwrap_err(),
        format!("dial tcp 192.0.2.1:0->127.0.0.1:{port}: bind: cannot assign requested address")
    );
}

#[tokio::test]
async fn errors_keep_their_kind() {
    let error = dial_tcp(&Resolver::system(), "127.0.0.1", closed_port(), &DialOptions::default()).await;
    assert_eq!(io::Error::from(error.unwrap_err()).kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn the_local_address_is_used() {
    let listener = bind_tcp("0.0.0.0", 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let local_ip = Some("127.0.0.5".parse().unwrap());
    let stream = dial("127.0.0.1", port, DialOptions { local_ip, ..DialOptions::default() }).await.unwrap();
    assert_eq!(Some(stream.local_addr().unwrap().ip()), local_ip);
}

#[tokio::test]
async fn an_unresolvable_local_address_is_ignored() {
    let resolver = Resolver::system();
    assert_eq!(local_address(&resolver, "").await, None);
    assert_eq!(local_address(&resolver, "no..host").await, None);
    assert_eq!(local_address(&resolver, "127.0.0.5").await, Some("127.0.0.5".parse().unwrap()));
    assert_eq!(local_address(&resolver, "localhost").await.map(|ip| ip.is_loopback()), Some(true));
}

#[tokio::test]
async fn a_self_connection_is_recognised() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let own = socket.local_addr().unwrap();
    let stream = socket.connect(own).await.unwrap();
    assert!(connected_to_itself(&stream, stream.peer_addr().unwrap()));

    let listener = bind_tcp("127.0.0.1", 0).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    assert!(!connected_to_itself(&stream, stream.peer_addr().unwrap()));
}

/// What a scripted destination does.
#[derive(Clone, Copy)]
enum Destination {
    Accepts,
    AcceptsAfter(u64),
    Refuses,
    IsDead,
}

use Destination::{Accepts, AcceptsAfter, IsDead, Refuses};

/// Races scripted destinations on the paused clock; gives the outcome, the milliseconds at which each attempt
/// began, and those at the end.
async fn race(destinations: &[(&str, Destination)]) -> (Result<String, String>, Vec<u128>, u128) {
    let start = Instant::now();
    let started = Mutex::new(Vec::new());
    let addresses: Vec<SocketAddr> = destinations.iter().map(|(a, _)| a.parse().unwrap()).collect();
    let connect = |address: SocketAddr| {
        started.lock().unwrap().push(start.elapsed().as_millis());
        let destination = destinations.iter().find(|(a, _)| a.parse() == Ok(address)).unwrap().1;
        async move {
            match destination {
                Accepts => Ok(address.to_string()),
                AcceptsAfter(ms) => {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    Ok(address.to_string())
                }
                Refuses => Err(("connect", io::ErrorKind::ConnectionRefused.into())),
                IsDead => std::future::pending().await,
            }
        }
    };
    let outcome = race::first_connection(&addresses, start + Duration::from_secs(10), connect).await;
    let outcome = outcome
        .map_err(|(address, failure)| DialError::Connect { local: None, address, failure }.to_string());
    (outcome, started.into_inner().unwrap(), start.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_one_head_start() {
    let (outcome, started, end) = race(&[("[2001:db8::1]:1", IsDead), ("192.0.2.1:1", Accepts)]).await;
    assert_eq!((outcome.as_deref(), started, end), (Ok("192.0.2.1:1"), vec![0, 300], 300));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_nothing() {
    let (outcome, started, end) = race(&[("192.0.2.1:1", Refuses), ("192.0.2.2:1", Accepts)]).await;
    assert_eq!((outcome.as_deref(), started, end), (Ok("192.0.2.2:1"), vec![0, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_wins_and_quick_ones_are_alone() {
    let (outcome, started, end) = race(&[("192.0.2.1:1", AcceptsAfter(299)), ("192.0.2.2:1", Accepts)]).await;
    assert_eq!((outcome.as_deref(), started, end), (Ok("192.0.2.1:1"), vec![0], 299));
    let (outcome, started, end) =
        race(&[("192.0.2.1:1", AcceptsAfter(500)), ("192.0.2.2:1", IsDead), ("192.0.2.3:1", IsDead)]).await;
    assert_eq!((outcome.as_deref(), started, end), (Ok("192.0.2.1:1"), vec![0, 300], 500));
}

#[tokio::test(start_paused = true)]
async fn the_error_is_that_of_the_first_address() {
    let (outcome, _, _) = race(&[("192.0.2.1:1", Refuses), ("192.0.2.2:1", IsDead)]).await;
    assert_eq!(outcome.unwrap_err(), "dial tcp 192.0.2.1:1: connect: connection refused");
    let (outcome, _, end) = race(&[("192.0.2.1:1", IsDead), ("192.0.2.2:1", Refuses)]).await;
    assert_eq!((outcome.unwrap_err().as_str(), end), ("dial tcp 192.0.2.1:1: i/o timeout", 10_000));
}

#[test]
fn families_alternate() {
    let mixed = |list: &[&str]| {
        let addresses = list.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 1)).collect();
        race::interleaved(addresses).iter().map(|a| a.ip().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(mixed(&["::1", "::2", "10.0.0.1", "10.0.0.2"]), ["::1", "10.0.0.1", "::2", "10.0.0.2"]);
    assert_eq!(mixed(&["10.0.0.1", "::1", "::2", "::3"]), ["10.0.0.1", "::1", "::2", "::3"]);
    assert_eq!(mixed(&["10.0.0.1", "10.0.0.2"]), ["10.0.0.1", "10.0.0.2"]);
    assert!(mixed(&[]).is_empty());
}
