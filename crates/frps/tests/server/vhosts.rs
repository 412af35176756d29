//! https and tcpmux proxies: routes, refusals, groups, and a port that users share with clients.

use std::net::SocketAddr;

use frp_config::ServerConfig;
use frp_proto::msg::NewProxy;
use frp_stream::Stream;
use frp_test_support::ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 112];
const CONNECTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server with both kinds of virtual hosts, and where users come in.
struct Hosts {
    frps: Frps,
    https: u16,
    tcpmux: u16,
}

impl Hosts {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let (https, tcpmux) = (ports::free(), ports::free());
        let frps = Frps::with(|config| {
            config.vhost_https_port = https.into();
            config.tcpmux_http_connect_port = tcpmux.into();
            config.sub_domain_host = "sub.test".to_owned();
            configure(config);
        })
        .await;
        Self { frps, https, tcpmux }
    }
}

/// A ClientHello of TLS 1.2 that asks for `name`.
fn hello(name: &str) -> Vec<u8> {
    hello_with(name, &[])
}

/// The same of a program that says that it will speak HTTP.
fn browser_hello(name: &str) -> Vec<u8> {
    hello_with(name, b"\0\x10\0\x0b\0\x09\x08http/1.1")
}

fn hello_with(name: &str, more: &[u8]) -> Vec<u8> {
    let long = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let list = [&[0][..], &long(name.as_bytes())].concat();
    let extensions = long(&[&[0, 0][..], &long(&long(&list)), more].concat());
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
    let message = [&[1, 0][..], &long(&body)].concat();
    [&[0x16, 3, 1][..], &long(&message)].concat()
}

fn connect(host: &str) -> String {
    format!("CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n")
}

/// A user that sends `bytes` at once.
async fn sends(port: u16, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut user = user(port).await;
    soon(user.write_all(bytes.as_ref())).await.unwrap();
    user
}

/// Everything until the end of the connection.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

async fn take(stream: &mut Stream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_hello_that_comes_byte_by_byte_arrives_whole_with_what_follows_it() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    client.start_at(vhost("https", "a", &["A.test"])).await;
    let mut user = user(hosts.https).await;
    user.set_nodelay(true).unwrap();
    let hello = hello("a.TEST");
    for byte in &hello {
        user.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    say(&mut user, "and more").await;
    let (mut work, started) = client.serve().await;
    assert_eq!(started.proxy_name, "a");
    assert_eq!(
        SocketAddr::new(started.src_addr.parse().unwrap(), started.src_port),
        user.local_addr().unwrap()
    );
    assert_eq!((started.dst_addr.as_str(), started.dst_port), ("127.0.0.1", hosts.https));
    assert_eq!(take(&mut work, hello.len()).await, hello);
    hear(&mut work, "and more").await;
    say(&mut work, "answer").await;
    hear(&mut user, "answer").await;
}

#[tokio::test]
async fn a_name_of_nobody_is_refused_as_tls_servers_do() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    let mut stranger = sends(hosts.https, hello("a.test")).await;
    assert_eq!(rest(&mut stranger).await, UNRECOGNIZED_NAME);
    client.start_at(vhost("https", "a", &["a.test"])).await;
    let _user = sends(hosts.https, hello("a.test")).await;
    assert_eq!(client.serve().await.1.proxy_name, "a");
    client.close_and_wait("a").await;
    let mut late = sends(hosts.https, hello("a.test")).await;
    assert_eq!(rest(&mut late).await, UNRECOGNIZED_NAME);
    let mut plain = sends(hosts.https, "GET / HTTP/1.1\r\n\r\n").await;
    let mut byte = [0];
    assert!(matches!(soon(plain.read(&mut byte)).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn clients_are_told_every_domain() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    for (kind, port) in [("https", hosts.https), ("tcpmux", hosts.tcpmux)] {
        let all = vhost(kind, kind, &["A.test", "", "*.b.test"]);
        let told = client.start_at(NewProxy { subdomain: "www".to_owned(), ..all }).await;
        assert_eq!(told, format!("A.test:{port},*.b.test:{port},www.sub.test:{port}"));
    }
    let other = NewProxy { multiplexer: "x".to_owned(), ..vhost("tcpmux", "x", &["x.test"]) };
    assert_eq!(client.refused(other).await, "unknown multiplexer [x]");
}

#[tokio::test]
async fn a_refused_proxy_leaves_no_domain_behind() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    for kind in ["https", "tcpmux"] {
        client.start_at(vhost(kind, "a", &["a.test"])).await;
        let refused = client.refused(vhost(kind, "b", &["b.test", "A.TEST"])).await;
        assert_eq!(refused, "router config conflict");
        client.start_at(vhost(kind, "b", &["b.test"])).await;
        // Users of basic authentication tell tcpmux proxies apart, and nobody tells https proxies apart.
        let of_user = NewProxy { route_by_http_user: "u".to_owned(), ..vhost(kind, "c", &["a.test"]) };
        assert_eq!(client.new_proxy(of_user).await.error.is_empty(), kind == "tcpmux");
        for name in ["a", "b", "c"] {
            client.close_and_wait(name).await;
        }
    }
}

#[tokio::test]
async fn members_of_a_group_take_turns_and_agree_on_everything() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    for (kind, port, request) in
        [("https", hosts.https, hello("g.test")), ("tcpmux", hosts.tcpmux, connect("g.test").into_bytes())]
    {
        for name in ["a", "b", "c"] {
            client.start_at(vhost_member(kind, name, "g.test", "k")).await;
        }
        let mut turns = String::new();
        for _ in 0..6 {
            let _user = sends(port, &request).await;
            turns += &client.serve().await.1.proxy_name;
        }
        assert_eq!(turns, "abcabc");
        assert_eq!(
            client.refused(vhost_member(kind, "d", "other.test", "wrong")).await,
            "group params invalid"
        );
        assert_eq!(client.refused(vhost_member(kind, "d", "g.test", "wrong")).await, "group auth failed");
        let two = NewProxy {
            custom_domains: vec!["g.test".to_owned(), "x.test".to_owned()],
            ..vhost_member(kind, "d", "", "k")
        };
        assert_eq!(client.refused(two).await, "group params invalid");
        let alone = vhost(kind, "d", &["g.test"]);
        assert_eq!(client.refused(alone).await, "router config conflict");
        if kind == "tcpmux" {
            for other in [
                NewProxy { route_by_http_user: "u".to_owned(), ..vhost_member(kind, "d", "g.test", "k") },
                NewProxy { http_user: "u".to_owned(), ..vhost_member(kind, "d", "g.test", "k") },
                NewProxy { http_pwd: "p".into(), ..vhost_member(kind, "d", "g.test", "k") },
            ] {
                assert_eq!(client.refused(other).await, "group params invalid");
            }
        }
        client.close_and_wait("b").await;
        let mut turns = String::new();
        for _ in 0..4 {
            let _user = sends(port, &request).await;
            turns += &client.serve().await.1.proxy_name;
        }
        assert_eq!(turns, "acac");
        client.close_and_wait("a").await;
        client.close_and_wait("c").await;
        // The last one has taken the domain along.
        client.start_at(vhost(kind, "d", &["g.test"])).await;
        client.close_and_wait("d").await;
    }
}

#[tokio::test]
async fn bytes_behind_a_connect_are_kept() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    client.start_at(vhost("tcpmux", "a", &["a.test"])).await;
    let mut user = sends(hosts.tcpmux, connect("a.test") + "early").await;
    let (mut work, started) = client.serve().await;
    assert_eq!(started.proxy_name, "a");
    hear(&mut user, CONNECTED).await;
    hear(&mut work, "early").await;
    say(&mut user, "later").await;
    hear(&mut work, "later").await;
}

#[tokio::test]
async fn with_passthrough_the_service_answers() {
    let hosts = Hosts::with(|config| config.tcpmux_passthrough = true).await;
    let mut client = Client::login(&hosts.frps).await;
    client.start_at(vhost("tcpmux", "a", &["a.test"])).await;
    let mut user = sends(hosts.tcpmux, connect("a.test") + "early").await;
    let (mut work, _) = client.serve().await;
    hear(&mut work, &(connect("a.test") + "early")).await;
    say(&mut work, "HTTP/1.1 200 Mine\r\n\r\n").await;
    hear(&mut user, "HTTP/1.1 200 Mine\r\n\r\n").await;
}

#[tokio::test]
async fn credentials_are_checked_before_anything_is_said() {
    let hosts = Hosts::start().await;
    let mut client = Client::login(&hosts.frps).await;
    let guarded = NewProxy {
        http_user: "bob".to_owned(),
        http_pwd: "secret".into(),
        ..vhost("tcpmux", "a", &["a.test"])
    };
    client.start_at(guarded).await;
    let request = |field: &str| format!("CONNECT a.test:80 HTTP/1.1\r\n{field}\r\n");
    for field in ["", "Proxy-Authorization: Basic Ym9iOng=\r\n", "Authorization: Basic Ym9iOnNlY3JldA==\r\n"]
    {
        let mut stranger = sends(hosts.tcpmux, request(field) + "early").await;
        let answer = String::from_utf8(rest(&mut stranger).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 407 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("Proxy-Authenticate: Basic realm=\"Restricted\"\r\n"), "{answer}");
    }
    let mut user = sends(hosts.tcpmux, request("proxy-authorization: basic Ym9iOnNlY3JldA==\r\n")).await;
    assert_eq!(client.serve().await.1.proxy_name, "a");
    hear(&mut user, CONNECTED).await;
}

#[tokio::test]
async fn a_connect_to_nobody_is_told_so() {
    let page = "the operator's";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, page).unwrap();
    let hosts = Hosts::with(|config| config.custom_404_page = file.path().display().to_string()).await;
    let mut stranger = sends(hosts.tcpmux, connect("a.test") + "early").await;
    let answer = String::from_utf8(rest(&mut stranger).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n") && answer.ends_with(page), "{answer}");
    let mut other = sends(hosts.tcpmux, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(rest(&mut other).await.is_empty());
}

#[tokio::test]
async fn clients_and_users_of_http_and_https_share_a_port() {
    let port = ports::free();
    let frps = Frps::with(|config| {
        config.bind_port = port.into();
        config.vhost_http_port = port.into();
        config.vhost_https_port = port.into();
    })
    .await;
    let mut client = Client::login(&frps).await;
    let told = client.start_at(vhost("https", "a", &["a.test"])).await;
    assert_eq!(told, format!("a.test:{port}"));
    let hello = hello("a.test");
    let _user = sends(port, &hello).await;
    let (mut work, started) = client.serve().await;
    assert_eq!((started.proxy_name.as_str(), started.dst_port), ("a", port));
    assert_eq!(take(&mut work, hello.len()).await, hello);
    let mut stranger = sends(port, browser_hello("b.test")).await;
    assert_eq!(rest(&mut stranger).await, UNRECOGNIZED_NAME);
    let mut plain = sends(port, "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n").await;
    assert!(rest(&mut plain).await.starts_with(b"HTTP/1.1 404 "));
    frps.stop().await;
}
