//! The login of wire version 2, both machines against each other and against peers that misbehave.

use super::client::{ClientLogin, LoginError};
use super::server::{AcceptError, FirstMessage, ServerAccept};
use super::{Channel, WireVersion};
use crate::crypto::Algorithm;
use crate::crypto::record::{Opener, Sealer};
use crate::hello::{Bootstrap, ClientHello, HelloError, ServerHello};
use crate::limits::MAX_V2_PAYLOAD;
use crate::msg::{Login, LoginResp, Message, MessageKind, NewVisitorConn, NewWorkConn, Pong};
use crate::sniff::V2_MAGIC;
use crate::v2::{self, DecodeError};
use crate::wire::Framing;

const PREFERENCE: [Algorithm; 2] = Algorithm::ALL;

fn hello() -> ClientHello {
    ClientHello::new(Bootstrap::default(), PREFERENCE, [1; 32])
}

fn start(hello: ClientHello) -> (ClientLogin, Vec<u8>) {
    ClientLogin::start_v2(Login { user: "alice".into(), ..Login::default() }, b"123", hello).unwrap()
}

/// Feeds a server a byte at a time; what it sends on the way, and how it ends.
fn served(bytes: &[u8]) -> (Vec<u8>, Result<Option<FirstMessage>, AcceptError>) {
    let mut accept = ServerAccept::new([2; 32]);
    let mut output = Vec::new();
    for byte in bytes {
        let outcome = accept.wanted().and_then(|wanted| {
            assert!(wanted > 0);
            accept.receive(&[*byte])
        });
        output.extend(accept.take_output());
        match outcome {
            Ok((1, None)) => {}
            Ok((1, first)) => return (output, Ok(first)),
            Ok((taken, _)) => panic!("{taken} bytes taken of one"),
            Err(error) => return (output, Err(error)),
        }
    }
    (output, Ok(None))
}

fn frame(frame_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    v2::frame_with(frame_type, &mut out, |out| out.extend_from_slice(payload)).unwrap();
    out
}

fn with_magic(frames: &[Vec<u8>]) -> Vec<u8> {
    [V2_MAGIC.to_vec(), frames.concat()].concat()
}

#[test]
fn a_login_from_both_sides() {
    for preference in [PREFERENCE, [PREFERENCE[1], PREFERENCE[0]]] {
        let (mut client, to_server) = start(ClientHello::new(Bootstrap::default(), preference, [1; 32]));
        let (mut to_client, first) = served(&to_server);
        let Ok(Some(FirstMessage::Login { login, reply })) = first else { panic!("no login") };
        assert_eq!((login.user.as_str(), reply.wire()), ("alice", WireVersion::V2));
        assert_eq!(reply.check(), Ok(()));
        assert_eq!(reply.payload_framing("0.70.1"), Framing::V2BinaryUdp);
        let (answer, server_channel) = reply.accept("0.71.0", "r1", b"123").unwrap();
        to_client.extend_from_slice(&answer);
        let whole = to_client.len();
        to_client.extend_from_slice(b"records from here");
        let (taken, done) = client.receive(&to_client).unwrap();
        let done = done.unwrap();
        assert_eq!((taken, done.response.run_id.as_str()), (whole, "r1"));
        assert_eq!(done.payload_framing, Framing::V2BinaryUdp);
        assert_eq!(done.channel.framing(), Framing::V2);

        let (Channel::V2 { send, receive }, Channel::V2 { send: back, receive: there }) =
            (done.channel, server_channel)
        else {
            panic!("no v2 channel")
        };
        assert_eq!((&send, &receive), (&there, &back));
        assert_ne!(send, receive);
        assert_eq!(send.algorithm(), preference[0]);
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        Sealer::new(&send, [9; 24]).seal(b"ping", &mut wire).unwrap();
        Opener::new(there).open(&wire, &mut plain).unwrap();
        assert_eq!(plain, b"ping");
    }
}

#[test]
fn all_at_once_and_a_byte_at_a_time_are_the_same() {
    let (_, to_server) = start(hello());
    let mut accept = ServerAccept::new([2; 32]);
    let (taken, first) = accept.receive(&to_server).unwrap();
    assert_eq!(taken, to_server.len());
    assert_eq!(served(&to_server), (accept.take_output(), Ok(first)));
    for cut in 0..to_server.len() {
        assert_eq!(served(&to_server[..cut]).1, Ok(None));
    }
}

#[test]
fn a_refused_login() {
    let (mut client, to_server) = start(hello());
    let (mut to_client, first) = served(&to_server);
    let Ok(Some(FirstMessage::Login { reply, .. })) = first else { panic!("no login") };
    to_client.extend(reply.refuse("0.70.1", "token in login doesn't match").unwrap());
    assert_eq!(client.receive(&to_client), Err(LoginError::Refused("token in login doesn't match".into())));
}

#[test]
fn a_login_without_a_hello() {
    let login = v2::encode(&Login::default().into()).unwrap();
    let (output, first) = served(&with_magic(&[login]));
    assert!(output.is_empty());
    let Ok(Some(FirstMessage::Login { reply, .. })) = first else { panic!("no login") };
    let error = reply.check().unwrap_err().to_string();
    assert_eq!(error, "missing v2 crypto negotiation");
    let answer = v2::decode(&reply.refuse("0.70.1", &error).unwrap()).unwrap().unwrap().0;
    assert!(matches!(answer, Message::LoginResp(answer) if answer.error == error));
}

#[test]
fn other_streams() {
    let work = NewWorkConn { run_id: "r".to_owned(), ..NewWorkConn::default() };
    let bytes = with_magic(&[v2::encode(&work.clone().into()).unwrap()]);
    let expected = FirstMessage::WorkConn { message: work, wire: WireVersion::V2 };
    assert_eq!(served(&bytes), (Vec::new(), Ok(Some(expected))));

    // A hello that nobody needs is answered all the same.
    let visitor = NewVisitorConn { proxy_name: "p".to_owned(), ..NewVisitorConn::default() };
    let greeting = frame(v2::CLIENT_HELLO, &hello().encode());
    let bytes = with_magic(&[greeting, v2::encode(&visitor.clone().into()).unwrap()]);
    let (output, first) = served(&bytes);
    assert_eq!(v2::decode_frame(&output).unwrap().unwrap().0.frame_type, v2::SERVER_HELLO);
    assert_eq!(first, Ok(Some(FirstMessage::VisitorConn { message: visitor, wire: WireVersion::V2 })));
}

#[test]
fn hellos_that_agree_on_nothing() {
    let mut no_json = hello();
    no_json.capabilities.message.codecs = vec!["cbor".into()];
    let mut short = hello();
    short.capabilities.crypto.client_random.pop();
    let mut no_cipher = hello();
    no_cipher.capabilities.crypto.algorithms = vec!["rot13".into()];
    for (hello, text) in [
        (no_json, "unsupported message codec"),
        (short, "invalid crypto client random length 31, want 32"),
        (no_cipher, "no supported crypto algorithm"),
    ] {
        let (output, outcome) = served(&with_magic(&[frame(v2::CLIENT_HELLO, &hello.encode())]));
        let error = outcome.unwrap_err();
        assert!(matches!(error, AcceptError::Hello(_)));
        assert_eq!(error.to_string(), text);
        let expected =
            format!(r#"{{"selected":{{"message":{{"codec":"json"}},"crypto":{{}}}},"error":"{text}"}}"#);
        assert_eq!(output, frame(v2::SERVER_HELLO, expected.as_bytes()));
        let (mut client, _) = start(self::hello());
        assert_eq!(client.receive(&output).unwrap_err().to_string(), text);
    }
}

#[test]
fn streams_that_are_closed_without_an_answer() {
    let good = frame(v2::CLIENT_HELLO, &hello().encode());
    for (frames, text) in [
        (vec![frame(v2::CLIENT_HELLO, b"[]")], "hello: "),
        (vec![good.clone(), good], "unexpected frame type 1, want 16"),
        (vec![frame(v2::SERVER_HELLO, b"{}")], "unexpected frame type 2, want 16"),
        (vec![frame(99, b"")], "unexpected frame type 99, want 16"),
        (vec![frame(v2::MESSAGE, b"\0")], "message frame payload too short"),
        (vec![frame(v2::MESSAGE, b"\0\x13{}")], "unknown v2 message type 19"),
        (vec![frame(v2::MESSAGE, b"\0\0{}")], "unknown v2 message type 0"),
        (vec![v2::encode(&Pong::default().into()).unwrap()], "unexpected first message Pong"),
        (vec![b"\0\x10\0\x01\0\0\0\0".to_vec()], "unsupported frame flags: 1"),
        (vec![b"\0\x10\0\0\0\x01\0\x01".to_vec()], "frame payload length 65537 exceeds limit 65536"),
    ] {
        let twice = frames.len() == 2;
        let (output, outcome) = served(&with_magic(&frames));
        assert_eq!(output.is_empty(), !twice, "{text}");
        let error = outcome.unwrap_err().to_string();
        assert!(error.starts_with(text), "{error} for {text}");
    }
}

#[test]
fn answers_that_are_none() {
    let login = v2::encode(&LoginResp::default().into()).unwrap();
    let wanted = DecodeError::FrameType { found: v2::MESSAGE, wanted: v2::SERVER_HELLO };
    assert_eq!(start(hello()).0.receive(&login), Err(wanted.into()));

    let agreed = hello().agree().unwrap();
    let good = ServerHello::new(agreed, [3; 32]);
    let pong = v2::encode(&Pong::default().into()).unwrap();
    let bytes = [frame(v2::SERVER_HELLO, &good.encode()), pong].concat();
    assert_eq!(start(hello()).0.receive(&bytes), Err(LoginError::Unexpected(MessageKind::Pong)));

    let changed = |change: fn(&mut ServerHello)| {
        let mut changed = good.clone();
        change(&mut changed);
        frame(v2::SERVER_HELLO, &changed.encode())
    };
    for (bytes, text) in [
        (changed(|hello| hello.error = "go away".into()), "go away"),
        (
            changed(|hello| hello.selected.message.codec = "cbor".into()),
            "unsupported selected message codec: cbor",
        ),
        (
            changed(|hello| hello.selected.message.udp_packet_codec = "binary-v9".into()),
            "unsupported selected UDP packet codec: binary-v9",
        ),
        (
            changed(|hello| hello.selected.crypto.algorithm = "rot13".into()),
            "unknown selected crypto algorithm: rot13",
        ),
        (
            changed(|hello| hello.selected.crypto.server_random.push(0)),
            "invalid crypto server random length 33, want 32",
        ),
    ] {
        let error = start(hello()).0.receive(&bytes).unwrap_err();
        assert!(matches!(error, LoginError::Hello(_)));
        assert_eq!(error.to_string(), text);
    }
    let mut one = hello();
    one.capabilities.crypto.algorithms.pop();
    let picked = changed(|hello| hello.selected.crypto.algorithm = "xchacha20-poly1305".into());
    let expected = HelloError::NotOffered("xchacha20-poly1305".into());
    assert_eq!(start(one).0.receive(&picked), Err(expected.into()));
}

#[test]
fn the_form_of_datagrams() {
    let mut old = hello();
    old.capabilities.message.udp_packet_codecs.clear();
    for (hello, version, framing) in [
        (hello(), "0.71.0", Framing::V2BinaryUdp),
        (old.clone(), "0.70.1", Framing::V2),
        (old, "0.69.0", Framing::V1),
    ] {
        let (mut client, to_server) = start(hello);
        let (mut to_client, first) = served(&to_server);
        let Ok(Some(FirstMessage::Login { reply, .. })) = first else { panic!("no login") };
        assert_eq!(reply.payload_framing(version), framing);
        to_client.extend(reply.accept(version, "r", b"").unwrap().0);
        assert_eq!(client.receive(&to_client).unwrap().1.unwrap().payload_framing, framing);
    }
}

#[test]
fn answers_too_long_to_send() {
    let (_, to_server) = start(hello());
    let Ok(Some(FirstMessage::Login { reply, .. })) = served(&to_server).1 else { panic!("no login") };
    assert!(reply.refuse("0.70.1", &"e".repeat(MAX_V2_PAYLOAD)).is_err());
}
