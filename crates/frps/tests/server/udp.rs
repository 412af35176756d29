//! udp proxies.

use frp_proto::msg::{Message, Ping, UdpAddr};
use frp_stream::udp::{Datagram, DatagramReader, Received, datagram_channel};
use tokio::net::UdpSocket;

use crate::support::*;

async fn user(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(("127.0.0.1", port)).await.unwrap();
    socket
}

async fn datagram(reader: &mut DatagramReader) -> Datagram {
    match soon(reader.next()).await.unwrap() {
        Received::Datagram(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let length = soon(socket.recv(&mut buffer)).await.unwrap();
    buffer.truncate(length);
    buffer
}

#[tokio::test]
async fn datagrams_go_there_and_back_also_empty_ones() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let user = user(port).await;
    // Sent before there is a work connection: waits in the queue.
    user.send(b"question").await.unwrap();
    let (work, start) = client.serve().await;
    assert_eq!((start.src_addr.as_str(), start.src_port, start.dst_port), ("", 0, 0));
    let (mut reader, mut writer) = datagram_channel(work);
    let question = datagram(&mut reader).await;
    assert_eq!(question.content, b"question");
    assert_eq!(question.user, UdpAddr::from(user.local_addr().unwrap()));
    writer.ping().await.unwrap();
    writer.send(b"answer", &question.user).await.unwrap();
    assert_eq!(receive(&user).await, b"answer");
    user.send(b"").await.unwrap();
    assert_eq!(datagram(&mut reader).await.content, b"");
    writer.send(b"", &question.user).await.unwrap();
    assert_eq!(receive(&user).await, b"");
}

#[tokio::test]
async fn a_datagram_too_long_for_a_message_is_dropped_and_the_proxy_lives() {
    let frps = Frps::with(|config| config.udp_packet_size = 65_507).await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let user = user(port).await;
    let (work, _) = client.serve().await;
    let (mut reader, mut writer) = datagram_channel(work);
    user.send(&[7; 9_000]).await.unwrap();
    user.send(&[8; 7_600]).await.unwrap();
    assert_eq!(datagram(&mut reader).await.content, [8; 7_600]);
    writer.send(b"still here", &UdpAddr::from(user.local_addr().unwrap())).await.unwrap();
    assert_eq!(receive(&user).await, b"still here");
}

#[tokio::test]
async fn longer_datagrams_are_cut_to_the_packet_size() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let user = user(port).await;
    user.send(&[7; 1_501]).await.unwrap();
    let (work, _) = client.serve().await;
    let (mut reader, _writer) = datagram_channel(work);
    assert_eq!(datagram(&mut reader).await.content, [7; 1_500]);
}

#[tokio::test]
async fn a_broken_work_connection_is_replaced() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let user = user(port).await;
    let (work, _) = client.serve().await;
    drop(work);
    let (mut work, _) = client.serve().await;
    // What is no message ends the work connection, too.
    say(&mut work, "no message").await;
    let (work, _) = client.serve().await;
    let (mut reader, _writer) = datagram_channel(work);
    user.send(b"hello").await.unwrap();
    assert_eq!(datagram(&mut reader).await.content, b"hello");
}

#[tokio::test]
async fn closing_frees_the_port_and_the_refusal_names_it() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let refusal = client.refused(udp_proxy("v", port)).await;
    assert_eq!(refusal, format!("acquire port {port} error: port already used"));
    client.close_proxy("u").await;
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)));
    UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_spoofed_users_cost_no_more_than_their_datagrams() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(udp_proxy("u", 0)).await;
    let (work, _) = client.serve().await;
    let (mut reader, mut writer) = datagram_channel(work);
    // Answers to users that never asked, whose ports nobody has, and to what is no address at all.
    for number in 0..10_000_u32 {
        let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], u16::try_from(number % 1000).unwrap() + 1));
        writer.feed(b"answer", &UdpAddr::from(nobody)).await.unwrap();
    }
    writer.feed(b"answer", &UdpAddr { port: 1 << 40, ..UdpAddr::default() }).await.unwrap();
    soon(writer.flush()).await.unwrap();
    // A user is served as if nothing had been.
    let user = user(port).await;
    user.send(b"question").await.unwrap();
    let question = datagram(&mut reader).await;
    assert_eq!(question.content, b"question");
    writer.send(b"answer", &question.user).await.unwrap();
    assert_eq!(receive(&user).await, b"answer");
}
