//! What the original's client sent, byte for byte, to this server. See the READMEs of `tests/data/wire` and
//! `tests/data/websocket`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use frp_config::value::PortsRange;
use frp_net::websocket::{Decoder, Role, WebSocket};
use frp_proto::crypto::key;
use frp_proto::hello::ServerHello;
use frp_proto::msg::{Login, LoginResp, Message, MessageKind, NewProxy, StartWorkConn, UdpPacket};
use frp_proto::sniff::V2_MAGIC;
use frp_proto::wire::Framing;
use frp_proto::{v1, v2};
use frp_stream::message::{MessageReader, control_channel, read_message, read_message_in};
use frp_stream::{Layers, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::support::*;

/// The token of all recordings.
const RECORDED_TOKEN: &str = "123";

fn bytes(folder: &str, file: &str) -> Vec<u8> {
    data("wire", folder, file)
}

fn data(topic: &str, folder: &str, file: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(topic);
    std::fs::read(path.join(folder).join(file)).unwrap()
}

/// The first message, in clear, and what follows it.
fn split(bytes: &[u8]) -> (Message, &[u8]) {
    let (message, length) = v1::decode(bytes).unwrap().unwrap();
    (message, &bytes[length..])
}

fn framing(folder: &str) -> Framing {
    if folder.starts_with("v1-") { Framing::V1 } else { Framing::V2 }
}

/// As [`split`], in the wire version of the folder.
fn split_in<'a>(folder: &str, bytes: &'a [u8]) -> (Message, &'a [u8]) {
    let bytes = bytes.strip_prefix(&V2_MAGIC[..]).unwrap_or(bytes);
    let (message, length) = framing(folder).decode(bytes).unwrap().unwrap();
    (message, &bytes[length..])
}

/// The next message, which must start a work connection.
async fn started_in(folder: &str, stream: &mut Stream) -> StartWorkConn {
    match soon(read_message_in(stream, framing(folder))).await.unwrap() {
        Message::StartWorkConn(start) => start,
        other => panic!("{folder}: {other:?}"),
    }
}

/// A server that allows no port: recorded proxies want fixed ones.
async fn server(scopes: &[&str]) -> Frps {
    Frps::with(|config| {
        config.auth.token = RECORDED_TOKEN.into();
        config.auth.additional_scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        config.allow_ports = vec![PortsRange { single: 1, ..PortsRange::default() }];
    })
    .await
}

/// The same for mux sessions.
async fn mux_server() -> Frps {
    Frps::with(|config| {
        config.auth.token = RECORDED_TOKEN.into();
        config.transport.tcp_mux = Some(true);
        config.allow_ports = vec![PortsRange { single: 1, ..PortsRange::default() }];
    })
    .await
}

/// Answers in their order, without requests for work connections, which depend on users.
async fn answers(reader: &mut MessageReader, count: usize) -> Vec<MessageKind> {
    let mut kinds = Vec::new();
    while kinds.len() < count {
        let kind = soon(reader.next()).await.unwrap().kind();
        if kind != MessageKind::ReqWorkConn {
            kinds.push(kind);
        }
    }
    kinds
}

/// The answers that the original's server gave.
async fn recorded_answers(encrypted: &[u8]) -> Vec<MessageKind> {
    let stream = Stream::boxed(Cursor::new(encrypted.to_vec()));
    let (mut reader, _) = control_channel(stream, &key::derive(RECORDED_TOKEN.as_bytes()));
    let mut kinds = Vec::new();
    while let Ok(message) = reader.next().await {
        kinds.push(message.kind());
    }
    kinds.retain(|kind| *kind != MessageKind::ReqWorkConn);
    kinds
}

#[tokio::test]
async fn control_connections_get_the_answers_that_the_original_gave() {
    let folders: [(&str, &[&str]); 10] = [
        ("v1-plain", &[]),
        ("v1-enc", &[]),
        ("v1-comp", &[]),
        ("v1-enccomp", &[]),
        ("v1-stop", &[]),
        ("v1-udp", &[]),
        ("v1-proxy-refused", &[]),
        ("v1-stcp", &[]),
        ("v1-stcp-enc", &[]),
        ("v1-scopes", &["HeartBeats", "NewWorkConns"]),
    ];
    for (folder, scopes) in folders {
        let frps = server(scopes).await;
        let recorded = bytes(folder, "1-server.bin");
        let expected = recorded_answers(split(&recorded).1).await;
        assert!(expected.len() > 1, "{folder}");

        let mut stream = frps.connect().await;
        stream.write_all(&bytes(folder, "1-client.bin")).await.unwrap();
        let Message::LoginResp(response) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
        assert_eq!(response.error, "", "{folder}");
        let (mut reader, _writer) = control_channel(stream, &key::derive(RECORDED_TOKEN.as_bytes()));
        assert_eq!(answers(&mut reader, expected.len()).await, expected, "{folder}");
    }
}

#[tokio::test]
async fn a_recorded_login_with_a_wrong_token_is_refused_in_the_same_words() {
    let frps = server(&[]).await;
    let mut stream = frps.connect().await;
    stream.write_all(&bytes("v1-login-refused", "1-client.bin")).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, bytes("v1-login-refused", "1-server.bin"));
}

#[tokio::test]
async fn work_connections_carry_what_the_original_sent() {
    for (folder, encrypted, compressed) in [
        ("v1-plain", false, false),
        ("v1-enc", true, false),
        ("v1-comp", false, true),
        ("v1-enccomp", true, true),
        ("v2-plain", false, false),
        ("v2-xchacha", false, false),
        ("v2-enccomp", true, true),
    ] {
        let frps = Frps::with(|config| config.auth.token = RECORDED_TOKEN.into()).await;
        // The recorded work connections name the run id that the original's server gave.
        let recorded = bytes(folder, "2-client.bin");
        let (Message::NewWorkConn(first), payload) = split_in(folder, &recorded) else { panic!("{folder}") };
        let mut client = recorded_login(folder, &frps, &first.run_id).await;
        let port = client
            .start(NewProxy { use_encryption: encrypted, use_compression: compressed, ..tcp("echo", 0) })
            .await;

        let mut work = frps.connect().await;
        work.write_all(&recorded).await.unwrap();
        assert!(!payload.is_empty());
        let mut user = user(port).await;
        say(&mut user, "hello").await;
        assert_eq!(started_in(folder, &mut work).await.proxy_name, "echo");
        hear(&mut user, "hello").await;
        let layers = Layers {
            encryption: encrypted.then(|| key::derive(RECORDED_TOKEN.as_bytes())),
            compression: compressed,
            limiter: None,
        };
        hear(&mut layers.apply(work), "hello").await;
    }
}

/// Logs in under a run id that the original's server gave.
async fn recorded_login(folder: &str, frps: &Frps, run_id: &str) -> Client {
    let privilege_key = frp_proto::digest::auth_key(RECORDED_TOKEN.as_bytes(), login().timestamp);
    let login = Login { run_id: run_id.to_owned(), privilege_key, ..login() };
    match framing(folder) {
        Framing::V1 => Client::login_with_token(frps, login, RECORDED_TOKEN).await.unwrap(),
        _ => crate::wire_v2::json_client(frps, login, RECORDED_TOKEN).await,
    }
}

/// The recorded answers are for the user of that time; the server writes what it wrote then to one of today.
#[tokio::test]
async fn recorded_datagrams_are_understood_and_repeated() {
    for folder in ["v1-udp", "v2-udp"] {
        let frps = Frps::with(|config| config.auth.token = RECORDED_TOKEN.into()).await;
        let recorded = bytes(folder, "2-client.bin");
        let (Message::NewWorkConn(first), _) = split_in(folder, &recorded) else { panic!("{folder}") };
        let mut client = recorded_login(folder, &frps, &first.run_id).await;
        let port = client.start(udp_proxy("echo", 0)).await;
        let mut work = frps.connect().await;
        work.write_all(&recorded).await.unwrap();
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.connect(("127.0.0.1", port)).await.unwrap();
        user.send(b"hello").await.unwrap();
        user.send(b"").await.unwrap();
        let expected = bytes(folder, "2-server.bin");
        let (answer, payload) = split_in(folder, &expected);
        assert_eq!(answer, started_in(folder, &mut work).await.into(), "{folder}");
        let mut payload = payload;
        while !payload.is_empty() {
            let (Message::UdpPacket(theirs), length) = framing(folder).decode(payload).unwrap().unwrap()
            else {
                panic!("{folder}")
            };
            payload = &payload[length..];
            let ours = soon(read_message_in(&mut work, framing(folder))).await.unwrap();
            let remote_addr = Some(user.local_addr().unwrap().into());
            assert_eq!(ours, UdpPacket { remote_addr, ..theirs }.into(), "{folder}");
        }
    }
}

#[tokio::test]
async fn a_recorded_visitor_and_a_recorded_owner_find_each_other() {
    for (folder, encrypted) in [("v1-stcp", false), ("v1-stcp-enc", true), ("v2-stcp-enc", true)] {
        let frps = Frps::with(|config| config.auth.token = RECORDED_TOKEN.into()).await;
        let (of_owner, of_visitor) = (bytes(folder, "2-client.bin"), bytes(folder, "5-client.bin"));
        let Message::NewWorkConn(first) = split_in(folder, &of_owner).0 else { panic!("{folder}") };
        let mut owner = recorded_login(folder, &frps, &first.run_id).await;
        let Message::NewVisitorConn(visit) = split_in(folder, &of_visitor).0 else { panic!("{folder}") };
        let _visitor = recorded_login(folder, &frps, &visit.run_id).await;
        let proxy = NewProxy {
            proxy_type: "stcp".to_owned(),
            sk: "abc".into(),
            use_encryption: encrypted,
            ..tcp("secret", 0)
        };
        let response = owner.new_proxy(proxy).await;
        assert_eq!((response.error.as_str(), response.remote_addr.as_str()), ("", ""), "{folder}");

        // The owner's recording ends with the service's answer, the visitor's with the user's request.
        let mut work = frps.connect().await;
        work.write_all(&of_owner).await.unwrap();
        let mut user = frps.connect().await;
        user.write_all(&of_visitor).await.unwrap();
        assert_eq!(started_in(folder, &mut work).await.proxy_name, "secret");
        let recorded = bytes(folder, "5-server.bin");
        let answer = &recorded[..recorded.len() - split_in(folder, &recorded).1.len()];
        let mut got = vec![0; answer.len()];
        soon(user.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, answer, "{folder}");
        let layers = |on: bool, compression: bool, secret: &str| Layers {
            encryption: on.then(|| key::derive(secret.as_bytes())),
            compression,
            limiter: None,
        };
        hear(&mut layers(encrypted, encrypted, "abc").apply(user), "hello").await;
        hear(&mut layers(encrypted, false, RECORDED_TOKEN).apply(work), "hello").await;
    }
}

/// An owner and a visitor of the original whose sessions are of different wire versions: the server writes to both what
/// the original's wrote.
#[tokio::test]
async fn recorded_datagrams_are_translated_between_wire_versions() {
    for (folder, of_owner, of_visitor) in [("sudp-v1-v2", "v1-", "v2-"), ("sudp-v2-v1", "v2-", "v1-")] {
        let frps = Frps::with(|config| config.auth.token = RECORDED_TOKEN.into()).await;
        let [owners, visitors] = ["work-client.bin", "visitor-client.bin"].map(|file| bytes(folder, file));
        let Message::NewWorkConn(first) = split_in(of_owner, &owners).0 else { panic!("{folder}") };
        let mut owner = recorded_login(of_owner, &frps, &first.run_id).await;
        let Message::NewVisitorConn(visit) = split_in(of_visitor, &visitors).0 else { panic!("{folder}") };
        let _visitor = recorded_login(of_visitor, &frps, &visit.run_id).await;
        owner
            .start_at(NewProxy { proxy_type: "sudp".to_owned(), sk: "abc".into(), ..tcp("secret", 0) })
            .await;

        let mut work = frps.connect().await;
        work.write_all(&owners).await.unwrap();
        let mut user = frps.connect().await;
        user.write_all(&visitors).await.unwrap();
        // It names the visitor's address, which was another one then.
        assert_eq!(started_in(of_owner, &mut work).await.proxy_name, "secret");
        let to_owner = bytes(folder, "work-server.bin");
        let to_owner = split_in(of_owner, &to_owner).1;
        let mut got = vec![0; to_owner.len()];
        soon(work.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, to_owner, "{folder}");
        let to_visitor = bytes(folder, "visitor-server.bin");
        let mut got = vec![0; to_visitor.len()];
        soon(user.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, to_visitor, "{folder}");
    }
}

/// What comes behind a login of version 2 was sealed for the random value of another server; until there the answer is
/// the recorded one but for what is random.
#[tokio::test]
async fn recorded_logins_of_version_2_get_the_answers_that_the_original_gave() {
    for folder in ["v2-plain", "v2-enccomp", "v2-xchacha", "v2-udp", "v2-stcp-enc", "v2-login-refused"] {
        let frps = server(&[]).await;
        let mut stream = frps.connect().await;
        stream.write_all(&bytes(folder, "1-client.bin")).await.unwrap();
        let recorded = bytes(folder, "1-server.bin");
        let (theirs, length) = answers_in_clear(&recorded);
        let mut got = vec![0; length];
        soon(stream.read_exact(&mut got)).await.unwrap();
        assert_eq!(answers_in_clear(&got), (theirs, length), "{folder}");
        // Perhaps after a request for a work connection.
        let _ = soon(stream.read_to_end(&mut got)).await;
    }
}

/// The server's hello and its answer to the login, with everything random made equal; and how long they are.
fn answers_in_clear(bytes: &[u8]) -> ((ServerHello, LoginResp), usize) {
    let (hello, length) = v2::decode_frame(bytes).unwrap().unwrap();
    let mut hello = ServerHello::decode(hello.of_type(v2::SERVER_HELLO).unwrap()).unwrap();
    assert_eq!(hello.selected.crypto.server_random.len(), 32);
    hello.selected.crypto.server_random.clear();
    let Some((Message::LoginResp(mut answer), more)) = v2::decode(&bytes[length..]).unwrap() else {
        panic!("no LoginResp")
    };
    assert_eq!(answer.run_id.len(), if answer.error.is_empty() { 16 } else { 0 });
    answer.run_id.clear();
    ((hello, answer), length + more)
}

#[tokio::test]
async fn a_recorded_mux_session_gets_its_login_answered() {
    for folder in ["v1-mux", "v2-mux"] {
        let frps = mux_server().await;
        let mut stream = frps.connect().await;
        stream.write_all(&bytes(folder, "1-client.bin")).await.unwrap();
        assert!(logged_in_on_mux(folder, &mut stream).await, "{folder}");
    }
}

/// Whether the first message on the first stream of a mux session is the answer to a good login.
async fn logged_in_on_mux(folder: &str, stream: &mut Stream) -> bool {
    // Frames of 12 bytes of header: version, type, flags, stream, length; only data (type 0) has a body.
    let mut of_control = Vec::new();
    let response = loop {
        let mut header = [0; 12];
        soon(stream.read_exact(&mut header)).await.unwrap();
        let length = u32::from_be_bytes(header[8..].try_into().unwrap());
        if header[1] != 0 {
            continue;
        }
        let mut body = vec![0; length as usize];
        soon(stream.read_exact(&mut body)).await.unwrap();
        if header[4..8] == [0, 0, 0, 1] {
            of_control.extend(body);
        }
        let mut clear = &of_control[..];
        if framing(folder) == Framing::V2 {
            let Some((hello, length)) = v2::decode_frame(clear).unwrap() else { continue };
            assert!(ServerHello::decode(hello.of_type(v2::SERVER_HELLO).unwrap()).is_ok());
            clear = &clear[length..];
        }
        if let Some((message, _)) = framing(folder).decode(clear).unwrap() {
            break message;
        }
    };
    matches!(response, Message::LoginResp(response) if response.error.is_empty())
}

/// The head of a handshake of a recorded websocket, and the payload that `reader` gets behind it.
fn upgraded(recorded: &[u8], reader: Role) -> (&[u8], Vec<u8>) {
    let end = recorded.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let (head, frames) = recorded.split_at(end);
    let mut payload = frames.to_vec();
    let length = Decoder::new(reader).decode(&mut payload);
    payload.truncate(length);
    (head, payload)
}

/// Sends what the original's client sent over a websocket, and expects the handshake to be answered with the recorded
/// bytes.
async fn websocket(frps: &Frps, folder: &str, number: usize, sent: &[u8]) -> Stream {
    let mut stream = frps.connect().await;
    stream.write_all(sent).await.unwrap();
    let recorded = data("websocket", folder, &format!("{number}-server.bin"));
    let (head, _) = upgraded(&recorded, Role::Client);
    let mut got = vec![0; head.len()];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap().as_bytes(), head, "{folder}");
    Stream::boxed(WebSocket::new(stream, Role::Client, None))
}

#[tokio::test]
async fn a_recorded_websocket_carries_a_control_and_work_connections() {
    let frps = server(&[]).await;
    let sent = data("websocket", "plain", "1-client.bin");
    let recorded = data("websocket", "plain", "1-server.bin");
    let expected = recorded_answers(split(&upgraded(&recorded, Role::Client).1).1).await;
    assert!(expected.len() > 1);
    let mut stream = websocket(&frps, "plain", 1, &sent).await;
    let Message::LoginResp(response) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
    assert_eq!(response.error, "");
    let (mut reader, _writer) = control_channel(stream, &key::derive(RECORDED_TOKEN.as_bytes()));
    assert_eq!(answers(&mut reader, expected.len()).await, expected);

    let frps = Frps::with(|config| config.auth.token = RECORDED_TOKEN.into()).await;
    // It ends with a close frame of 8 bytes, when the user has gone.
    let sent = data("websocket", "plain", "2-client.bin");
    let sent = &sent[..sent.len() - 8];
    let (_, payload) = upgraded(sent, Role::Server);
    let Message::NewWorkConn(first) = split(&payload).0 else { panic!() };
    let mut client = recorded_login("v1-plain", &frps, &first.run_id).await;
    let port = client.start(tcp("echo", 0)).await;
    let mut work = websocket(&frps, "plain", 2, sent).await;
    let mut user = user(port).await;
    say(&mut user, "hello").await;
    assert_eq!(started(&mut work).await.proxy_name, "echo");
    hear(&mut user, "hello").await;
    hear(&mut work, "hello").await;
}

#[tokio::test]
async fn a_recorded_websocket_with_a_mux_session_gets_its_login_answered() {
    let frps = mux_server().await;
    let mut stream = websocket(&frps, "mux", 1, &data("websocket", "mux", "1-client.bin")).await;
    assert!(logged_in_on_mux("v1-mux", &mut stream).await);
}
