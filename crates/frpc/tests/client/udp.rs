//! Users of udp proxies.

use std::net::SocketAddr;

use frp_proto::msg::UdpAddr;
use frp_stream::Layers;
use frp_stream::udp::{Datagram, DatagramReader, DatagramWriter, Received, datagram_channel};

use crate::support::{Control, Frpc, Frps, Log, Text, UdpEcho, closed, soon};

fn user(port: u16) -> UdpAddr {
    SocketAddr::from(([10, 0, 0, 1], port)).into()
}

async fn running(local_port: u16, more: &str) -> (Frps, Frpc, Control) {
    let mut frps = Frps::start().await;
    let more = format!("localPort = {local_port}\nremotePort = 6000\n{more}");
    let frpc = Text::with_token(&frps).proxy("udp", "dns", &more).start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.start().await.proxy_type, "udp");
    (frps, frpc, control)
}

struct Work(DatagramReader, DatagramWriter);

impl Work {
    async fn open(frps: &mut Frps, control: &mut Control, layers: Layers) -> Self {
        let (reader, writer) = datagram_channel(layers.apply(frps.user(control, "dns").await));
        Self(reader, writer)
    }

    async fn send(&mut self, content: &[u8], from: u16) {
        soon(self.1.send(content, &user(from))).await.unwrap();
    }

    async fn receive(&mut self) -> (Vec<u8>, UdpAddr) {
        match soon(self.0.next()).await.unwrap() {
            Received::Datagram(Datagram { content, user }) => (content, user),
            other => panic!("no datagram: {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_user_gets_its_own_answers() {
    for layered in [false, true] {
        let echo = UdpEcho::start().await;
        let more = format!("transport.useEncryption = {layered}\ntransport.useCompression = {layered}");
        let (mut frps, frpc, mut control) = running(echo.port, &more).await;
        let layers =
            Layers { encryption: layered.then(|| frps.key()), compression: layered, ..Layers::default() };
        let mut work = Work::open(&mut frps, &mut control, layers).await;
        for (content, from) in [(&b"one"[..], 1), (b"two", 2), (b"", 3), (b"three", 1)] {
            work.send(content, from).await;
            assert_eq!(work.receive().await, ([b">", content].concat(), user(from)));
        }
        frpc.stop().await;
    }
}

#[tokio::test]
async fn each_datagram_is_traced() {
    let mut log = Log::capture();
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "").await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    work.send(b"one", 1).await;
    work.receive().await;
    log.line("TRACE [0123456789abcdef] [dns] get udp package from workConn, len: 3").await;
    log.line("TRACE [0123456789abcdef] [dns] send udp package to workConn, len: 4").await;
    frpc.stop().await;
}

#[tokio::test]
async fn the_proxy_header_precedes_a_users_first_datagram() {
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "transport.proxyProtocolVersion = \"v2\"").await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    let mut header = b">\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\0\0\x01\x7f\0\0\x01\0\x07".to_vec();
    header.extend(echo.port.to_be_bytes());
    work.send(b"first", 7).await;
    assert_eq!(work.receive().await.0, [&header[..], b"first"].concat());
    work.send(b"second", 7).await;
    assert_eq!(work.receive().await.0, b">second");
    frpc.stop().await;
}

#[tokio::test]
async fn a_new_work_connection_takes_the_place_of_the_one_before() {
    let mut log = Log::capture();
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "").await;
    let mut old = frps.user(&mut control, "dns").await;
    log.line(&format!("[dns] incoming a new work connection for udp proxy, 127.0.0.1:{}", frps.port())).await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    closed(&mut old).await;
    work.send(b"hello", 1).await;
    assert_eq!(work.receive().await.0, b">hello");
    frpc.stop().await;
}

#[tokio::test]
async fn a_lost_session_takes_its_udp_work_connection_along() {
    let mut log = Log::capture();
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "").await;
    let mut old = frps.user(&mut control, "dns").await;
    log.line(&format!("[dns] incoming a new work connection for udp proxy, 127.0.0.1:{}", frps.port())).await;
    drop(control);
    closed(&mut old).await;
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    work.send(b"hello", 1).await;
    assert_eq!(work.receive().await.0, b">hello");
    frpc.stop().await;
}

#[tokio::test]
async fn what_is_no_message_ends_the_work_connection_so_that_the_server_takes_another() {
    let mut log = Log::capture();
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "").await;
    let mut work = frps.user(&mut control, "dns").await;
    crate::support::say(&mut work, "u\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f").await;
    closed(&mut work).await;
    log.line(
        "WARN [0123456789abcdef] [dns] read from workConn for udp error: message length exceed the limit",
    )
    .await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    work.send(b"hello", 1).await;
    assert_eq!(work.receive().await.0, b">hello");
    frpc.stop().await;
}

#[tokio::test]
async fn a_dead_service_costs_datagrams_and_no_more() {
    let echo = UdpEcho::start().await;
    let port = echo.port;
    drop(echo);
    let (mut frps, frpc, mut control) = running(port, "").await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    for _ in 0..3 {
        work.send(b"anybody?", 1).await;
    }
    let mut log = Log::capture();
    drop(work);
    log.line("[dns] read from workConn for udp error: EOF").await;
    frpc.stop().await;
}

#[tokio::test]
async fn version_one_of_the_proxy_header_says_that_it_knows_nothing() {
    let echo = UdpEcho::start().await;
    let (mut frps, frpc, mut control) = running(echo.port, "transport.proxyProtocolVersion = \"v1\"").await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    // Each user's first datagram alone, also an empty one.
    for (content, from, seen) in [
        (&b"first"[..], 7, &b">PROXY UNKNOWN\r\nfirst"[..]),
        (b"second", 7, b">second"),
        (b"", 8, b">PROXY UNKNOWN\r\n"),
        (b"", 8, b">"),
    ] {
        work.send(content, from).await;
        assert_eq!(work.receive().await, (seen.to_vec(), user(from)));
    }
    frpc.stop().await;
}

#[tokio::test]
async fn one_user_more_than_configured_ends_the_session_least_recently_used() {
    let echo = UdpEcho::start().await;
    let mut frps = Frps::start().await;
    let more =
        format!("localPort = {}\nremotePort = 6000\ntransport.proxyProtocolVersion = \"v1\"", echo.port);
    // The header shows when a session is new.
    let frpc = Text::with_token(&frps).line("udpMaxSessions = 2").proxy("udp", "dns", &more).start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut work = Work::open(&mut frps, &mut control, Layers::default()).await;
    let (new, old) = (b">PROXY UNKNOWN\r\nx".to_vec(), b">x".to_vec());
    for (from, seen) in [(1, &new), (2, &new), (1, &old), (3, &new), (1, &old), (2, &new)] {
        work.send(b"x", from).await;
        assert_eq!(work.receive().await, (seen.clone(), user(from)));
    }
    frpc.stop().await;
}
