//! Clients of wire version 2: logins, refusals, work connections of either version.

use frp_proto::crypto::Algorithm;
use frp_proto::digest::auth_key;
use frp_proto::exchange::client::{ClientLogin, LoggedIn, LoginError};
use frp_proto::hello::{Bootstrap, ClientHello};
use frp_proto::msg::{Login, Message, NewProxy, NewVisitorConn, NewWorkConn, Ping, UdpPacket};
use frp_proto::sniff::V2_MAGIC;
use frp_proto::v2;
use frp_proto::wire::{Framing, WireVersion};
use frp_stream::Stream;
use frp_stream::message::{read_message_in, session_channel, write_first_message, write_message_in};
use frp_stream::udp::{Datagram, DatagramReader, Received, datagram_channel_in};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::support::*;

fn hello() -> ClientHello {
    ClientHello::new(Bootstrap::default(), Algorithm::ALL, [1; 32])
}

/// Of a release that knows datagrams in JSON only.
fn json_hello() -> ClientHello {
    let mut hello = hello();
    hello.capabilities.message.udp_packet_codecs.clear();
    hello
}

/// Logs in with this hello.
async fn log_in(frps: &Frps, login: Login, hello: ClientHello) -> (Stream, Result<LoggedIn, LoginError>) {
    log_in_with_token(frps, login, hello, TOKEN).await
}

async fn log_in_with_token(
    frps: &Frps,
    login: Login,
    hello: ClientHello,
    token: &str,
) -> (Stream, Result<LoggedIn, LoginError>) {
    let mut stream = frps.connect().await;
    let (mut machine, bytes) = ClientLogin::start_v2(login, token.as_bytes(), hello).unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut buffer = [0; 1024];
    loop {
        let wanted = machine.wanted().unwrap().min(buffer.len());
        let read = soon(stream.read(&mut buffer[..wanted])).await.unwrap();
        assert_ne!(read, 0, "closed without an answer");
        match machine.receive(&buffer[..read]) {
            Ok((_, None)) => {}
            Ok((_, Some(done))) => return (stream, Ok(done)),
            Err(error) => return (stream, Err(error)),
        }
    }
}

/// A client that knows datagrams in JSON only, as releases before v0.71.0.
pub(crate) async fn json_client(frps: &Frps, login: Login, token: &str) -> Client {
    let (stream, done) = log_in_with_token(frps, login, json_hello(), token).await;
    let done = done.unwrap();
    let (reader, writer) = session_channel(stream, &done.channel);
    Client { addr: frps.addr, run_id: done.response.run_id, reader, writer }
}

/// A work connection of this version.
async fn work_conn(frps: &Frps, run_id: &str, wire: WireVersion) -> Stream {
    let mut stream = frps.connect().await;
    let message = NewWorkConn { run_id: run_id.to_owned(), ..NewWorkConn::default() };
    write_first_message(&mut stream, wire, &message.into()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_session_serves_users_over_work_connections_of_either_version() {
    let frps = Frps::start().await;
    let (stream, done) = log_in(&frps, login(), hello()).await;
    let done = done.unwrap();
    assert_eq!(done.payload_framing, Framing::V2BinaryUdp);
    let (reader, writer) = session_channel(stream, &done.channel);
    let mut client = Client { addr: frps.addr, run_id: done.response.run_id, reader, writer };
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)));
    let port = client.start(tcp("echo", 0)).await;
    for wire in [WireVersion::V2, WireVersion::V1] {
        let mut user = user(port).await;
        let mut work = work_conn(&frps, &client.run_id, wire).await;
        let start = soon(read_message_in(&mut work, wire.into())).await.unwrap();
        assert!(matches!(start, Message::StartWorkConn(start) if start.proxy_name == "echo"));
        user.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        soon(work.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"hello");
    }
}

#[tokio::test]
async fn refusals() {
    let frps = Frps::start().await;
    let mut stranger = login();
    stranger.privilege_key = "x".into();
    let (mut stream, refused) = log_in(&frps, stranger, hello()).await;
    let text = "token in login doesn't match token from configuration";
    assert_eq!(refused, Err(LoginError::Refused(text.to_owned())));
    assert!(closed(&mut stream).await);

    let mut bad = hello();
    bad.capabilities.message.codecs.clear();
    let (mut stream, refused) = log_in(&frps, login(), bad).await;
    assert_eq!(refused.unwrap_err().to_string(), "unsupported message codec");
    assert!(closed(&mut stream).await);

    for wire in [WireVersion::V1, WireVersion::V2] {
        let mut work = work_conn(&frps, "nobody", wire).await;
        let Message::StartWorkConn(start) = soon(read_message_in(&mut work, wire.into())).await.unwrap()
        else {
            panic!("no StartWorkConn")
        };
        assert_eq!(start.error, "no client control found for run id [nobody]");
    }
}

#[tokio::test]
async fn a_login_without_a_hello_is_refused_before_its_token_is_looked_at() {
    let frps = Frps::start().await;
    let mut stream = frps.connect().await;
    stream.write_all(&V2_MAGIC).await.unwrap();
    stream.write_all(&v2::encode(&Login::default().into()).unwrap()).await.unwrap();
    let answer = soon(read_message_in(&mut stream, Framing::V2)).await.unwrap();
    assert!(matches!(answer, Message::LoginResp(answer) if answer.error == "missing v2 crypto negotiation"));
    assert!(closed(&mut stream).await);
}

/// Clients of v0.71.0 and later, of v0.69.1 to v0.70.1, and of v0.69.0.
fn clients() -> [(&'static str, ClientHello, Framing); 3] {
    [
        ("0.71.0", hello(), Framing::V2BinaryUdp),
        ("0.70.1", json_hello(), Framing::V2),
        ("0.69.0", json_hello(), Framing::V1),
    ]
}

async fn client_of(frps: &Frps, release: &str, hello: ClientHello) -> Client {
    let (stream, done) = log_in(frps, Login { version: release.to_owned(), ..login() }, hello).await;
    let done = done.unwrap();
    let (reader, writer) = session_channel(stream, &done.channel);
    Client { addr: frps.addr, run_id: done.response.run_id, reader, writer }
}

#[tokio::test]
async fn datagrams_of_udp_proxies_look_as_the_client_knows_them() {
    let frps = Frps::start().await;
    for (release, hello, framing) in clients() {
        let mut client = client_of(&frps, release, hello).await;
        let port = client.start(udp_proxy(release, 0)).await;
        // Also where the work connection itself is of the other version.
        let mut work = work_conn(&frps, &client.run_id, WireVersion::V1).await;
        assert_eq!(started(&mut work).await.proxy_name, release);
        let (mut reader, mut writer) = datagram_channel_in(work, framing);
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.connect(("127.0.0.1", port)).await.unwrap();
        user.send(b"question").await.unwrap();
        let question = datagram(&mut reader).await;
        assert_eq!(question.content, b"question", "{release}");
        soon(writer.ping()).await.unwrap();
        soon(writer.send(b"answer", &question.user)).await.unwrap();
        let mut buffer = [0; 10];
        let length = soon(user.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], b"answer");
    }
}

async fn datagram(reader: &mut DatagramReader) -> Datagram {
    loop {
        match soon(reader.next()).await.unwrap() {
            Received::Datagram(datagram) => return datagram,
            Received::Ping => {}
            Received::Other(kind) => panic!("{kind:?}"),
        }
    }
}

/// A client, how its datagrams look, and the version of its streams.
type Kind = (Client, Framing, WireVersion);

/// A visitor's stream and the work connection that it leads to, both ready for datagrams.
async fn bridged(frps: &Frps, proxy: &str, owner: &Kind, visitor: &Kind) -> (Stream, Stream) {
    let (owner, _, owner_wire) = owner;
    let (visitor, _, visitor_wire) = visitor;
    let mut work = work_conn(frps, &owner.run_id, *owner_wire).await;
    let mut stream = frps.connect().await;
    let message = NewVisitorConn {
        run_id: visitor.run_id.clone(),
        proxy_name: proxy.to_owned(),
        sign_key: auth_key(b"abc", 1),
        timestamp: 1,
        ..NewVisitorConn::default()
    };
    write_first_message(&mut stream, *visitor_wire, &message.into()).await.unwrap();
    let answer = soon(read_message_in(&mut stream, (*visitor_wire).into())).await.unwrap();
    assert!(matches!(answer, Message::NewVisitorConnResp(answer) if answer.error.is_empty()));
    let start = soon(read_message_in(&mut work, (*owner_wire).into())).await.unwrap();
    assert!(matches!(start, Message::StartWorkConn(_)));
    (stream, work)
}

fn sudp(name: &str) -> NewProxy {
    NewProxy { proxy_type: "sudp".to_owned(), sk: "abc".into(), ..tcp(name, 0) }
}

/// Owner and visitor each of every kind, and of version 1.
#[tokio::test]
async fn datagrams_between_clients_of_different_kinds_are_translated() {
    let frps = Frps::start().await;
    let mut owners = Vec::new();
    let mut visitors = Vec::new();
    for (release, hello, framing) in clients() {
        let owner = client_of(&frps, release, hello.clone()).await;
        owners.push((release, (owner, framing, WireVersion::V2)));
        visitors.push((client_of(&frps, release, hello).await, framing, WireVersion::V2));
    }
    owners.push(("v1", (Client::login(&frps).await, Framing::V1, WireVersion::V1)));
    visitors.push((Client::login(&frps).await, Framing::V1, WireVersion::V1));
    for (name, owner) in &mut owners {
        owner.0.start_at(sudp(name)).await;
        for visitor in &visitors {
            let (of_owner, of_visitor) = (owner.1, visitor.1);
            let (stream, work) = bridged(&frps, name, owner, visitor).await;
            let (mut from_owner, mut to_owner) = datagram_channel_in(stream, of_visitor);
            let (mut from_visitor, mut to_visitor) = datagram_channel_in(work, of_owner);
            let user = std::net::SocketAddr::from(([10, 0, 0, 1], 5)).into();
            for content in [&b"question"[..], b""] {
                soon(to_owner.send(content, &user)).await.unwrap();
                let expected = Datagram { content: content.to_vec(), user: user.clone() };
                assert_eq!(datagram(&mut from_visitor).await, expected, "{of_visitor:?} to {of_owner:?}");
            }
            // Of pings, those of the proxy's side go on.
            soon(to_visitor.ping()).await.unwrap();
            soon(to_visitor.send(b"answer", &user)).await.unwrap();
            assert_eq!(soon(from_owner.next()).await.unwrap(), Received::Ping);
            assert_eq!(datagram(&mut from_owner).await.content, b"answer");
        }
    }
}

#[tokio::test]
async fn a_datagram_without_a_user_ends_no_bridge() {
    let frps = Frps::start().await;
    let mut owner = (Client::login(&frps).await, Framing::V1, WireVersion::V1);
    owner.0.start_at(sudp("p")).await;
    let json = client_of(&frps, "0.70.1", json_hello()).await;
    let visitor = (json, Framing::V2, WireVersion::V2);
    let (mut stream, mut work) = bridged(&frps, "p", &owner, &visitor).await;
    let nobodys = UdpPacket::default().into();
    soon(write_message_in(&mut stream, Framing::V2, &nobodys)).await.unwrap();
    soon(write_message_in(&mut work, Framing::V1, &nobodys)).await.unwrap();
    let (mut from_owner, mut to_owner) = datagram_channel_in(stream, Framing::V2);
    let (mut from_visitor, mut to_visitor) = datagram_channel_in(work, Framing::V1);
    let user = std::net::SocketAddr::from(([10, 0, 0, 1], 5)).into();
    soon(to_owner.send(b"question", &user)).await.unwrap();
    assert_eq!(datagram(&mut from_visitor).await.content, b"question");
    soon(to_visitor.send(b"answer", &user)).await.unwrap();
    assert_eq!(datagram(&mut from_owner).await.content, b"answer");
}
