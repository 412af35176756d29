//! Whole connections of the original, recorded byte for byte: decoded, compared, fed in pieces, cut
//! everywhere, and encoded again. Multiplexed and compressed parts are other crates' to look into; here the
//! latter are just bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use frp_proto::crypto::cfb::{Decryptor, Encryptor};
use frp_proto::crypto::key;
use frp_proto::exchange::Channel;
use frp_proto::exchange::client::{ClientLogin, LoginError};
use frp_proto::exchange::server::{FirstMessage, ServerAccept};
use frp_proto::msg::{Login, Message};
use frp_proto::v1;
use frp_proto::wire::{Framing, MessageCollector};
use serde_json::Value;

const FOLDERS: [&str; 11] = [
    "v1-plain",
    "v1-enc",
    "v1-comp",
    "v1-enccomp",
    "v1-scopes",
    "v1-stop",
    "v1-stcp",
    "v1-stcp-enc",
    "v1-udp",
    "v1-login-refused",
    "v1-proxy-refused",
];

/// One direction of one connection, as `session.json` tells it.
struct Direction {
    name: String,
    file: Vec<u8>,
    token: String,
    /// What the key of the encrypted part is made of, if there is one: a secret key on a visitor's stream.
    secret: String,
    plain: Vec<Expected>,
    rest: Rest,
}

/// What follows the messages in clear.
enum Rest {
    Nothing,
    Messages { iv: Option<Vec<u8>>, messages: Vec<Expected> },
    Bytes { iv: Option<Vec<u8>>, bytes: Vec<u8> },
}

#[derive(Clone)]
struct Expected {
    name: String,
    json: String,
    len: usize,
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn messages(list: &Value) -> Vec<Expected> {
    let mut at = 0;
    let list: Vec<Expected> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            assert_eq!(size(&message["at"]), at);
            at += size(&message["len"]);
            Expected {
                name: text(&message["name"]),
                json: text(&message["json"]),
                len: size(&message["len"]),
            }
        })
        .collect();
    list
}

/// IV of an encrypted part, its key compared on the way.
fn iv(crypto: &Value) -> Option<Vec<u8>> {
    let crypto = crypto.as_object()?;
    let derived = key::derive(crypto["password"].as_str().unwrap().as_bytes());
    assert_eq!(support::to_hex(derived.as_bytes()), text(&crypto["key"]));
    Some(support::from_hex(crypto["iv"].as_str().unwrap()))
}

fn secret(direction: &Value) -> String {
    let part = if direction["encrypted"].is_object() {
        &direction["encrypted"]
    } else {
        &direction["payload"]["crypto"]
    };
    part["password"].as_str().unwrap_or_default().to_owned()
}

fn rest(direction: &Value) -> Rest {
    if direction["encrypted"].is_object() {
        let part = &direction["encrypted"];
        return Rest::Messages { iv: iv(part), messages: messages(&part["messages"]) };
    }
    if !direction["payload"].is_object() {
        return Rest::Nothing;
    }
    let part = &direction["payload"];
    let iv = iv(&part["crypto"]);
    if part["messages"].is_array() {
        return Rest::Messages { iv, messages: messages(&part["messages"]) };
    }
    let hex = if part["snappy_hex"].is_string() { &part["snappy_hex"] } else { &part["hex"] };
    Rest::Bytes { iv, bytes: support::from_hex(hex.as_str().unwrap()) }
}

fn directions() -> Vec<Direction> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        let session = support::json(&format!("{folder}/session.json"));
        for connection in session["connections"].as_array().unwrap() {
            for side in ["client", "server"] {
                let stream = &connection["streams"][0][side];
                let name = format!("{folder}/{}-{side}.bin", connection["n"]);
                all.push(Direction {
                    file: support::bytes(&name),
                    name,
                    token: text(&session["settings"]["token"]),
                    secret: secret(stream),
                    plain: messages(&stream["plain"]),
                    rest: rest(stream),
                });
            }
        }
    }
    assert!(all.len() > 40);
    all
}

/// Decodes one direction from pieces of any length.
struct Replay {
    reader: MessageCollector,
    plain_left: usize,
    encrypted: bool,
    framed: bool,
    iv: Vec<u8>,
    cipher: Option<Decryptor>,
    secret: String,
    messages: Vec<Message>,
    bytes: Vec<u8>,
}

impl Replay {
    fn new(direction: &Direction) -> Self {
        let (encrypted, framed) = match &direction.rest {
            Rest::Nothing => (false, false),
            Rest::Messages { iv, .. } => (iv.is_some(), true),
            Rest::Bytes { iv, .. } => (iv.is_some(), false),
        };
        Self {
            reader: MessageCollector::new(Framing::V1),
            plain_left: direction.plain.len(),
            encrypted,
            framed,
            iv: Vec::new(),
            cipher: None,
            secret: direction.secret.clone(),
            messages: Vec::new(),
            bytes: Vec::new(),
        }
    }

    fn push(&mut self, mut piece: &[u8]) {
        while self.plain_left > 0 && !piece.is_empty() {
            piece = self.push_frame(piece);
        }
        if self.encrypted && self.cipher.is_none() {
            let room = (16 - self.iv.len()).min(piece.len());
            self.iv.extend_from_slice(&piece[..room]);
            piece = &piece[room..];
            if let Ok(iv) = self.iv.as_slice().try_into() {
                self.cipher = Some(Decryptor::new(&key::derive(self.secret.as_bytes()), iv));
            }
        }
        let mut piece = piece.to_vec();
        if let Some(cipher) = &mut self.cipher {
            cipher.apply(&mut piece);
        }
        if !self.framed {
            self.bytes.extend_from_slice(&piece);
            return;
        }
        let mut piece = &piece[..];
        while !piece.is_empty() {
            piece = self.push_frame(piece);
        }
    }

    fn push_frame<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let (taken, message) = self.reader.push(piece).unwrap();
        if let Some(message) = message {
            self.plain_left = self.plain_left.saturating_sub(1);
            self.messages.push(message);
        }
        &piece[taken..]
    }
}

fn check(direction: &Direction, replay: &Replay, cut: usize) {
    let name = format!("{} cut at {cut}", direction.name);
    // Which messages, and how many bytes of payload, end before the cut.
    let mut at = 0;
    let mut expected = Vec::new();
    for message in &direction.plain {
        at += message.len;
        if at <= cut {
            expected.push(message.clone());
        }
    }
    let (iv, bytes) = match &direction.rest {
        Rest::Nothing => (&None, &[][..]),
        Rest::Messages { iv, messages } => {
            at += iv.as_ref().map_or(0, Vec::len);
            for message in messages {
                at += message.len;
                if at <= cut {
                    expected.push(message.clone());
                }
            }
            (iv, &[][..])
        }
        Rest::Bytes { iv, bytes } => {
            at += iv.as_ref().map_or(0, Vec::len);
            let arrived = cut.saturating_sub(at).min(bytes.len());
            (iv, &bytes[..arrived])
        }
    };
    assert_eq!(replay.messages.len(), expected.len(), "{name}");
    for (message, expected) in replay.messages.iter().zip(&expected) {
        let mut body = Vec::new();
        message.write_json(&mut body);
        assert_eq!(message.kind().name(), expected.name, "{name}");
        assert_eq!(String::from_utf8(body).unwrap(), expected.json, "{name}");
    }
    assert_eq!(replay.bytes, bytes, "{name}");
    if let (Some(iv), 16) = (iv, replay.iv.len()) {
        assert_eq!(&replay.iv, iv, "{name}");
    }
}

#[test]
fn whole_files() {
    for direction in directions() {
        let mut replay = Replay::new(&direction);
        replay.push(&direction.file);
        check(&direction, &replay, direction.file.len());
        assert!(replay.reader.is_at_start(), "{}: bytes left over", direction.name);
    }
}

#[test]
fn a_byte_at_a_time_and_cut_everywhere() {
    for direction in directions() {
        let mut replay = Replay::new(&direction);
        check(&direction, &replay, 0);
        for (at, &byte) in direction.file.iter().enumerate() {
            replay.push(&[byte]);
            check(&direction, &replay, at + 1);
        }
    }
}

#[test]
fn cut_once_everywhere() {
    for direction in directions() {
        for cut in 0..direction.file.len() {
            let mut replay = Replay::new(&direction);
            replay.push(&direction.file[..cut]);
            check(&direction, &replay, cut);
            replay.push(&direction.file[cut..]);
            check(&direction, &replay, direction.file.len());
        }
    }
}

#[test]
fn encoded_again() {
    for direction in directions() {
        let mut replay = Replay::new(&direction);
        replay.push(&direction.file);
        let (plain, rest) = replay.messages.split_at(direction.plain.len());
        let mut file = Vec::new();
        for message in plain {
            v1::encode_into(message, &mut file).unwrap();
        }
        let mut body = Vec::new();
        for message in rest {
            v1::encode_into(message, &mut body).unwrap();
        }
        body.extend_from_slice(&replay.bytes);
        if let Ok(iv) = replay.iv.as_slice().try_into() {
            file.extend_from_slice(&replay.iv);
            Encryptor::new(&key::derive(direction.secret.as_bytes()), iv).apply(&mut body);
        }
        file.extend_from_slice(&body);
        assert_eq!(file, direction.file, "{}", direction.name);
    }
}

/// Feeds a machine in pieces of at most `piece` bytes; returns its first event and how many bytes it took.
fn feed<T, E>(
    file: &[u8],
    piece: usize,
    mut receive: impl FnMut(&[u8]) -> Result<(usize, Option<T>), E>,
) -> Result<(usize, Option<T>), E> {
    let mut taken = 0;
    while taken < file.len() {
        let end = (taken + piece).min(file.len());
        let (more, event) = receive(&file[taken..end])?;
        taken += more;
        if event.is_some() {
            return Ok((taken, event));
        }
        assert_eq!(taken, end, "a machine without an event takes all");
    }
    Ok((taken, None))
}

#[test]
fn servers_recognise_every_stream() {
    let mut kinds = [0; 3];
    for direction in directions().iter().filter(|direction| direction.name.ends_with("client.bin")) {
        for piece in [1, 7, usize::MAX / 2] {
            let mut accept = ServerAccept::new([0; 32]);
            let (taken, first) = feed(&direction.file, piece, |bytes| accept.receive(bytes)).unwrap();
            assert_eq!(taken, direction.plain[0].len, "{}", direction.name);
            match first.unwrap() {
                FirstMessage::Login { .. } => kinds[0] += 1,
                FirstMessage::WorkConn { .. } => kinds[1] += 1,
                FirstMessage::VisitorConn { .. } => kinds[2] += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 5), "{kinds:?}");
}

#[test]
fn clients_understand_every_answer() {
    let mut outcomes = [0; 2];
    for direction in directions() {
        let Some(first) = direction.plain.first() else { continue };
        if first.name != "LoginResp" {
            continue;
        }
        for piece in [1, 10, usize::MAX / 2] {
            let (mut login, _) = ClientLogin::start(Login::default(), direction.token.as_bytes()).unwrap();
            match feed(&direction.file, piece, |bytes| login.receive(bytes)) {
                Ok((taken, done)) => {
                    outcomes[0] += 1;
                    assert_eq!(taken, first.len);
                    let done = done.unwrap();
                    assert_eq!(done.response.version, "0.70.1");
                    assert_eq!(done.response.run_id.len(), 16);
                    assert_eq!(done.channel, Channel::V1 { key: key::derive(direction.token.as_bytes()) });
                }
                Err(error) => {
                    outcomes[1] += 1;
                    assert!(matches!(error, LoginError::Refused(_)));
                    assert_eq!(error.to_string(), "token in login doesn't match token from configuration");
                }
            }
        }
    }
    assert!(outcomes.iter().all(|&count| count > 0), "{outcomes:?}");
}

#[test]
fn recorded_logins_carry_our_digest() {
    for direction in directions() {
        let mut replay = Replay::new(&direction);
        replay.push(&direction.file);
        let keys = replay.messages.iter().filter_map(|message| match message {
            Message::Login(login) => Some((login.privilege_key.clone(), login.timestamp)),
            Message::Ping(ping) => Some((ping.privilege_key.clone(), ping.timestamp)),
            Message::NewWorkConn(work) => Some((work.privilege_key.clone(), work.timestamp)),
            Message::NewVisitorConn(visit) => Some((visit.sign_key.clone(), visit.timestamp)),
            _ => None,
        });
        let token = if direction.name.contains("refused/") && direction.name.contains("login") {
            "wrong"
        } else if matches!(replay.messages.first(), Some(Message::NewVisitorConn(_))) {
            // The secret key of the recorded proxies.
            "abc"
        } else {
            &direction.token
        };
        for (key, timestamp) in keys.filter(|(key, _)| !key.is_empty()) {
            assert_eq!(key, frp_proto::digest::auth_key(token.as_bytes(), timestamp), "{}", direction.name);
        }
    }
}
