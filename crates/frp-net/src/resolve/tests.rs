use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// What the test's DNS server answers to a question for a name and a type.
type Answers = fn(name: &str, kind: u16) -> Answer;

enum Answer {
    Addresses(Vec<IpAddr>),
    Code(u8),
    Truncated,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const NXDOMAIN: u8 = 3;
const SERVFAIL: u8 = 2;

/// A DNS server on loopback, UDP and TCP on the same port, that counts its questions.
struct Server {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answers: Answers) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let counter = Arc::clone(&questions);
        tasks.spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok((n, peer)) = udp.recv_from(&mut buffer).await {
                counter.fetch_add(1, Ordering::Relaxed);
                udp.send_to(&reply(&buffer[..n], answers, false), peer).await.unwrap();
            }
        });
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    let answer = reply(&question, answers, true);
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        Self { address, questions, _tasks: tasks }
    }

    fn resolver(&self) -> Resolver {
        Resolver::with_server(&self.address.to_string())
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

/// Builds the reply to one question (RFC 1035, section 4).
fn reply(question: &[u8], answers: Answers, over_tcp: bool) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let label = &question[at + 1..=at + usize::from(question[at])];
        name.push_str(std::str::from_utf8(label).unwrap());
        name.push('.');
        at += label.len() + 1;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let (mut code, mut truncated, mut records) = (0, 0, Vec::new());
    match answers(&name, kind) {
        Answer::Addresses(addresses) => records = addresses,
        Answer::Code(answer) => code = answer,
        Answer::Truncated if over_tcp => records = vec![[192, 0, 2, 99].into()],
        Answer::Truncated => truncated = 2,
    }
    records.retain(|a| a.is_ipv4() == (kind == A));
    let mut out = question[..2].to_vec();
    out.extend([0x81 | truncated, 0x80 | code, 0, 1, 0, records.len().try_into().unwrap(), 0, 0, 0, 0]);
    out.extend(&question[12..at + 5]);
    for record in records {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0x0e, 0x10]);
        match record {
            IpAddr::V4(v4) => {
                out.extend([0, 4]);
                out.extend(v4.octets());
            }
            IpAddr::V6(v6) => {
                out.extend([0, 16]);
                out.extend(v6.octets());
            }
        }
    }
    out
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[tokio::test]
async fn literals_are_never_asked_for() {
    let server = Server::start(|_, _| Answer::Code(NXDOMAIN)).await;
    for resolver in [Resolver::system(), server.resolver()] {
        for literal in ["192.0.2.1", "::1", "2001:db8::1", "0.0.0.0"] {
            assert_eq!(resolver.lookup(literal).await.unwrap(), ips(&[literal]));
        }
    }
    assert_eq!(server.questions(), 0);
}

#[tokio::test]
async fn the_system_knows_localhost() {
    assert!(Resolver::system().lookup("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
}

#[tokio::test]
async fn an_impossible_name_does_not_exist() {
    let error = Resolver::system().lookup("no..host").await.unwrap_err();
    assert_eq!(error.to_string(), "lookup no..host: no such host");
    let error = Resolver::system().lookup("no\0host").await.unwrap_err();
    assert_eq!(error.cause(), &LookupCause::NoSuchHost);
}

#[tokio::test]
async fn the_configured_server_is_asked_every_time() {
    let server = Server::start(|name, _| {
        assert_eq!(name, "frps.example.com.");
        Answer::Addresses(ips(&["127.0.0.9"]))
    })
    .await;
    let resolver = server.resolver();
    assert_eq!(resolver.lookup("frps.example.com").await.unwrap(), ips(&["127.0.0.9"]));
    let first = server.questions();
    assert!(first >= 1);
    assert_eq!(resolver.lookup("frps.example.com").await.unwrap(), ips(&["127.0.0.9"]));
    assert!(server.questions() > first, "nothing is cached");
}

#[tokio::test]
async fn both_families_are_found() {
    let server = Server::start(|_, _| Answer::Addresses(ips(&["127.0.0.1", "127.0.0.2", "::1"]))).await;
    let mut found = server.resolver().lookup("both.example.com").await.unwrap();
    found.sort();
    assert_eq!(found, ips(&["127.0.0.1", "127.0.0.2", "::1"]));
}

#[tokio::test]
async fn every_address_of_a_name_is_dialled() {
    // One port, open on one address of the loopback network only.
    let listener = crate::listen::bind_tcp("127.0.0.1", 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server =
        Server::start(|_, _| Answer::Addresses(ips(&["::1", "127.0.0.3", "127.0.0.2", "127.0.0.1"]))).await;
    let options = crate::dial::DialOptions::default();
    let resolver = server.resolver();
    let dialled = crate::dial::dial_tcp(&resolver, "frps.example.com", port, &options).await;
    assert_eq!(dialled.unwrap().peer_addr().unwrap(), listener.local_addr().unwrap());
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = Server::start(|_, kind| match kind {
        AAAA => Answer::Code(SERVFAIL),
        _ => Answer::Addresses(ips(&["127.0.0.1"])),
    })
    .await;
    assert_eq!(server.resolver().lookup("v4.example.com").await.unwrap(), ips(&["127.0.0.1"]));
}

#[tokio::test]
async fn failures_read_like_go() {
    let server = Server::start(|_, _| Answer::Code(NXDOMAIN)).await;
    let error = server.resolver().lookup("nohost.example.com").await.unwrap_err();
    assert_eq!(error.to_string(), "lookup nohost.example.com: no such host");

    let server = Server::start(|_, _| Answer::Addresses(Vec::new())).await;
    let error = server.resolver().lookup("empty.example.com").await.unwrap_err();
    assert_eq!(error.to_string(), "lookup empty.example.com: no such host");

    let server = Server::start(|_, _| Answer::Code(SERVFAIL)).await;
    let error = server.resolver().lookup("broken.example.com").await.unwrap_err();
    assert_eq!(error.to_string(), "lookup broken.example.com: server misbehaving");
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let server = Server::start(|_, _| Answer::Truncated).await;
    assert_eq!(server.resolver().lookup("long.example.com").await.unwrap(), ips(&["192.0.2.99"]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_used_again() {
    // Nobody listens there yet.
    let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let resolver = Resolver::with_server(&address.to_string());
    // The paused clock jumps over the attempts' timeouts.
    let error = resolver.lookup("frps.example.com").await.unwrap_err();
    assert_eq!(error.cause(), &LookupCause::Timeout);
    tokio::time::resume();

    let udp = UdpSocket::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok((n, peer)) = udp.recv_from(&mut buffer).await {
            let answer = reply(&buffer[..n], |_, _| Answer::Addresses(ips(&["127.0.0.7"])), false);
            udp.send_to(&answer, peer).await.unwrap();
        }
    });
    assert_eq!(resolver.lookup("frps.example.com").await.unwrap(), ips(&["127.0.0.7"]));
}

#[tokio::test]
async fn the_hosts_file_comes_first() {
    let server = Server::start(|_, _| Answer::Code(NXDOMAIN)).await;
    assert!(server.resolver().lookup("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
}

#[tokio::test]
async fn a_server_must_be_an_address() {
    for server in ["dns.example.com", "1.1.1.1:port", "1.1.1.1:70000", ""] {
        let resolver = Resolver::with_server(server);
        let error = resolver.lookup("frps.example.com").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("lookup frps.example.com: dnsServer {server:?} is not an IP address")
        );
        assert_eq!(resolver.lookup("192.0.2.1").await.unwrap(), ips(&["192.0.2.1"]), "addresses still work");
    }
}

#[test]
fn port_53_where_none_is_given() {
    let address = |text| server::server_address(text).unwrap().to_string();
    assert_eq!(address("1.1.1.1"), "1.1.1.1:53");
    assert_eq!(address("1.1.1.1:5353"), "1.1.1.1:5353");
    assert_eq!(address("2606:4700::1111"), "[2606:4700::1111]:53");
    assert_eq!(address("[2606:4700::1111]:5353"), "[2606:4700::1111]:5353");
}
