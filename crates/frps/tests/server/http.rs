//! http proxies: routes, groups, backend connections, and what becomes of users that do odd things.

use std::time::Duration;

use frp_config::ServerConfig;
use frp_proto::msg::NewProxy;
use frp_stream::Stream;
use frp_test_support::ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: now\r\nContent-Length: 2\r\n\r\nok";

async fn server(configure: impl FnOnce(&mut ServerConfig)) -> (Frps, u16) {
    let port = ports::free();
    let frps = Frps::with(|config| {
        config.vhost_http_port = port.into();
        config.sub_domain_host = "sub.test".to_owned();
        configure(config);
    })
    .await;
    (frps, port)
}

fn http(name: &str, domains: &[&str]) -> NewProxy {
    vhost("http", name, domains)
}

fn member(name: &str, key: &str) -> NewProxy {
    vhost_member("http", name, "g.test", key)
}

async fn get(user: &mut TcpStream, host: &str) {
    say(user, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: br\r\n\r\n")).await;
}

/// Everything up to and with the empty line.
async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn body(stream: &mut TcpStream, head: &str) -> String {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    soon(stream.read_exact(&mut body)).await.unwrap();
    String::from_utf8(body).unwrap()
}

/// Answers a request over a work connection, and sees the answer at the user.
async fn answer(work: &mut Stream, user: &mut TcpStream) {
    assert!(head(work).await.starts_with("GET / HTTP/1.1\r\n"));
    say(work, OK).await;
    hear(user, OK).await;
}

#[tokio::test]
async fn clients_are_told_every_route() {
    let (frps, port) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    let all = NewProxy {
        subdomain: "www".to_owned(),
        locations: vec!["/".to_owned(), "/a".to_owned()],
        ..http("a", &["A.test", ""])
    };
    let told = client.start_at(all).await;
    let [a, www] = ["A.test", "www.sub.test"].map(|domain| format!("{domain}:{port}"));
    assert_eq!(told, [&a[..], &a, &www, &www].join(","));
    let other = NewProxy { locations: vec!["/b".to_owned(), "/a".to_owned()], ..http("b", &["a.TEST"]) };
    assert_eq!(client.refused(other).await, "router config conflict");
    let of_user = NewProxy { route_by_http_user: "u".to_owned(), ..http("b", &["a.test"]) };
    client.start_at(of_user).await;
    client.start_at(NewProxy { locations: vec!["/b".to_owned()], ..http("c", &["a.test"]) }).await;
}

/// A client that has logged in could have millions with one message.
#[tokio::test]
async fn more_routes_than_an_answer_can_name_are_refused() {
    let (frps, _) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    let numbered = |prefix: &str| (0..500).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>();
    let domains = numbered("d.");
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let all = NewProxy { locations: numbered("/"), ..http("a", &domains) };
    let refusal = client.refused(all).await;
    assert_eq!(refusal, "250000 domains with locations are more than an answer can name");
    client.start_at(http("a", &["d.1"])).await;
}

#[tokio::test]
async fn a_backend_connection_serves_one_user_after_the_other_and_ends_with_its_proxy() {
    let (frps, port) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    client.start_at(http("a", &["a.test"])).await;
    let (mut one, mut other) = (user(port).await, user(port).await);
    get(&mut one, "a.test").await;
    let (mut work, started) = client.serve().await;
    assert_eq!(started.src_port, one.local_addr().unwrap().port());
    assert_eq!((started.dst_addr.as_str(), started.dst_port), ("", 0));
    answer(&mut work, &mut one).await;
    for _ in 0..3 {
        get(&mut other, "a.test").await;
        answer(&mut work, &mut other).await;
        get(&mut one, "A.TEST:80").await;
        answer(&mut work, &mut one).await;
    }
    client.close_and_wait("a").await;
    assert!(closed(&mut work).await);
    get(&mut one, "a.test").await;
    let refusal = head(&mut one).await;
    assert!(refusal.starts_with("HTTP/1.1 404 Not Found\r\n"), "{refusal}");
    assert!(body(&mut one, &refusal).await.contains("<title>Not Found</title>"));
}

/// A server, its client with a proxy, a user that has sent a request, and the work connection that it came on.
async fn asked() -> (Frps, Client, TcpStream, Stream) {
    let (frps, port) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    client.start_at(http("a", &["a.test"])).await;
    let mut user = user(port).await;
    get(&mut user, "a.test").await;
    let (work, _) = client.serve().await;
    (frps, client, user, work)
}

#[tokio::test]
async fn requests_under_way_survive_their_proxy() {
    let (_frps, mut client, mut user, mut work) = asked().await;
    client.close_and_wait("a").await;
    answer(&mut work, &mut user).await;
    assert!(closed(&mut work).await);
}

#[tokio::test]
async fn members_of_a_group_take_turns_request_by_request() {
    let (frps, port) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    client.start_at(member("a", "k")).await;
    client.start_at(member("b", "k")).await;
    let mut user = user(port).await;
    let mut works: Vec<(Stream, String)> = Vec::new();
    for _ in 0..2 {
        get(&mut user, "g.test").await;
        let (mut work, started) = client.serve().await;
        answer(&mut work, &mut user).await;
        works.push((work, started.proxy_name));
    }
    assert_ne!(works[0].1, works[1].1);
    for turn in 0..4 {
        get(&mut user, "g.test").await;
        answer(&mut works[turn % 2].0, &mut user).await;
    }
    let elsewhere = NewProxy { custom_domains: vec!["x.test".to_owned()], ..member("c", "wrong") };
    assert_eq!(client.refused(elsewhere).await, "group params invalid");
    assert_eq!(client.refused(member("c", "wrong")).await, "group auth failed");
    let two = NewProxy { custom_domains: vec!["g.test".to_owned(), "x.test".to_owned()], ..member("c", "k") };
    assert_eq!(client.refused(two).await, "group params invalid");
    assert_eq!(client.refused(http("c", &["g.test"])).await, "router config conflict");
    client.close_and_wait(&works[0].1.clone()).await;
    for _ in 0..2 {
        get(&mut user, "g.test").await;
        answer(&mut works[1].0, &mut user).await;
    }
    client.close_and_wait(&works[1].1.clone()).await;
    // The last one has taken the domain along.
    client.start_at(http("c", &["g.test"])).await;
}

#[tokio::test]
async fn clients_and_http_users_share_a_port() {
    let port = ports::free();
    let frps = Frps::with(|config| {
        config.bind_port = port.into();
        config.vhost_http_port = port.into();
    })
    .await;
    let mut client = Client::login(&frps).await;
    assert_eq!(client.start_at(http("a", &["a.test"])).await, format!("a.test:{port}"));
    let mut user = user(port).await;
    get(&mut user, "a.test").await;
    let (mut work, _) = client.serve().await;
    answer(&mut work, &mut user).await;
    frps.stop().await;
}

#[tokio::test]
async fn a_user_that_takes_nothing_holds_its_backend_back() {
    let (_frps, _client, user, mut work) = asked().await;
    head(&mut work).await;
    say(&mut work, "HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: 1000000000\r\n\r\n").await;
    // Buffers of both TCP connections take some; then it stops.
    let chunk = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while timeout(Duration::from_millis(300), work.write_all(&chunk)).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
    drop(user);
    // What is left cannot be delivered: the backend learns that nobody reads.
    let failed = async { while work.write_all(&chunk).await.is_ok() {} };
    soon(failed).await;
}

#[tokio::test]
async fn a_route_by_fallback_is_checked_without_it() {
    let (frps, port) = server(|_| {}).await;
    let mut client = Client::login(&frps).await;
    let guarded = NewProxy {
        http_user: "u1".to_owned(),
        http_pwd: "p".into(),
        route_by_http_user: "u1".to_owned(),
        ..http("a", &["a.test"])
    };
    client.start_at(guarded).await;
    let mut user = user(port).await;
    // `u1:p`, where a proxy would not look for it.
    let request = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic dTE6cA==\r\n\r\n";
    say(&mut user, request).await;
    let refusal = head(&mut user).await;
    assert!(refusal.starts_with("HTTP/1.1 407 "), "{refusal}");
}
