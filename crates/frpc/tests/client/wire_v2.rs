//! Servers of wire version 2.

use frp_proto::crypto::{Algorithm, key};
use frp_proto::hello::ServerHello;
use frp_proto::msg::{Message, NewVisitorConnResp, Pong, StartWorkConn, UdpAddr};
use frp_proto::wire::{Framing, WireVersion};
use frp_stream::message::write_message_in;
use frp_stream::udp::{Datagram, Received, datagram_channel_in};
use frp_stream::{Layers, Stream};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::support::*;

const RUN_ID: &str = "0123456789abcdef";

fn text(frps: &Frps) -> Text {
    Text::with_token(frps).line("transport.wireProtocol = \"v2\"")
}

#[tokio::test]
async fn a_session_with_users() {
    for (mux, layered) in [(false, false), (true, true)] {
        let mut log = Log::capture();
        let mut frps = if mux { Frps::start_mux().await } else { Frps::start().await };
        let echo = Echo::start().await;
        let more = format!("transport.useEncryption = {layered}\ntransport.useCompression = {layered}");
        let frpc = text(&frps).line("transport.heartbeatInterval = 1").tcp("web", echo.port, &more).start();
        let mut control = frps.accept(RUN_ID).await;
        assert_eq!((frps.wire(), control.login.version.as_str()), (WireVersion::V2, "0.70.1"));
        control.start().await;
        log.line("[web] start proxy success").await;
        for number in 0..3 {
            let layers =
                Layers { encryption: layered.then(|| frps.key()), compression: layered, ..Layers::default() };
            let mut user = layers.apply(frps.user(&mut control, "web").await);
            say(&mut user, &format!("request {number}")).await;
            hear(&mut user, &format!("request {number}")).await;
        }
        while !matches!(control.message().await, Some(Message::Ping(_))) {}
        control.send(Pong::default()).await;
        log.line("receive heartbeat from server").await;
        // The next session, on the same run id.
        drop(control);
        assert_eq!(frps.accept(RUN_ID).await.login.run_id, RUN_ID);
        frpc.stop().await;
    }
}

#[tokio::test]
async fn the_hello_tells_the_way_and_offers_all_that_we_can() {
    for (lines, way) in [
        ("transport.tls.enable = false", ("tcp", false, false)),
        ("transport.tls.enable = true", ("tcp", true, false)),
    ] {
        let tls = way.1;
        let mut frps = if tls {
            let tls = frp_net::tls::ServerTls::new(&frp_net::tls::ServerTlsOptions::default()).unwrap();
            Frps::start_tls(tls).await
        } else {
            Frps::start().await
        };
        let frpc = text(&frps).replace("transport.tls.enable = false", lines).start();
        let (_stream, hello, payload) = frps.hello().await;
        assert_eq!(hello.encode(), payload);
        let bootstrap = &hello.bootstrap;
        assert_eq!((bootstrap.transport.as_str(), bootstrap.tls, bootstrap.tcp_mux), way);
        let capabilities = &hello.capabilities;
        assert_eq!(capabilities.message.codecs, ["json"]);
        assert_eq!(capabilities.message.udp_packet_codecs, ["binary-v1"]);
        let mut algorithms = capabilities.crypto.algorithms.clone();
        algorithms.sort();
        assert_eq!(algorithms, Algorithm::ALL.map(Algorithm::name));
        assert_eq!(capabilities.crypto.client_random.len(), 32);
        frpc.stop().await;
    }
}

/// What a client says that is answered with this hello.
async fn told(edit: impl FnOnce(&mut ServerHello)) -> String {
    let mut frps = Frps::start().await;
    let frpc = text(&frps).start();
    let (mut stream, theirs, _) = frps.hello().await;
    let mut hello = ServerHello::new(theirs.agree().unwrap(), [7; 32]);
    edit(&mut hello);
    Frps::greet(&mut stream, &hello.encode()).await;
    frpc.end().await.unwrap_err()
}

#[tokio::test]
async fn hellos_that_agree_on_nothing_end_the_login() {
    let text = told(|hello| hello.error = "unsupported message codec".to_owned()).await;
    assert!(text.contains("unsupported message codec"), "{text}");
    let text = told(|hello| hello.selected.message.codec = "xml".to_owned()).await;
    assert!(text.contains("unsupported selected message codec: xml"), "{text}");
    let text = told(|hello| hello.selected.message.udp_packet_codec = "binary-v9".to_owned()).await;
    assert!(text.contains("binary-v9"), "{text}");
    let text = told(|hello| hello.selected.crypto.algorithm = "rot13".to_owned()).await;
    assert!(text.contains("unknown selected crypto algorithm: rot13"), "{text}");
    let text = told(|hello| hello.selected.crypto.server_random.truncate(31)).await;
    assert!(text.contains("invalid crypto server random length 31, want 32"), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let mut frps = Frps::start().await;
    let frpc = text(&frps).start();
    frps.refuse("token in login doesn't match token from configuration").await;
    let text = frpc.end().await.unwrap_err();
    assert!(text.contains("token in login doesn't match token from configuration"), "{text}");
}

#[tokio::test]
async fn a_server_that_knows_version_1_only_is_not_logged_into_with_it() {
    let mut frps = Frps::start().await;
    let frpc = text(&frps).start();
    // It takes the magic's first byte for the type of a message, which there is not, and closes.
    let mut stream = frps.stream().await;
    soon(stream.read_exact(&mut [0; 1])).await.unwrap();
    drop(stream);
    assert!(frpc.end().await.is_err());
}

/// The control of a session whose server is of this kind, and what its datagrams look like.
async fn session(frps: &mut Frps, framing: Framing) -> Control {
    match framing {
        Framing::V2BinaryUdp => frps.accept(RUN_ID).await,
        _ => frps.accept_json(RUN_ID).await,
    }
}

/// Servers of v0.71.0 and later, of v0.69.1 to v0.70.1, and of v0.69.0.
const SERVERS: [(&str, Framing); 3] =
    [("0.71.0", Framing::V2BinaryUdp), ("0.70.1", Framing::V2), ("0.69.0", Framing::V1)];

#[tokio::test]
async fn datagrams_of_udp_proxies_look_as_the_server_knows_them() {
    for (release, framing) in SERVERS {
        let mut frps = Frps::start().await.of_release(release);
        let echo = UdpEcho::start().await;
        let more = format!("localPort = {}\nremotePort = 6000", echo.port);
        let frpc = text(&frps).proxy("udp", "dns", &more).start();
        let mut control = session(&mut frps, framing).await;
        control.start().await;
        let start = StartWorkConn { proxy_name: "dns".to_owned(), ..StartWorkConn::default() };
        let stream = frps.user_with(&mut control, start).await;
        let (mut reader, mut writer) = datagram_channel_in(stream, framing);
        let user = UdpAddr::from(std::net::SocketAddr::from(([10, 0, 0, 1], 5)));
        for content in [&b"question"[..], b""] {
            soon(writer.send(content, &user)).await.unwrap();
            let answer = Datagram { content: [b">", content].concat(), user: user.clone() };
            assert_eq!(soon(reader.next()).await.unwrap(), Received::Datagram(answer), "{release}");
        }
        frpc.stop().await;
    }
}

fn visitor(kind: &str, port: u16) -> String {
    format!(
        "[[visitors]]\ntype = \"{kind}\"\nname = \"v\"\nserverName = \"s\"\nsecretKey = \"abc\"\nbindPort = {port}\n\
         transport.useEncryption = true\n"
    )
}

async fn admitted(frps: &mut Frps) -> Stream {
    let (mut stream, message) = frps.visitor_conn().await;
    assert_eq!((message.run_id.as_str(), message.use_encryption), (RUN_ID, true));
    let answer = NewVisitorConnResp { proxy_name: "s".to_owned(), error: String::new() };
    soon(write_message_in(&mut stream, Framing::V2, &answer.into())).await.unwrap();
    Layers { encryption: Some(key::derive(b"abc")), ..Layers::default() }.apply(stream)
}

#[tokio::test]
async fn datagrams_of_sudp_visitors_do_too() {
    for (release, framing) in SERVERS {
        let mut log = Log::capture();
        let mut frps = Frps::start().await.of_release(release);
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let frpc = text(&frps).entry(&visitor("sudp", port)).start();
        let _control = session(&mut frps, framing).await;
        log.line("start visitor success").await;
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.send_to(b"question", ("127.0.0.1", port)).await.unwrap();
        let (mut reader, mut writer) = datagram_channel_in(admitted(&mut frps).await, framing);
        let datagram = match soon(reader.next()).await.unwrap() {
            Received::Datagram(datagram) => datagram,
            other => panic!("no datagram: {other:?}"),
        };
        assert_eq!(datagram.content, b"question");
        soon(writer.ping()).await.unwrap();
        soon(writer.send(b"answer", &datagram.user)).await.unwrap();
        let mut buffer = [0; 10];
        let length = soon(user.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], b"answer");
        frpc.stop().await;
    }
}

#[tokio::test]
async fn a_visitors_stream() {
    let mut log = Log::capture();
    let mut frps = Frps::start_mux().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let frpc = text(&frps).entry(&visitor("stcp", port)).start();
    let _control = frps.accept(RUN_ID).await;
    log.line("start visitor success").await;
    let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut stream = admitted(&mut frps).await;
    say(&mut user, "request").await;
    hear(&mut stream, "request").await;
    say(&mut stream, "answer").await;
    hear(&mut user, "answer").await;
    frpc.stop().await;
}

/// The keys of both directions come from the token, so that one who does not know it understands nothing.
#[tokio::test]
async fn records_of_another_token_end_the_session() {
    let mut frps = Frps::start().await.with_token("another");
    let frpc = text(&frps).start();
    let mut control = frps.accept(RUN_ID).await;
    control.send(Pong::default()).await;
    frps.accept(RUN_ID).await;
    frpc.stop().await;
}
