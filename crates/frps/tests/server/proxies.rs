//! Starting and closing proxies: names, ports, quotas, refusals.

use frp_config::ServerConfig;
use frp_config::value::PortsRange;
use frp_proto::msg::{Message, NewProxy, Ping};
use frps::Server;

use crate::support::*;

#[tokio::test]
async fn a_byte_goes_through_and_comes_back() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("web", 0)).await;
    let mut user = user(port).await;
    let (mut work, start) = client.serve().await;
    assert_eq!(start.proxy_name, "web");
    assert_eq!((start.src_addr.as_str(), start.src_port), ("127.0.0.1", user.local_addr().unwrap().port()));
    assert_eq!((start.dst_addr.as_str(), start.dst_port), ("127.0.0.1", port));
    say(&mut user, "question").await;
    hear(&mut work, "question").await;
    say(&mut work, "answer").await;
    hear(&mut user, "answer").await;
}

#[tokio::test]
async fn an_empty_type_is_tcp() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    client.start(NewProxy { proxy_type: String::new(), ..tcp("p", 0) }).await;
}

#[tokio::test]
async fn a_name_is_taken_until_its_proxy_is_closed() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let mut other = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    assert_eq!(other.refused(tcp("p", 0)).await, "proxy [p] already exists");
    client.close_proxy("p").await;
    client.close_proxy("unknown").await;
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)), "closing has no answer of its own");
    assert!(refuses(port).await);
    assert_eq!(other.start(tcp("p", port)).await, port);
}

#[tokio::test]
async fn a_lost_client_leaves_no_name_and_no_port() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    drop(client);
    let mut other = Client::login(&frps).await;
    // The loss is noticed in its own time.
    let started = soon(async {
        loop {
            let response = other.new_proxy(tcp("p", port)).await;
            if response.error.is_empty() {
                return response.remote_addr;
            }
            assert_eq!(response.error, "proxy [p] already exists");
        }
    });
    assert_eq!(started.await, format!(":{port}"));
}

#[tokio::test]
async fn ports_are_used_not_allowed_or_unavailable() {
    // A port that is free, so that a refusal is about something else.
    let allowed = frp_test_support::ports::free();
    let foreign = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = foreign.local_addr().unwrap().port();
    let single = |port: u16| PortsRange { single: port.into(), ..PortsRange::default() };
    let frps = Frps::with(|config| config.allow_ports = vec![single(allowed), single(taken)]).await;
    let mut client = Client::login(&frps).await;
    client.start(tcp("a", allowed)).await;
    assert_eq!(client.refused(tcp("b", allowed)).await, "port already used");
    assert_eq!(client.refused(tcp("b", taken)).await, "port unavailable");
    let outside = NewProxy { remote_port: 70_000, ..tcp("b", 0) };
    assert_eq!(client.refused(outside).await, "port not allowed");
    assert_eq!(client.refused(NewProxy { remote_port: -1, ..tcp("b", 0) }).await, "port not allowed");
    assert_eq!(client.refused(tcp("b", 0)).await, "no available port");
    client.close_proxy("a").await;
    assert_eq!(client.start(tcp("b", 0)).await, allowed);
}

#[tokio::test]
async fn port_zero_gives_a_name_its_last_port() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    client.close_proxy("p").await;
    assert_eq!(client.start(tcp("p", 0)).await, port);
}

#[tokio::test]
async fn the_quota_counts_ports_and_gives_them_back() {
    let frps = Frps::with(|config| config.max_ports_per_client = 1).await;
    let mut client = Client::login(&frps).await;
    client.start(tcp("a", 0)).await;
    assert_eq!(client.refused(udp_proxy("b", 0)).await, "exceed the max_ports_per_client");
    client.close_proxy("a").await;
    client.start(udp_proxy("b", 0)).await;
    Client::login(&frps).await.start(tcp("a", 0)).await;
}

#[tokio::test]
async fn unknown_and_unbuilt_types_are_refused() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let of_type = |kind: &str| NewProxy { proxy_type: kind.to_owned(), ..tcp("p", 0) };
    assert_eq!(client.refused(of_type("sctp")).await, "unknown proxy type: sctp");
    assert_eq!(
        client.refused(of_type("xtcp")).await,
        "proxy type [xtcp] is not supported yet by this version"
    );
    client.start(tcp("p", 0)).await;
}

#[tokio::test]
async fn a_refusal_too_long_for_an_answer_is_shortened() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let name = "n".repeat(6_000);
    client.start(tcp(&name, 0)).await;
    let response = client.new_proxy(tcp(&name, 0)).await;
    assert_eq!((response.proxy_name, response.error.as_str()), (name, "new proxy error"));
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)));
}

#[tokio::test]
async fn a_proxy_bind_address_that_is_a_name_is_looked_up_at_the_start() {
    let frps = Frps::with(|config| config.proxy_bind_addr = "localhost".to_owned()).await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    user(port).await;
    client.start(udp_proxy("u", 0)).await;

    let mut config = ServerConfig { proxy_bind_addr: "no..name".to_owned(), ..ServerConfig::default() };
    config.bind_addr = "127.0.0.1".to_owned();
    config.complete();
    config.bind_port = 0;
    let error = Server::bind(&config).await.err().unwrap();
    assert_eq!(error.to_string(), "resolve proxyBindAddr: listen tcp: lookup no..name: no such host");
}
