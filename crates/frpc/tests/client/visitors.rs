//! Visitors, and the proxies that they visit.

use std::net::SocketAddr;

use frp_net::listen::bind_tcp;
use frp_proto::crypto::key;
use frp_proto::digest::auth_key;
use frp_proto::msg::{NewVisitorConn, NewVisitorConnResp};
use frp_stream::message::write_message;
use frp_stream::udp::{Datagram, DatagramReader, DatagramWriter, Received, datagram_channel};
use frp_stream::{Layers, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::support::*;

const RUN_ID: &str = "0123456789abcdef";

/// A port that was free a moment ago.
fn free_tcp() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_udp() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn visitor(kind: &str, port: i32, more: &str) -> String {
    format!(
        "[[visitors]]\ntype = \"{kind}\"\nname = \"v\"\nserverName = \"s\"\nsecretKey = \"abc\"\nbindPort = {port}\n\
         {more}"
    )
}

async fn answer(stream: &mut Stream, error: &str) {
    let answer = NewVisitorConnResp { proxy_name: "s".to_owned(), error: error.to_owned() };
    soon(write_message(stream, &answer.into())).await.unwrap();
}

/// The next visitor's stream, let in.
async fn admitted(frps: &mut Frps) -> (Stream, NewVisitorConn) {
    let (mut stream, message) = frps.visitor_conn().await;
    answer(&mut stream, "").await;
    (stream, message)
}

#[tokio::test]
async fn each_user_is_announced_and_joined_with_a_stream_of_its_own() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let port = free_tcp();
    let more = "serverUser = \"you\"";
    let frpc =
        Text::with_token(&frps).line("user = \"me\"").entry(&visitor("stcp", port.into(), more)).start();
    let _control = frps.accept(RUN_ID).await;
    log.line("INFO [0123456789abcdef] start visitor success").await;
    log.line("INFO [0123456789abcdef] visitor added: [v]").await;
    let mut users = Vec::new();
    for _ in 0..3 {
        let user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (stream, message) = admitted(&mut frps).await;
        assert_eq!((message.run_id.as_str(), message.proxy_name.as_str()), (RUN_ID, "you.s"));
        assert_eq!(message.sign_key, auth_key(b"abc", message.timestamp));
        assert!(message.timestamp > 1_700_000_000);
        assert!(!message.use_encryption && !message.use_compression);
        users.push((user, stream));
    }
    log.line("DEBUG [0123456789abcdef] [v] get a new stcp user connection").await;
    for (number, (user, stream)) in users.iter_mut().enumerate() {
        say(user, &format!("request {number}")).await;
        hear(stream, &format!("request {number}")).await;
        say(stream, &format!("answer {number}")).await;
        hear(user, &format!("answer {number}")).await;
    }
    let (mut user, mut stream) = users.remove(0);
    user.shutdown().await.unwrap();
    ended(&mut stream).await;
    say(&mut stream, "late answer").await;
    hear(&mut user, "late answer").await;
    drop(stream);
    closed(&mut user).await;
    frpc.stop().await;
    for (user, stream) in &mut users {
        closed(user).await;
        closed(stream).await;
    }
}

#[tokio::test]
async fn the_stream_to_the_server_is_layered_by_the_secret() {
    for (encryption, compression) in [(true, false), (false, true), (true, true)] {
        let mut frps = Frps::start_mux().await;
        let port = free_tcp();
        let more =
            format!("transport.useEncryption = {encryption}\ntransport.useCompression = {compression}");
        let mut log = Log::capture();
        let frpc = Text::with_token(&frps).entry(&visitor("stcp", port.into(), &more)).start();
        let _control = frps.accept(RUN_ID).await;
        log.line("start visitor success").await;
        let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (stream, message) = admitted(&mut frps).await;
        assert_eq!((message.use_encryption, message.use_compression), (encryption, compression));
        let encryption = encryption.then(|| key::derive(b"abc"));
        let mut stream = Layers { encryption, compression, limiter: None }.apply(stream);
        say(&mut stream, "the service speaks first").await;
        hear(&mut user, "the service speaks first").await;
        say(&mut user, "answer").await;
        hear(&mut stream, "answer").await;
        frpc.stop().await;
    }
}

#[tokio::test]
async fn a_user_without_a_way_is_closed_and_the_log_says_why() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let port = free_tcp();
    let frpc = Text::with_token(&frps).entry(&visitor("stcp", port.into(), "")).start();
    let mut control = frps.accept(RUN_ID).await;
    log.line("start visitor success").await;
    for error in ["visitor connection of [s] auth failed", "custom listener for [s] doesn't exist"] {
        let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut stream, _) = frps.visitor_conn().await;
        answer(&mut stream, error).await;
        ended(&mut user).await;
        let line = "[v] dialRawVisitorConn error: start new visitor connection error:";
        log.line(&format!("WARN [{RUN_ID}] {line} {error}")).await;
    }
    // A server that only closes, and one that answers something else.
    let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    drop(frps.visitor_conn().await);
    ended(&mut user).await;
    log.line("[v] dialRawVisitorConn error: read newVisitorConnRespMsg error: EOF").await;
    let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut stream, message) = frps.visitor_conn().await;
    soon(write_message(&mut stream, &message.into())).await.unwrap();
    ended(&mut user).await;
    log.line("[v] dialRawVisitorConn error: read newVisitorConnRespMsg error: got NewVisitorConn").await;
    // The session has not noticed any of it.
    control.send(frp_proto::msg::ReqWorkConn::default()).await;
    frps.work_conn().await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_lost_session_closes_the_port_and_the_next_one_opens_it_again() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let port = free_tcp();
    let frpc = Text::with_token(&frps).entry(&visitor("stcp", port.into(), "")).start();
    let control = frps.accept(RUN_ID).await;
    log.line("start visitor success").await;
    let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut stream, _) = admitted(&mut frps).await;
    drop(control);
    log.line("WARN [0123456789abcdef] [v] stcp local listener closed").await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "nobody could be served");
    // Who is joined stays.
    say(&mut user, "still there").await;
    hear(&mut stream, "still there").await;
    let _control = frps.accept("fedcba9876543210").await;
    log.line("INFO [fedcba9876543210] start visitor success").await;
    let mut late = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut late_stream, message) = admitted(&mut frps).await;
    assert_eq!(message.run_id, "fedcba9876543210");
    say(&mut late_stream, "hello").await;
    hear(&mut late, "hello").await;
    say(&mut stream, "and answering").await;
    hear(&mut user, "and answering").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_visitor_whose_port_is_taken_is_tried_again() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let taken = bind_tcp("127.0.0.1", 0).unwrap();
    let port = taken.local_addr().unwrap().port();
    let frpc = Text::with_token(&frps)
        .entry(
            &visitor("stcp", port.into(), "plugin = { type = \"virtual_net\" }").replace("\"v\"", "\"net\""),
        )
        .entry(&visitor("stcp", port.into(), ""))
        .start();
    let _control = frps.accept(RUN_ID).await;
    let busy = format!("start error: listen tcp 127.0.0.1:{port}: bind: address already in use");
    log.line(&format!("WARN [0123456789abcdef] {busy}")).await;
    log.line("INFO [0123456789abcdef] visitor added: [net v]").await;
    assert!(log.has("WARN [0123456789abcdef] new visitor error: destinationIP is required"));
    drop(taken);
    // Ten seconds, for timers alone: a paused clock would run ahead of the sockets.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    tokio::time::resume();
    log.line("INFO [0123456789abcdef] try to start visitor [v]").await;
    log.line("INFO [0123456789abcdef] start visitor success").await;
    assert!(!log.has("try to start visitor [net]"), "what cannot change is not tried again");
    TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    frps.visitor_conn().await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_negative_port_listens_nowhere_and_is_no_error() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).entry(&visitor("stcp", -1, "")).start();
    let _control = frps.accept(RUN_ID).await;
    log.line("INFO [0123456789abcdef] start visitor success").await;
    frpc.stop().await;
}

/// A user of a sudp visitor.
struct User(UdpSocket);

impl User {
    async fn of(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", port)).await.unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    async fn send(&self, content: &[u8]) {
        self.0.send(content).await.unwrap();
    }

    async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2000];
        let length = soon(self.0.recv(&mut buffer)).await.unwrap();
        buffer.truncate(length);
        buffer
    }
}

/// The proxy's end of a visitor's stream.
struct Far(DatagramReader, DatagramWriter);

impl Far {
    fn new(stream: Stream) -> Self {
        let (reader, writer) = datagram_channel(stream);
        Self(reader, writer)
    }

    async fn receive(&mut self) -> (Vec<u8>, SocketAddr) {
        match soon(self.0.next()).await.unwrap() {
            Received::Datagram(Datagram { content, user }) => (content, user.to_socket_addr().unwrap()),
            other => panic!("no datagram: {other:?}"),
        }
    }

    async fn send(&mut self, content: &[u8], to: SocketAddr) {
        soon(self.1.send(content, &to.into())).await.unwrap();
    }
}

#[tokio::test]
async fn the_datagrams_of_all_users_share_a_stream_that_the_first_one_opens() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let port = free_udp();
    let more = "transport.useEncryption = true\ntransport.useCompression = true";
    let frpc = Text::with_token(&frps).entry(&visitor("sudp", port.into(), more)).start();
    let _control = frps.accept(RUN_ID).await;
    log.line(&format!("INFO [{RUN_ID}] [v] sudp start to work, listen on 127.0.0.1:{port}")).await;
    log.line(&format!("INFO [{RUN_ID}] start visitor success")).await;
    let users = [User::of(port).await, User::of(port).await];
    users[0].send(b"first").await;
    let (stream, message) = admitted(&mut frps).await;
    assert_eq!(message.sign_key, auth_key(b"abc", message.timestamp));
    let layers = Layers { encryption: Some(key::derive(b"abc")), compression: true, limiter: None };
    let mut far = Far::new(layers.apply(stream));
    assert_eq!(far.receive().await, (b"first".to_vec(), users[0].address()));
    soon(far.1.ping()).await.unwrap();
    users[1].send(b"").await;
    assert_eq!(far.receive().await, (Vec::new(), users[1].address()));
    // Longer ones are cut to the packet size.
    users[1].send(&[7; 1600]).await;
    assert_eq!(far.receive().await, (vec![7; 1500], users[1].address()));
    for (content, user) in [(&b"to the second"[..], &users[1]), (b"", &users[0]), (b"again", &users[0])] {
        far.send(content, user.address()).await;
        assert_eq!(user.receive().await, content);
    }
    frpc.stop().await;
    assert!(soon(far.0.next()).await.is_err());
}

#[tokio::test]
async fn a_datagram_after_a_refusal_or_a_loss_asks_anew() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let port = free_udp();
    let frpc = Text::with_token(&frps).entry(&visitor("sudp", port.into(), "")).start();
    let control = frps.accept(RUN_ID).await;
    log.line("start visitor success").await;
    let user = User::of(port).await;
    user.send(b"refused").await;
    let (mut stream, _) = frps.visitor_conn().await;
    answer(&mut stream, "visitor connection of [s] auth failed").await;
    log.line(
        "WARN [0123456789abcdef] [v] newVisitorConn to frps error: start new visitor connection error: visitor \
         connection of [s] auth failed, try to reconnect",
    )
    .await;
    user.send(b"good").await;
    let mut far = Far::new(admitted(&mut frps).await.0);
    assert_eq!(far.receive().await.0, b"good");
    drop(far);
    log.line("WARN [0123456789abcdef] [v] read from workconn for user udp conn error: EOF").await;
    log.line("INFO [0123456789abcdef] [v] sudp worker is closed").await;
    user.send(b"better").await;
    let mut far = Far::new(admitted(&mut frps).await.0);
    assert_eq!(far.receive().await.0, b"better");
    // A lost session takes its visitors along.
    drop(control);
    log.line("INFO [0123456789abcdef] [v] frpc sudp visitor proxy is closed").await;
    assert!(soon(far.0.next()).await.is_err());
    let _control = frps.accept(RUN_ID).await;
    log.line("start visitor success").await;
    user.send(b"best").await;
    let mut far = Far::new(admitted(&mut frps).await.0);
    assert_eq!(far.receive().await.0, b"best");
    frpc.stop().await;
}

#[tokio::test]
async fn an_stcp_proxy_serves_its_users_as_tcp_does() {
    let echo = Echo::start().await;
    let mut frps = Frps::start().await;
    let more = format!("localPort = {}\nsecretKey = \"abc\"\nallowUsers = [\"you\"]", echo.port);
    let frpc = Text::with_token(&frps).proxy("stcp", "s", &more).start();
    let mut control = frps.accept(RUN_ID).await;
    let offer = control.start().await;
    assert_eq!((offer.proxy_type.as_str(), offer.sk.expose(), offer.remote_port), ("stcp", "abc", 0));
    assert_eq!(offer.allow_users, ["you"]);
    let mut user = frps.user(&mut control, "s").await;
    say(&mut user, "hello").await;
    hear(&mut user, "hello").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_sudp_proxy_serves_each_visitor_on_a_work_connection_of_its_own() {
    let mut log = Log::capture();
    let echo = UdpEcho::start().await;
    let mut frps = Frps::start().await;
    let more = format!("localPort = {}\nsecretKey = \"abc\"\ntransport.useEncryption = true", echo.port);
    let frpc = Text::with_token(&frps).proxy("sudp", "s", &more).start();
    let mut control = frps.accept(RUN_ID).await;
    assert_eq!(control.start().await.proxy_type, "sudp");
    let layers = Layers { encryption: Some(frps.key()), ..Layers::default() };
    let user = SocketAddr::from(([10, 0, 0, 1], 5));
    let mut visitors = Vec::new();
    for number in 0..3_u8 {
        let mut visitor = Far::new(layers.clone().apply(frps.user(&mut control, "s").await));
        visitor.send(&[number], user).await;
        assert_eq!(visitor.receive().await, (vec![b'>', number], user));
        visitors.push(visitor);
    }
    log.line(&format!("[s] incoming a new work connection for sudp proxy, 127.0.0.1:{}", frps.port())).await;
    // The same user of another visitor is another user, and one visitor's end is its own.
    drop(visitors.remove(1));
    log.line("WARN [0123456789abcdef] [s] read from workConn for sudp error: EOF").await;
    for visitor in &mut visitors {
        visitor.send(b"again", user).await;
        assert_eq!(visitor.receive().await.0, b">again");
    }
    drop(control);
    for mut visitor in visitors {
        assert!(soon(visitor.0.next()).await.is_err(), "the session's end is that of all");
    }
    frpc.stop().await;
}

#[tokio::test]
async fn the_proxy_header_precedes_the_first_datagram_of_a_visitors_user() {
    let echo = UdpEcho::start().await;
    let mut frps = Frps::start().await;
    let more = format!("localPort = {}\ntransport.proxyProtocolVersion = \"v2\"", echo.port);
    let frpc = Text::with_token(&frps).proxy("sudp", "s", &more).start();
    let mut control = frps.accept(RUN_ID).await;
    control.start().await;
    let mut visitor = Far::new(frps.user(&mut control, "s").await);
    let user = SocketAddr::from(([10, 0, 0, 1], 7));
    let mut header = b">\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x0a\0\0\x01\x7f\0\0\x01\0\x07".to_vec();
    header.extend(echo.port.to_be_bytes());
    visitor.send(b"first", user).await;
    assert_eq!(visitor.receive().await.0, [&header[..], b"first"].concat());
    visitor.send(b"second", user).await;
    assert_eq!(visitor.receive().await.0, b">second");
    frpc.stop().await;
}
