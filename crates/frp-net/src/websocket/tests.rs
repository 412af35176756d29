//! The codec as a whole: any frames in any pieces, any writes through any room, and what the original has sent.

use std::path::Path;

use frp_proto::msg::Message;
use frp_proto::v1;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// One frame, of a peer that keeps to the protocol or does not.
pub(super) fn frame(opcode: Opcode, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let (head, end) = Header { fin, opcode, mask, length: payload.len() as u64 }.encode();
    let mut payload = payload.to_vec();
    apply_mask(&mut payload, mask.unwrap_or_default());
    [&head[..end], &payload].concat()
}

/// The payload of `wire`, which comes in pieces of these sizes again and again, and the pings that were taken meanwhile.
fn decoded(decoder: &mut Decoder, mut wire: &[u8], sizes: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut payload, mut pings) = (Vec::new(), Vec::new());
    for size in sizes.iter().cycle() {
        if wire.is_empty() {
            break;
        }
        let (piece, rest) = wire.split_at(wire.len().min(*size));
        let mut piece = piece.to_vec();
        let count = decoder.decode(&mut piece);
        payload.extend_from_slice(&piece[..count]);
        pings.extend(decoder.take_ping());
        wire = rest;
    }
    (payload, pings)
}

/// What a peer may send between the first and the last fragment of a message, or around them.
#[derive(Clone, Debug)]
enum Part {
    Fragment(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// Bytes of any length, which hardly ever are UTF-8.
fn bytes(length: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    (length, any::<u8>())
        .prop_map(|(length, start)| (0..length).map(|n| start.wrapping_add(n.to_le_bytes()[0])).collect())
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        8 => bytes(0..300_usize).prop_map(Part::Fragment),
        1 => bytes(65_530..65_540_usize).prop_map(Part::Fragment),
        2 => bytes(0..=MAX_CONTROL).prop_map(Part::Ping),
        1 => bytes(0..=MAX_CONTROL).prop_map(Part::Pong),
    ]
}

/// A message: whether it is text, its parts, and its mask.
fn message() -> impl Strategy<Value = (bool, Vec<Part>, [u8; 4])> {
    (any::<bool>(), vec(part(), 1..6), any::<[u8; 4]>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_in_any_pieces_are_their_payload(
        role in prop_oneof![Just(Role::Client), Just(Role::Server)],
        messages in vec(message(), 0..5),
        sizes in vec(1..200_usize, 1..9),
        closes: bool,
    ) {
        let (mut wire, mut payload, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for (is_text, parts, mask) in &messages {
            let mask = (role == Role::Server).then_some(*mask);
            let last = parts.iter().rposition(|part| matches!(part, Part::Fragment(_)));
            let mut opcode = if *is_text { Opcode::Text } else { Opcode::Binary };
            for (at, part) in parts.iter().enumerate() {
                match part {
                    Part::Fragment(bytes) => {
                        wire.extend(frame(opcode, Some(at) == last, bytes, mask));
                        payload.extend_from_slice(bytes);
                        opcode = Opcode::Continuation;
                    }
                    Part::Ping(bytes) => {
                        wire.extend(frame(Opcode::Ping, true, bytes, mask));
                        pings.push(bytes.clone());
                    }
                    Part::Pong(bytes) => wire.extend(frame(Opcode::Pong, true, bytes, mask)),
                }
            }
        }
        if closes {
            let mask = (role == Role::Server).then_some([1, 2, 3, 4]);
            wire.extend(frame(Opcode::Close, true, &[3, 232], mask));
            wire.extend(frame(Opcode::Binary, true, b"too late", mask));
        }
        let mut decoder = Decoder::new(role);
        let (got, taken) = decoded(&mut decoder, &wire, &sizes);
        prop_assert!(got == payload);
        prop_assert_eq!(decoder.end(), closes.then_some(End::Closed));
        prop_assert!(decoder.is_between_frames());
        // Of several pings in one piece the last is answered (RFC 6455 section 5.5.3).
        prop_assert_eq!(taken.last(), pings.last());
        let mut sent = pings.iter();
        prop_assert!(taken.iter().all(|ping| sent.any(|other| other == ping)));
    }

    #[test]
    fn any_writes_through_any_room_arrive(
        role in prop_oneof![Just(Role::Client), Just(Role::Server)],
        writes in vec(bytes(1..3000_usize), 0..9),
        room in 1..5000_usize,
        sizes in vec(1..200_usize, 1..9),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let wire = runtime.block_on(async {
            let (near, mut far) = duplex(room);
            let mut writer = WebSocket::new(near, role, None);
            let write = async {
                for bytes in &writes {
                    writer.write_all(bytes).await.unwrap();
                }
                writer.shutdown().await.unwrap();
                drop(writer);
            };
            let mut wire = Vec::new();
            let ((), read) = tokio::join!(write, far.read_to_end(&mut wire));
            read.unwrap();
            wire
        });
        let reader = if role == Role::Client { Role::Server } else { Role::Client };
        let mut decoder = Decoder::new(reader);
        let (payload, pings) = decoded(&mut decoder, &wire, &sizes);
        prop_assert!(payload == writes.concat() && pings.is_empty());
        prop_assert_eq!(decoder.end(), Some(End::Closed));
    }
}

/// One direction of a recorded connection, behind the head of its handshake. See `tests/data/websocket/README.md`.
fn recorded(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/websocket");
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    bytes[head + 4..].to_vec()
}

/// The first message of a recorded direction, what follows it, and whether its sender closed.
fn first(file: &str) -> (Message, Vec<u8>, bool) {
    let role = if file.ends_with("-client.bin") { Role::Server } else { Role::Client };
    let wire = recorded(file);
    let mut decoder = Decoder::new(role);
    let (payload, _) = decoded(&mut decoder, &wire, &[usize::MAX]);
    let end = decoder.end();
    for size in 1..20 {
        let mut decoder = Decoder::new(role);
        assert!(decoded(&mut decoder, &wire, &[size]).0 == payload, "{file}");
        assert_eq!(decoder.end(), end, "{file}");
        assert!(decoder.is_between_frames(), "{file}");
    }
    assert!(end.is_none_or(|end| end == End::Closed), "{file}: {end:?}");
    let (message, length) = v1::decode(&payload).unwrap().unwrap();
    (message, payload[length..].to_vec(), end.is_some())
}

#[test]
fn what_the_original_sent_both_ways() {
    let (login, rest, closed) = first("plain/1-client.bin");
    assert!(matches!(login, Message::Login(login) if login.version == "0.70.1"));
    assert!(!rest.is_empty() && !closed);
    let (answer, _, closed) = first("plain/1-server.bin");
    let Message::LoginResp(answer) = answer else { panic!("{answer:?}") };
    assert!(answer.error.is_empty() && closed);
    let (work, payload, closed) = first("plain/2-client.bin");
    assert!(matches!(work, Message::NewWorkConn(work) if work.run_id == answer.run_id));
    assert_eq!((&payload[..], closed), (&b"hello"[..], true));
    let (start, payload, closed) = first("plain/2-server.bin");
    assert!(matches!(start, Message::StartWorkConn(start) if start.proxy_name == "echo"));
    assert_eq!((&payload[..], closed), (&b"hello"[..], true));
}

#[test]
fn a_mux_session_of_the_original_both_ways() {
    for file in ["mux/1-client.bin", "mux/1-server.bin"] {
        let role = if file.ends_with("-client.bin") { Role::Server } else { Role::Client };
        let (payload, _) = decoded(&mut Decoder::new(role), &recorded(file), &[7]);
        // Frames of 12 bytes of header, of which data (type 0) has a body; the first opens or grants the first stream.
        assert_eq!(payload[..8], [0, 1, 0, if role == Role::Server { 1 } else { 2 }, 0, 0, 0, 1], "{file}");
        let mut rest = &payload[..];
        while !rest.is_empty() {
            let length = if rest[1] == 0 { u32::from_be_bytes(rest[8..12].try_into().unwrap()) } else { 0 };
            rest = &rest[12 + length as usize..];
        }
    }
}
