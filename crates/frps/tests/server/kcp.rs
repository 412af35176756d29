//! Clients over KCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use frp_config::ServerConfig;
use frp_net::kcp;
use frp_net::resolve::Resolver;
use frp_net::tls::{ClientTls, ClientTlsOptions, write_marker};
use frp_proto::msg::Message;
use frp_stream::Stream;
use frp_stream::message::{read_message, write_message};
use frp_test_support::ports;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::*;

/// A server, and a client's side of its port.
struct Kcp {
    frps: Frps,
    port: u16,
    drivers: JoinSet<()>,
}

impl Kcp {
    async fn with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let port = ports::free();
        let frps = Frps::with(|config| {
            config.kcp_bind_port = port.into();
            configure(config);
        });
        Self { frps: frps.await, port, drivers: JoinSet::new() }
    }

    async fn connect(&mut self) -> Stream {
        let (resolver, limit) = (Resolver::system(), Duration::from_secs(10));
        let dialled = kcp::dial(&resolver, "127.0.0.1", self.port, limit, kcp::config(false)).await;
        let (stream, [_, remote], driver) = dialled.unwrap();
        assert_eq!(remote, SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        self.drivers.spawn(driver);
        stream
    }
}

/// Whether a login is answered.
async fn logs_in(mut stream: Stream) -> bool {
    if write_message(&mut stream, &login().into()).await.is_err() {
        return false;
    }
    matches!(soon(read_message(&mut stream)).await, Ok(Message::LoginResp(answer)) if answer.error.is_empty())
}

async fn secured(stream: Stream) -> Stream {
    let options = ClientTlsOptions { server_name: "a.test".to_owned(), ..ClientTlsOptions::default() };
    soon(ClientTls::new(&options).unwrap().connect(stream)).await.unwrap()
}

#[tokio::test]
async fn tls_or_none_with_its_mark_or_without() {
    let mut kcp = Kcp::with(|_| {}).await;
    assert!(logs_in(kcp.connect().await).await);
    assert!(logs_in(secured(kcp.connect().await).await).await);
    let mut marked = kcp.connect().await;
    write_marker(&mut marked).await.unwrap();
    assert!(logs_in(secured(marked).await).await);
}

#[tokio::test]
async fn forced_tls_is_forced_here_too() {
    let mut kcp = Kcp::with(|config| config.transport.tls.force = true).await;
    assert!(!logs_in(kcp.connect().await).await);
    assert!(logs_in(secured(kcp.connect().await).await).await);
}

#[tokio::test]
async fn silence_ends_after_ten_seconds() {
    for (tcp_mux, said) in [(false, &b"o\0\0\0\0\0\0\0\x09{\""[..]), (true, &[0x16, 3, 1, 2, 0, 1, 0][..])] {
        let mut kcp = Kcp::with(|config| config.transport.tcp_mux = Some(tcp_mux)).await;
        let mut stream = kcp.connect().await;
        stream.write_all(said).await.unwrap();
        tokio::time::pause();
        let start = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(start.elapsed().as_secs(), 10, "{said:?}");
        tokio::time::resume();
    }
}

/// What begins a conversation, and stops in its first message.
fn begin(conv: u32) -> Vec<u8> {
    let rest = b"\x51\0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0o\0\0\0\0\0\0\0";
    [&conv.to_le_bytes()[..], rest].concat()
}

/// Begins of conversations from few sockets and with many numbers, as whoever forges addresses sends them.
#[tokio::test]
async fn a_hundred_thousand_strangers_do_not_lock_a_client_out() {
    let mut kcp = Kcp::with(|_| {}).await;
    for source in 0..200_u8 {
        let stranger = UdpSocket::bind((Ipv4Addr::new(127, 2, 0, source + 1), 0)).await.unwrap();
        for conv in 0..500_u32 {
            stranger.send_to(&begin(conv), (Ipv4Addr::LOCALHOST, kcp.port)).await.unwrap();
        }
    }
    assert!(logs_in(kcp.connect().await).await);
}

/// A client that has proved its address, and has not yet said who it is.
async fn proven(kcp: &mut Kcp) -> Stream {
    // Its part of the handshake acknowledges the server's.
    secured(kcp.connect().await).await
}

#[tokio::test]
async fn strangers_do_not_displace_a_proven_client_that_is_logging_in() {
    let mut kcp = Kcp::with(|config| config.transport.max_pending_per_address = 2).await;
    let client = proven(&mut kcp).await;
    // They write the client's address on their datagrams.
    for conv in 1..20 {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        stranger.send_to(&begin(conv), (Ipv4Addr::LOCALHOST, kcp.port)).await.unwrap();
        // What it sent was accepted.
        soon(stranger.recv(&mut [0; 100])).await.unwrap();
    }
    assert!(logs_in(client).await);
}

#[tokio::test]
async fn proven_clients_over_kcp_make_room_for_each_other_and_not_those_on_other_ports() {
    let mut kcp = Kcp::with(|config| config.transport.max_pending_per_address = 1).await;
    let stranger = kcp.frps.connect().await;
    let mut first = proven(&mut kcp).await;
    let second = proven(&mut kcp).await;
    assert!(closed(&mut first).await);
    assert!(logs_in(second).await);
    assert!(logs_in(stranger).await);
}
