//! Whole connections of the original in wire version 2, recorded byte for byte: decoded, compared, fed in pieces, cut
//! everywhere, encoded again, and forged. The multiplexed folder is another crate's to look into.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use frp_proto::crypto::record::{Opener, Sealer};
use frp_proto::crypto::transcript::{Direction, Transcript};
use frp_proto::crypto::{Algorithm, RecordKey};
use frp_proto::exchange::client::{ClientLogin, LoginError};
use frp_proto::exchange::server::{FirstMessage, ServerAccept};
use frp_proto::exchange::{Channel, WireVersion};
use frp_proto::hello::{ClientHello, ServerHello};
use frp_proto::msg::Login;
use frp_proto::sniff::V2_MAGIC;
use frp_proto::v2::{self, CLIENT_HELLO, SERVER_HELLO};
use frp_proto::wire::{Framing, MessageCollector};
use serde_json::Value;

const FOLDERS: [&str; 6] =
    ["v2-plain", "v2-enccomp", "v2-xchacha", "v2-stcp-enc", "v2-udp", "v2-login-refused"];

/// One direction of one connection, as `session.json` tells it.
struct Recorded {
    name: String,
    file: Vec<u8>,
    token: String,
    told: Value,
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Pairs of directions: the client's and the server's.
fn connections() -> Vec<[Recorded; 2]> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        let session = support::json(&format!("{folder}/session.json"));
        for connection in session["connections"].as_array().unwrap() {
            all.push(["client", "server"].map(|side| {
                let name = format!("{folder}/{}-{side}.bin", connection["n"]);
                Recorded {
                    file: support::bytes(&name),
                    name,
                    token: session["settings"]["token"].as_str().unwrap().to_owned(),
                    told: connection["streams"][0][side].clone(),
                }
            }));
        }
    }
    assert!(all.len() > 15);
    all
}

impl Recorded {
    fn plain(&self) -> &[Value] {
        self.told["plain"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Payload of the hello, if this direction has one.
    fn hello(&self) -> Option<&str> {
        self.plain()
            .iter()
            .find(|item| item["frame_type"].is_number())
            .map(|item| item["json"].as_str().unwrap())
    }

    /// Where the part in clear ends.
    fn clear_len(&self) -> usize {
        self.plain().last().map_or(0, |last| size(&last["at"]) + size(&last["len"]))
    }

    fn sealed(&self) -> Option<&Value> {
        self.told["encrypted"].as_object().map(|_| &self.told["encrypted"])
    }
}

fn transcript(connection: &[Recorded; 2]) -> Transcript {
    let [client, server] = connection.each_ref().map(|side| side.hello().unwrap().as_bytes());
    Transcript::new(client, server)
}

/// The key of one direction, compared with what was recorded.
fn key(connection: &[Recorded; 2], side: usize) -> RecordKey {
    let told = connection[side].sealed().unwrap();
    let algorithm = Algorithm::from_name(told["algorithm"].as_str().unwrap()).unwrap();
    let transcript = transcript(connection);
    assert_eq!(support::to_hex(transcript.as_bytes()), told["transcript"].as_str().unwrap());
    let direction = [Direction::ClientToServer, Direction::ServerToClient][side];
    let key = RecordKey::derive(connection[side].token.as_bytes(), &transcript, algorithm, direction);
    assert_eq!(support::to_hex(key.as_bytes()), told["key"].as_str().unwrap());
    key
}

/// Connections with both directions sealed, each direction in turn.
fn sealed() -> Vec<(Recorded, RecordKey)> {
    let mut all = Vec::new();
    for connection in connections() {
        if connection.iter().all(|side| side.sealed().is_some()) {
            let keys = [key(&connection, 0), key(&connection, 1)];
            all.extend(connection.into_iter().zip(keys));
        }
    }
    assert!(all.len() >= 10, "{}", all.len());
    all
}

/// Messages that end within `len` bytes, decoded and compared with what was recorded.
fn check(framing: Framing, bytes: &[u8], expected: &[Value], name: &str) {
    let mut collector = MessageCollector::new(framing);
    let mut at = 0;
    let mut found = 0;
    while at < bytes.len() {
        let (taken, message) = collector.push(&bytes[at..]).unwrap();
        at += taken;
        let Some(message) = message else { break };
        let told = &expected[found];
        let mut body = Vec::new();
        message.write_json(&mut body);
        assert_eq!(message.kind().name(), told["name"].as_str().unwrap(), "{name}");
        assert_eq!(u64::from(message.kind().v2_id()), told["id"].as_u64().unwrap(), "{name}");
        assert_eq!(String::from_utf8(body).unwrap(), told["json"].as_str().unwrap(), "{name}");
        found += 1;
        let mut again = Vec::new();
        framing.encode_into(&message, &mut again).unwrap();
        assert_eq!(&bytes[at - again.len()..at], again, "{name}");
    }
    let whole = expected.iter().filter(|told| size(&told["at"]) + size(&told["len"]) <= bytes.len());
    // Offsets in the plain part count from the magic on: all of them are compared by the callers.
    assert!(found <= whole.count(), "{name}");
    assert_eq!(found, expected.iter().filter(|told| ends_by(told, expected, bytes.len())).count(), "{name}");
}

/// Whether a message ends within so many bytes from the first one's start.
fn ends_by(told: &Value, all: &[Value], len: usize) -> bool {
    size(&told["at"]) + size(&told["len"]) - size(&all[0]["at"]) <= len
}

#[test]
fn the_part_in_clear() {
    let (mut hellos, mut messages) = (0, 0);
    for recorded in connections().into_iter().flatten() {
        let mut at = 0;
        for item in recorded.plain() {
            assert_eq!(size(&item["at"]), at, "{}", recorded.name);
            let bytes = &recorded.file[at..at + size(&item["len"])];
            at += bytes.len();
            match item["name"].as_str().unwrap() {
                "magic" => assert_eq!(bytes, V2_MAGIC),
                "ClientHello" => {
                    let (frame, _) = v2::decode_frame(bytes).unwrap().unwrap();
                    let hello = ClientHello::decode(frame.of_type(CLIENT_HELLO).unwrap()).unwrap();
                    assert_eq!(hello.encode(), item["json"].as_str().unwrap().as_bytes());
                    assert!(hello.agree().is_ok());
                    hellos += 1;
                }
                "ServerHello" => {
                    let (frame, _) = v2::decode_frame(bytes).unwrap().unwrap();
                    let hello = ServerHello::decode(frame.of_type(SERVER_HELLO).unwrap()).unwrap();
                    assert_eq!(hello.encode(), item["json"].as_str().unwrap().as_bytes());
                    hellos += 1;
                }
                _ => {
                    let mut told = item.clone();
                    told["at"] = 0.into();
                    for cut in 0..=bytes.len() {
                        check(Framing::V2, &bytes[..cut], std::slice::from_ref(&told), &recorded.name);
                    }
                    messages += 1;
                }
            }
        }
    }
    assert!(hellos > 10 && messages > 20, "{hellos} {messages}");
}

#[test]
fn the_sealed_part_from_pieces_and_cut_everywhere() {
    for (recorded, key) in sealed() {
        let told = recorded.sealed().unwrap();
        let wire = &recorded.file[size(&told["at"])..];
        assert_eq!(wire.len(), size(&told["wire_len"]));
        let expected = told["messages"].as_array().unwrap();
        for piece in [1, 3, 50, wire.len()] {
            let mut opener = Opener::new(key.clone());
            let mut plain = Vec::new();
            for piece in wire.chunks(piece) {
                opener.open(piece, &mut plain).unwrap();
                if piece.len() < 3 {
                    continue;
                }
                check(Framing::V2, &plain, expected, &recorded.name);
            }
            assert!(opener.is_between_records());
            let last = expected.last().unwrap();
            assert_eq!(plain.len(), size(&last["at"]) + size(&last["len"]), "{}", recorded.name);
        }
        for cut in 0..wire.len() {
            let mut opener = Opener::new(key.clone());
            let mut plain = Vec::new();
            opener.open(&wire[..cut], &mut plain).unwrap();
            check(Framing::V2, &plain, expected, &recorded.name);
        }
    }
}

#[test]
fn sealed_again() {
    for (recorded, key) in sealed() {
        let told = recorded.sealed().unwrap();
        let wire = &recorded.file[size(&told["at"])..];
        let mut plain = Vec::new();
        Opener::new(key.clone()).open(wire, &mut plain).unwrap();
        let mut nonce = [0; 24];
        let start = support::from_hex(told["nonce"].as_str().unwrap());
        nonce[..start.len()].copy_from_slice(&start);
        let mut sealer = Sealer::new(&key, nonce);
        let mut again = Vec::new();
        let mut at = 0;
        for length in told["record_lengths"].as_array().unwrap() {
            let end = at + size(length) - 16;
            sealer.seal(&plain[at..end], &mut again).unwrap();
            at = end;
        }
        assert_eq!(again, wire, "{}", recorded.name);
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    for (recorded, key) in sealed() {
        let told = recorded.sealed().unwrap();
        let wire = &recorded.file[size(&told["at"])..];
        let mut good = Vec::new();
        Opener::new(key.clone()).open(wire, &mut good).unwrap();
        for at in 0..wire.len() {
            let mut wire = wire.to_vec();
            wire[at] ^= 0x10;
            let mut opener = Opener::new(key.clone());
            let mut plain = Vec::new();
            let outcome = opener.open(&wire, &mut plain);
            assert!(outcome.is_err() || !opener.is_between_records(), "{} at {at}", recorded.name);
            assert!(good.starts_with(&plain) && plain.len() < good.len());
        }
    }
}

#[test]
fn servers_recognise_every_stream() {
    let mut kinds = [0; 3];
    for [client, _] in connections() {
        for piece in [1, 7, client.file.len()] {
            let mut accept = ServerAccept::new([0; 32]);
            let mut at = 0;
            let first = loop {
                let end = (at + piece).min(client.file.len());
                let (taken, first) = accept.receive(&client.file[at..end]).unwrap();
                at += taken;
                if let Some(first) = first {
                    break first;
                }
            };
            assert_eq!(at, client.clear_len(), "{}", client.name);
            assert_eq!(accept.take_output().is_empty(), client.hello().is_none());
            match first {
                FirstMessage::Login { reply, .. } => {
                    assert_eq!(reply.payload_framing("0.70.1"), Framing::V2);
                    kinds[0] += 1;
                }
                FirstMessage::WorkConn { wire: WireVersion::V2, .. } => kinds[1] += 1,
                FirstMessage::VisitorConn { wire: WireVersion::V2, .. } => kinds[2] += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 0), "{kinds:?}");
}

#[test]
fn clients_understand_every_answer() {
    let (mut accepted, mut refused) = (0, 0);
    for connection in connections() {
        let [client, server] = &connection;
        let (Some(hello), Some(_)) = (client.hello(), server.hello()) else { continue };
        for piece in [1, 10, server.file.len()] {
            let hello = ClientHello::decode(hello.as_bytes()).unwrap();
            let (mut login, _) =
                ClientLogin::start_v2(Login::default(), client.token.as_bytes(), hello).unwrap();
            let mut at = 0;
            let outcome = loop {
                let end = (at + piece).min(server.file.len());
                match login.receive(&server.file[at..end]) {
                    Ok((taken, None)) => at += taken,
                    Ok((taken, Some(done))) => {
                        at += taken;
                        break Ok(done);
                    }
                    Err(error) => break Err(error),
                }
            };
            match outcome {
                Ok(done) => {
                    accepted += 1;
                    assert_eq!(at, server.clear_len());
                    assert_eq!(done.payload_framing, Framing::V2);
                    let expected = Channel::V2 { send: key(&connection, 0), receive: key(&connection, 1) };
                    assert_eq!(done.channel, expected);
                }
                Err(LoginError::Refused(text)) => {
                    refused += 1;
                    assert_eq!(text, "token in login doesn't match token from configuration");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(accepted > 10 && refused > 0, "{accepted} {refused}");
}
