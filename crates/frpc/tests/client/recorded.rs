//! What the original's server sent, byte for byte, to this client. See `tests/data/wire/README.md`.

use std::path::Path;

use frp_proto::crypto::key;
use frp_proto::msg::{Message, MessageKind, NewWorkConn};
use frp_proto::sniff::V2_MAGIC;
use frp_proto::wire::Framing;
use frp_stream::{Layers, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// The token of all recordings.
const RECORDED_TOKEN: &str = "123";

fn bytes(folder: &str, file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/wire").join(folder);
    std::fs::read(path.join(file)).unwrap()
}

fn framing(folder: &str) -> Framing {
    if folder.starts_with("v1-") { Framing::V1 } else { Framing::V2 }
}

/// The first message, in clear, and what follows it.
fn split(framing: Framing, bytes: &[u8]) -> (Message, &[u8]) {
    let bytes = bytes.strip_prefix(&V2_MAGIC[..]).unwrap_or(bytes);
    let (message, length) = framing.decode(bytes).unwrap().unwrap();
    (message, &bytes[length..])
}

/// The run id that the original's server gave, by the first work connection.
fn run_id(folder: &str) -> String {
    match split(framing(folder), &bytes(folder, "2-client.bin")).0 {
        Message::NewWorkConn(NewWorkConn { run_id, .. }) => run_id,
        other => panic!("{other:?}"),
    }
}

fn text(folder: &str, frps: &Frps) -> Text {
    let wire = &folder[..2];
    Text::new(frps)
        .line(&format!("auth.token = \"{RECORDED_TOKEN}\""))
        .line(&format!("transport.wireProtocol = \"{wire}\""))
}

async fn recorded_frps(folder: &str, mux: bool) -> Frps {
    let frps = if mux { Frps::start_mux().await } else { Frps::start().await };
    assert_eq!(frps.is_mux(), folder.ends_with("mux"));
    frps.with_token(RECORDED_TOKEN)
}

/// Logs the client in as a server of that time, under the recorded run id.
async fn session(folder: &str, frps: &mut Frps) -> Control {
    match framing(folder) {
        Framing::V1 => frps.accept(&run_id(folder)).await,
        _ => frps.accept_json(&run_id(folder)).await,
    }
}

/// The frames of one stream of a multiplexed connection, joined.
fn of_stream(bytes: &[u8], stream: u32) -> Vec<u8> {
    let (mut rest, mut joined) = (bytes, Vec::new());
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let [_, kind, _, _, id @ .., _, _, _, _] = *header;
        let length = u32::from_be_bytes(header[8..].try_into().unwrap()) as usize;
        let data = if kind == 0 { length } else { 0 };
        if u32::from_be_bytes(id) == stream {
            joined.extend_from_slice(&after[..data]);
        }
        rest = &after[data..];
    }
    joined
}

/// Both directions of the connection on which the recorded user was served: the client's and the server's.
fn work_connection(folder: &str) -> [Vec<u8>; 2] {
    if folder.ends_with("mux") {
        // Stream 1 is the control's.
        ["client", "server"].map(|side| of_stream(&bytes(folder, &format!("1-{side}.bin")), 3))
    } else {
        ["client", "server"].map(|side| bytes(folder, &format!("2-{side}.bin")))
    }
}

/// Asks for a work connection, which has to begin as the recorded client's did, and plays the server's part of it.
async fn played(
    folder: &str,
    frps: &mut Frps,
    control: &mut Control,
    theirs: &[u8],
    servers: &[u8],
) -> Stream {
    control.send(frp_proto::msg::ReqWorkConn::default()).await;
    let mut stream = frps.stream().await;
    let payload = split(framing(folder), theirs).1.len();
    let first = &theirs[..theirs.len() - payload];
    let mut sent = vec![0; first.len()];
    soon(stream.read_exact(&mut sent)).await.unwrap();
    assert_eq!(sent, first, "{folder}");
    stream.write_all(servers).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn work_connections_answer_what_the_original_sent_as_the_original_did() {
    for (folder, encrypted, compressed) in [
        ("v1-plain", false, false),
        ("v1-mux", false, false),
        ("v1-enc", true, false),
        ("v1-comp", false, true),
        ("v1-enccomp", true, true),
        ("v1-stop", false, false),
        ("v2-plain", false, false),
        ("v2-xchacha", false, false),
        ("v2-mux", false, false),
        ("v2-enccomp", true, true),
    ] {
        let mut frps = recorded_frps(folder, folder.ends_with("mux")).await;
        let echo = Echo::start().await;
        let more = format!("transport.useEncryption = {encrypted}\ntransport.useCompression = {compressed}");
        let [theirs, servers] = work_connection(folder);
        let (Message::StartWorkConn(start), _) = split(framing(folder), &servers) else { panic!("{folder}") };
        // Names on the wire begin with the user's.
        let mut text = text(folder, &frps);
        let name = match start.proxy_name.split_once('.') {
            Some((user, name)) => {
                text = text.line(&format!("user = \"{user}\""));
                name
            }
            None => &start.proxy_name,
        };
        let frpc = text.tcp(name, echo.port, &more).start();
        let run_id = match split(framing(folder), &theirs).0 {
            Message::NewWorkConn(message) => message.run_id,
            other => panic!("{other:?}"),
        };
        let mut control = match framing(folder) {
            Framing::V1 => frps.accept(&run_id).await,
            _ => frps.accept_json(&run_id).await,
        };
        control.start().await;
        let work = played(folder, &mut frps, &mut control, &theirs, &servers).await;
        let layers = Layers {
            encryption: encrypted.then(|| key::derive(RECORDED_TOKEN.as_bytes())),
            compression: compressed,
            limiter: None,
        };
        hear(&mut layers.apply(work), "hello").await;
        frpc.stop().await;
    }
}

#[tokio::test]
async fn recorded_datagrams_are_answered_with_the_recorded_bytes() {
    for folder in ["v1-udp", "v2-udp"] {
        let mut frps = recorded_frps(folder, false).await;
        let service = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = service.local_addr().unwrap().port();
        let frpc = text(folder, &frps)
            .proxy("udp", "echo", &format!("localPort = {port}\nremotePort = 6000"))
            .start();
        let mut control = session(folder, &mut frps).await;
        control.start().await;
        let [theirs, servers] = work_connection(folder);
        let payload = split(framing(folder), &theirs).1;
        let mut work = played(folder, &mut frps, &mut control, &theirs, &servers).await;
        for _ in 0..2 {
            let mut buffer = [0; 100];
            let (length, user) = soon(service.recv_from(&mut buffer)).await.unwrap();
            service.send_to(&buffer[..length], user).await.unwrap();
        }
        // Its last message is the ping that comes after 30 s.
        let ping = framing(folder);
        let mut pings = Vec::new();
        ping.encode_into(&frp_proto::msg::Ping::default().into(), &mut pings).unwrap();
        let mut answers = vec![0; payload.len() - pings.len()];
        soon(work.read_exact(&mut answers)).await.unwrap();
        assert_eq!([answers, pings].concat(), payload, "{folder}");
        frpc.stop().await;
    }
}

#[tokio::test]
async fn a_recorded_server_refuses_a_client() {
    for folder in ["v1-login-refused", "v2-login-refused"] {
        let mut frps = recorded_frps(folder, false).await;
        let frpc = text(folder, &frps).start();
        let mut stream = match framing(folder) {
            Framing::V1 => frps.login().await.0,
            _ => frps.hello().await.0,
        };
        stream.write_all(&bytes(folder, "1-server.bin")).await.unwrap();
        stream.flush().await.unwrap();
        let text = frpc.end().await.unwrap_err();
        assert!(text.contains("token in login doesn't match token from configuration"), "{folder}: {text}");
    }
}

/// Version 1 has nothing of the client's in its keys: a whole control stream can be played.
#[tokio::test]
async fn recorded_control_streams_are_understood() {
    for (folder, last) in [
        ("v1-plain", "[echo] start proxy success"),
        ("v1-proxy-refused", "[echo] start error: port not allowed"),
        ("v1-scopes", "receive heartbeat from server"),
        ("v1-stcp", "[secret] start proxy success"),
        ("v1-stcp-enc", "[secret] start proxy success"),
    ] {
        let mut log = Log::capture();
        let mut frps = recorded_frps(folder, false).await;
        let mut text = text(folder, &frps).line("transport.heartbeatInterval = -1");
        text = if folder.contains("stcp") {
            text.proxy("stcp", "secret", "secretKey = \"abc\"\nlocalPort = 1")
        } else {
            text.tcp("echo", 1, "")
        };
        let frpc = text.start();
        let (mut stream, ..) = frps.login().await;
        let recorded = bytes(folder, "1-server.bin");
        let (answer, channel) = split(Framing::V1, &recorded);
        assert_eq!(answer.kind(), MessageKind::LoginResp);
        stream.write_all(&recorded[..recorded.len() - channel.len()]).await.unwrap();
        // The answer to its offer must come behind that: the IV and the header of its first message, as it sends no pings.
        soon(stream.read_exact(&mut [0; 16 + 9])).await.unwrap();
        stream.write_all(channel).await.unwrap();
        stream.flush().await.unwrap();
        log.line(last).await;
        frpc.stop().await;
    }
}

/// The visitor's stream: what the server answered, and the service's bytes behind it.
#[tokio::test]
async fn recorded_visitors() {
    for (folder, layered) in [("v1-stcp", false), ("v1-stcp-enc", true), ("v2-stcp-enc", true)] {
        let mut log = Log::capture();
        let mut frps = recorded_frps(folder, false).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let entry = format!(
            "[[visitors]]\ntype = \"stcp\"\nname = \"v\"\nserverName = \"secret\"\nsecretKey = \"abc\"\n\
             bindPort = {port}\ntransport.useEncryption = {layered}\ntransport.useCompression = {layered}\n"
        );
        let frpc = text(folder, &frps).entry(&entry).start();
        let _control = session(folder, &mut frps).await;
        log.line("start visitor success").await;
        let mut user = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut stream, ours) = frps.visitor_conn().await;
        let theirs = bytes(folder, "5-client.bin");
        let Message::NewVisitorConn(theirs) = split(framing(folder), &theirs).0 else { panic!("{folder}") };
        assert_eq!(
            (&ours.proxy_name, ours.use_encryption, ours.use_compression),
            (&theirs.proxy_name, theirs.use_encryption, theirs.use_compression),
            "{folder}"
        );
        stream.write_all(&bytes(folder, "5-server.bin")).await.unwrap();
        stream.flush().await.unwrap();
        hear(&mut user, "hello").await;
        frpc.stop().await;
    }
}

/// The owner's work connection.
#[tokio::test]
async fn recorded_owners() {
    for (folder, encrypted) in [("v1-stcp", false), ("v1-stcp-enc", true), ("v2-stcp-enc", true)] {
        let mut frps = recorded_frps(folder, false).await;
        let echo = Echo::start().await;
        let more =
            format!("secretKey = \"abc\"\nlocalPort = {}\ntransport.useEncryption = {encrypted}", echo.port);
        let frpc = text(folder, &frps).proxy("stcp", "secret", &more).start();
        let mut control = session(folder, &mut frps).await;
        control.start().await;
        let [theirs, servers] = work_connection(folder);
        let work = played(folder, &mut frps, &mut control, &theirs, &servers).await;
        let encryption = encrypted.then(|| key::derive(RECORDED_TOKEN.as_bytes()));
        hear(&mut Layers { encryption, ..Layers::default() }.apply(work), "hello").await;
        frpc.stop().await;
    }
}
