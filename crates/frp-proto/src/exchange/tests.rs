//! Both machines against each other, and against peers that misbehave.

use super::client::{ClientLogin, LoginError};
use super::server::{AcceptError, FirstMessage, ServerAccept};
use super::{Channel, WireVersion};
use crate::crypto::cfb::{Decryptor, Encryptor};
use crate::crypto::key;
use crate::msg::{Login, LoginResp, Message, MessageKind, NewVisitorConn, NewWorkConn, Ping, Pong};
use crate::sniff::V2_MAGIC;
use crate::v1::{self, DecodeError};

fn login() -> Login {
    Login { version: "0.70.1".to_owned(), user: "alice".to_owned(), ..Login::default() }
}

fn accepted(bytes: &[u8]) -> (usize, FirstMessage) {
    let (taken, first) = ServerAccept::new([0; 32]).receive(bytes).unwrap();
    (taken, first.unwrap())
}

#[test]
fn a_login_from_both_sides() {
    let (mut client, to_server) = ClientLogin::start(login(), b"123").unwrap();
    let (taken, first) = accepted(&to_server);
    assert_eq!(taken, to_server.len());
    let FirstMessage::Login { login: received, reply } = first else { panic!("no login") };
    assert_eq!(*received, login());
    assert_eq!(reply.wire(), WireVersion::V1);
    let (mut to_client, server_channel) = reply.accept("0.70.1", "r1", b"123").unwrap();
    let answer = to_client.len();
    to_client.extend_from_slice(b"encrypted from here");
    let (taken, done) = client.receive(&to_client).unwrap();
    let done = done.unwrap();
    assert_eq!(taken, answer, "nothing behind the answer is taken");
    assert_eq!(done.response.run_id, "r1");
    assert_eq!(done.channel, server_channel);

    // What one side's channel encrypts, the other's decrypts.
    let (Channel::V1 { key: ours }, Channel::V1 { key: theirs }) = (done.channel, server_channel) else {
        panic!("no v1 channel")
    };
    let ping = v1::encode(&Ping::default().into()).unwrap();
    let mut wire = ping.clone();
    Encryptor::new(&ours, [7; 16]).apply(&mut wire);
    Decryptor::new(&theirs, [7; 16]).apply(&mut wire);
    assert_eq!(wire, ping);
    assert_eq!(ours, key::derive(b"123"));
}

#[test]
fn a_refused_login() {
    let (mut client, to_server) = ClientLogin::start(login(), b"").unwrap();
    let (_, FirstMessage::Login { reply, .. }) = accepted(&to_server) else { panic!("no login") };
    let to_client = reply.refuse("0.70.1", "token in login doesn't match token from configuration").unwrap();
    let error = client.receive(&to_client).unwrap_err();
    assert!(matches!(error, LoginError::Refused(_)));
    assert_eq!(error.to_string(), "token in login doesn't match token from configuration");
}

#[test]
fn other_streams() {
    let work = NewWorkConn { run_id: "r".to_owned(), ..NewWorkConn::default() };
    let mut bytes = v1::encode(&work.clone().into()).unwrap();
    let length = bytes.len();
    bytes.extend_from_slice(b"more");
    assert_eq!(accepted(&bytes), (length, FirstMessage::WorkConn { message: work, wire: WireVersion::V1 }));

    let visitor = NewVisitorConn { proxy_name: "p".to_owned(), ..NewVisitorConn::default() };
    let bytes = v1::encode(&visitor.clone().into()).unwrap();
    let expected = FirstMessage::VisitorConn { message: visitor, wire: WireVersion::V1 };
    assert_eq!(accepted(&bytes), (bytes.len(), expected));
}

#[test]
fn reading_no_more_than_wanted_never_goes_beyond_the_message() {
    let (mut client, to_server) = ClientLogin::start(login(), b"").unwrap();
    let mut accept = ServerAccept::new([0; 32]);
    assert_eq!(accept.wanted(), Ok(V2_MAGIC.len()));
    let mut at = 0;
    let first = loop {
        let wanted = accept.wanted().unwrap();
        assert!(wanted > 0);
        let (taken, first) = accept.receive(&to_server[at..at + wanted]).unwrap();
        assert_eq!(taken, wanted);
        at += taken;
        if let Some(first) = first {
            break first;
        }
    };
    assert_eq!(at, to_server.len());
    let FirstMessage::Login { reply, .. } = first else { panic!("no login") };
    let (to_client, _) = reply.accept("0.70.1", "r", b"").unwrap();
    let mut at = 0;
    loop {
        let wanted = client.wanted().unwrap();
        let (taken, done) = client.receive(&to_client[at..at + wanted]).unwrap();
        at += taken;
        if done.is_some() {
            break;
        }
    }
    assert_eq!(at, to_client.len());
}

#[test]
fn first_messages_that_open_nothing() {
    for &kind in MessageKind::ALL {
        let bytes = v1::encode(&Message::from_json(kind, b"{}").unwrap()).unwrap();
        let outcome = ServerAccept::new([0; 32]).receive(&bytes);
        match kind {
            MessageKind::Login | MessageKind::NewWorkConn | MessageKind::NewVisitorConn => {
                assert!(outcome.unwrap().1.is_some());
            }
            _ => assert_eq!(outcome, Err(AcceptError::Unexpected(kind))),
        }
    }
}

#[test]
fn answers_that_are_none() {
    let (mut client, _) = ClientLogin::start(login(), b"").unwrap();
    let pong = v1::encode(&Pong::default().into()).unwrap();
    assert_eq!(client.receive(&pong), Err(LoginError::Unexpected(MessageKind::Pong)));

    let (mut client, _) = ClientLogin::start(login(), b"").unwrap();
    let error = client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
    assert_eq!(error, LoginError::from(DecodeError::UnknownType(b'H')));
    assert_eq!(error.to_string(), "message type error");
}

#[test]
fn what_only_begins_like_the_magic_is_version_1() {
    let mut accept = ServerAccept::new([0; 32]);
    for (index, byte) in V2_MAGIC.iter().enumerate() {
        assert_eq!(accept.wanted(), Ok(V2_MAGIC.len() - index));
        assert_eq!(accept.receive(&[*byte]), Ok((1, None)));
    }
    // Frames are awaited now.
    assert_eq!(accept.wanted(), Ok(crate::v2::HEADER_LEN));

    let mut accept = ServerAccept::new([0; 32]);
    assert_eq!(accept.receive(b"FRP"), Ok((3, None)));
    assert_eq!(accept.receive(b"x"), Err(DecodeError::UnknownType(b'F').into()));
}

#[test]
fn answers_too_long_to_send() {
    let (_, to_server) = ClientLogin::start(login(), b"").unwrap();
    let (_, FirstMessage::Login { reply, .. }) = accepted(&to_server) else { panic!("no login") };
    assert!(reply.clone().accept("0.70.1", &"r".repeat(10_240), b"").is_err());
    assert!(reply.refuse("0.70.1", &"e".repeat(10_240)).is_err());
    let too_long = Login { user: "u".repeat(10_240), ..Login::default() };
    assert!(ClientLogin::start(too_long, b"").is_err());
    assert_eq!(LoginResp::default().error, "");
}
