//! Targets for `frp-proto`.

use std::net::SocketAddr;

use frp_proto::client_hello::HelloReader;
use frp_proto::crypto::cfb::{Decryptor, Encryptor};
use frp_proto::crypto::record::{Opener, Sealer};
use frp_proto::crypto::transcript::Direction;
use frp_proto::crypto::{Algorithm, RecordKey, Transcript, key};
use frp_proto::exchange::client::ClientLogin;
use frp_proto::exchange::server::{FirstMessage, ServerAccept};
use frp_proto::hello::{Bootstrap, ClientHello, ServerHello};
use frp_proto::limits::{MAX_MESSAGE, MAX_V2_PAYLOAD, SNIFF_LEN};
use frp_proto::msg::{Login, Message, MessageKind, UdpPacket};
use frp_proto::v1::{self, DecodeError, HEADER_LEN};
use frp_proto::wire::{Framing, MessageCollector};
use frp_proto::{proxy_protocol, sniff as first_bytes, udp, v2};

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("v1_frame", v1_frame, recorded),
        Target::new("message_json", message_json, bodies),
        Target::new("udp_packet", udp_packet, bodies),
        Target::new("cfb_stream", cfb_stream, recorded),
        Target::new("sniff", sniff, starts),
        Target::new("client_hello", client_hello, hellos),
        Target::new("exchange_server", exchange_server, starts),
        Target::new("exchange_client", exchange_client, recorded),
        Target::new("exchange_client_v2", exchange_client_v2, recorded),
        Target::new("v2_frame", v2_frame, recorded),
        Target::new("record_stream", record_stream, recorded),
    ]
}

/// Recorded directions of whole connections, and an empty frame of every message.
pub(crate) fn recorded() -> Vec<Vec<u8>> {
    let mut all = seeds::files(&seeds::data("wire"), "bin");
    for &kind in MessageKind::ALL {
        let mut frame = vec![kind.v1_byte(), 0, 0, 0, 0, 0, 0, 0, 2];
        frame.extend_from_slice(b"{}");
        all.push(frame);
    }
    all
}

/// Bodies of messages, the number of the kind in front.
fn bodies() -> Vec<Vec<u8>> {
    const FILLED: [(u8, &str); 8] = [
        (
            0,
            r#"{"version":"0.70.1","privilege_key":"k","timestamp":1700000000,"metas":{"a":"b","c":null},"client_spec":{"type":"ssh-tunnel"},"pool_count":-1}"#,
        ),
        (
            2,
            r#"{"proxy_name":"p","proxy_type":"http","use_encryption":true,"remote_port":6000,"custom_domains":["a","b",null],"headers":{"X":"<\u0026\ud83d\ude00>"},"metas":null}"#,
        ),
        (7, r#"{"proxy_name":"tcp","src_addr":"10.0.0.1","src_port":50000,"dst_port":65535}"#),
        (10, r#"{"privilege_key":null,"timestamp":-9223372036854775808}"#),
        (12, r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":50000,"Zone":""}}"#),
        (
            12,
            r#"{"c":[104,105],"l":null,"r":{"IP":"fe80::1","Port":1,"Zone":"eth0"},"x":[{"y":[1.5e3,true]}]}"#,
        ),
        (
            15,
            r#"{"candidate_addrs":["1.1.1.1:1"],"detect_behavior":{"mode":1,"candidate_ports":[{"from":1,"to":2}]}}"#,
        ),
        (16, r#"{"sid":"\u0000\n","response":true,"nonce":"0000"}"#),
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (kind, body) in FILLED {
        all.push([&[kind], body.as_bytes()].concat());
    }
    for kind in 0..18 {
        all.push(vec![kind, b'{', b'}']);
    }
    for file in seeds::files(&seeds::data("wire"), "bin") {
        let mut rest = &file[..];
        while let Ok(Some((message, length))) = v1::decode(rest) {
            let index = MessageKind::ALL.iter().position(|&kind| kind == message.kind()).unwrap_or_default();
            all.push([&[u8::try_from(index).unwrap_or_default()], &rest[HEADER_LEN..length]].concat());
            rest = &rest[length..];
        }
    }
    all
}

/// First bytes of every kind of connection, and recorded ones.
fn starts() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 8] = [
        b"GET /~!frp HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x17\x16\x03\x01\x02\x00",
        b"FRP\0\x02\r\n\0\x01\0\0\0\0\0\x02{}",
        b"\0\x01\0\x01\0\0\0\x01\0\x5c\0\0",
        b"o\0\0\0\0\0\0\0\x02{}",
    ];
    texts.iter().map(|text| text.to_vec()).chain(recorded()).collect()
}

/// A hello of each kind that is written differently, in one record and in records of a few bytes.
fn hellos() -> Vec<Vec<u8>> {
    let name = b"\0\0\0\x0b\0\x09\0\0\x06a.test";
    let versions = b"\0\x2b\0\x05\x04\x03\x04\x03\x03";
    let extensions: [&[&[u8]]; 4] = [&[name, versions], &[versions, name], &[name], &[]];
    let mut all = Vec::new();
    for extensions in extensions {
        let extensions = extensions.concat();
        let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0]].concat();
        body.push(u8::try_from(extensions.len()).unwrap_or_default());
        body.extend(extensions);
        let message = [&[1, 0, 0, u8::try_from(body.len()).unwrap_or_default()], &body[..]].concat();
        for of in [3, 50, 1000] {
            let record =
                |part: &[u8]| [&[0x16, 3, 1, 0, u8::try_from(part.len()).unwrap_or_default()], part].concat();
            all.push(message.chunks(of).flat_map(record).collect());
        }
    }
    all
}

/// What a message is written as is read as the same message, and written the same again.
fn round_trip(message: &Message) {
    let mut body = Vec::new();
    message.write_json(&mut body);
    let again = Message::from_json(message.kind(), &body);
    assert_eq!(again.as_ref(), Ok(message), "{}", String::from_utf8_lossy(&body));
    let _ = format!("{message:?}");
    match v1::encode(message) {
        Ok(frame) => {
            assert_eq!(frame.len(), HEADER_LEN + body.len());
            assert!(body.len() <= MAX_MESSAGE);
        }
        Err(_) => assert!(body.len() > MAX_MESSAGE),
    }
}

/// Frames one after the other: decoded whole and in pieces alike, within bounds, and never further than one
/// frame.
pub fn v1_frame(data: &[u8]) {
    let mut rest = data;
    let mut whole = Vec::new();
    let end: Option<DecodeError> = loop {
        match v1::decode(rest) {
            Ok(Some((message, length))) => {
                assert!((HEADER_LEN..=HEADER_LEN + MAX_MESSAGE).contains(&length));
                round_trip(&message);
                whole.push(message);
                rest = &rest[length..];
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if end.is_none() {
        assert!(rest.len() < HEADER_LEN + MAX_MESSAGE, "more than one frame held back");
    }
    let mut reader = MessageCollector::new(Framing::V1);
    let mut pieces = Vec::new();
    let mut failed = None;
    let mut input = data;
    let mut step = 1;
    while !input.is_empty() {
        step = step % 37 + 1;
        match reader.push(&input[..step.min(input.len())]) {
            Ok((taken, message)) => {
                assert!(
                    taken > 0 && reader.wanted().is_ok_and(|wanted| wanted <= MAX_MESSAGE.max(HEADER_LEN))
                );
                pieces.extend(message);
                input = &input[taken..];
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    assert_eq!(pieces, whole);
    assert_eq!(failed, end.map(Into::into));
}

/// A body of the message that the first byte chooses.
pub fn message_json(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    let kind = MessageKind::ALL[usize::from(kind) % MessageKind::ALL.len()];
    match Message::from_json(kind, body) {
        Ok(message) => round_trip(&message),
        Err(error) => {
            assert!(error.offset <= body.len() + 1, "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

/// Datagrams: any content round trips, and the frame written directly is the message's.
pub fn udp_packet(data: &[u8]) {
    let (head, content) = data.split_at(data.len().min(18));
    let mut address = [0; 18];
    address[..head.len()].copy_from_slice(head);
    let [ip @ .., high, low] = address;
    let remote =
        SocketAddr::new(std::net::Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes([high, low]));
    let packet = UdpPacket { content: content.to_vec(), local_addr: None, remote_addr: Some(remote.into()) };
    let message = Message::from(packet);
    let mut direct = Vec::new();
    let outcome = udp::encode_v1(content, remote, &mut direct);
    assert_eq!(outcome.is_ok(), v1::encode(&message).is_ok());
    if outcome.is_ok() {
        let length = direct.len();
        assert_eq!(Ok(&direct), v1::encode(&message).as_ref());
        assert_eq!(v1::decode(&direct), Ok(Some((message, length))));
        let (mut decoder, mut decoded) = (udp::Decoder::new(), Vec::new());
        let body = direct.get(v1::HEADER_LEN..).unwrap_or_default();
        assert_eq!(decoder.decode(body, &mut decoded), Ok(udp::User::Of(remote.into())));
        assert_eq!(decoder.decode(body, &mut decoded), Ok(udp::User::Same));
        assert_eq!(decoded, [content, content].concat());
    }
    let other = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), 1);
    for version in [proxy_protocol::Version::V1, proxy_protocol::Version::V2] {
        for header in [
            proxy_protocol::tcp_header(version, remote, other),
            proxy_protocol::udp_header(version, remote, other),
        ] {
            assert!(header.is_err() || header.is_ok_and(|header| header.len() <= 107));
        }
    }
    // Any bytes as a body: what the general reader makes of them.
    let mut decoded = Vec::new();
    let outcome = udp::Decoder::new().decode(data, &mut decoded);
    match Message::from_json(MessageKind::UdpPacket, data) {
        Ok(Message::UdpPacket(packet)) => {
            assert_eq!(outcome, Ok(packet.remote_addr.map_or(udp::User::Nobody, udp::User::Of)));
            assert_eq!(decoded, packet.content);
        }
        other => assert!(outcome.is_err() && other.is_err()),
    }
}

/// IV, then ciphertext in pieces of the lengths that the data itself gives.
pub fn cfb_stream(data: &[u8]) {
    let Some((iv, wire)) = data.split_first_chunk() else { return };
    let key = key::derive(b"123");
    let mut whole = wire.to_vec();
    Decryptor::new(&key, *iv).apply(&mut whole);
    let mut pieces = wire.to_vec();
    let mut decryptor = Decryptor::new(&key, *iv);
    let mut rest = &mut pieces[..];
    for &length in wire {
        let (piece, after) = rest.split_at_mut(usize::from(length).min(rest.len()));
        decryptor.apply(piece);
        rest = after;
    }
    decryptor.apply(rest);
    assert_eq!(pieces, whole);
    let mut again = whole;
    let mut encryptor = Encryptor::new(&key, *iv);
    let (first, second) = again.split_at_mut(usize::from(iv[0]).min(wire.len()));
    encryptor.apply(first);
    encryptor.apply(second);
    assert_eq!(again, wire);
}

/// First bytes: an answer, once given, stays; ten bytes always give one.
pub fn sniff(data: &[u8]) {
    let mut connection = None;
    let mut stream = None;
    for length in 0..=data.len().min(SNIFF_LEN + 2) {
        let found = first_bytes::connection_start(&data[..length]);
        assert!(connection.is_none() || connection == found);
        assert!(found.is_some() || length < SNIFF_LEN);
        connection = found;
        let found = first_bytes::stream_start(&data[..length]);
        assert!(stream.is_none() || stream == found);
        assert!(found.is_some() || length < first_bytes::V2_MAGIC.len());
        stream = found;
    }
}

/// A ClientHello: the same outcome whole and byte by byte, and none after too many bytes.
pub fn client_hello(data: &[u8]) {
    let expected = HelloReader::default().receive(data);
    let mut reader = HelloReader::default();
    let outcome = data.iter().map(|byte| reader.receive(&[*byte])).find(|outcome| *outcome != Ok(None));
    assert_eq!(outcome.unwrap_or(Ok(None)), expected);
    if let Ok(Some(hello)) = expected {
        assert!(hello.server_name.len() < data.len());
    }
}

/// A new stream at the server: the same outcome whole, byte by byte, and when only what is wanted is read.
pub fn exchange_server(data: &[u8]) {
    let whole = ServerAccept::new([0; 32]).receive(data);
    if let Ok((taken, first)) = &whole {
        assert!(*taken <= data.len());
        assert!(first.is_some() || *taken == data.len());
    }
    let expected = whole.map(|(taken, first)| first.map(|first| (taken, first)));
    for only_wanted in [false, true] {
        let mut accept = ServerAccept::new([0; 32]);
        let mut at = 0;
        let mut outcome = Ok(None);
        while at < data.len() {
            let step =
                if only_wanted { accept.wanted().map_or(1, |wanted| wanted.min(data.len() - at)) } else { 1 };
            match accept.receive(&data[at..at + step]) {
                Ok((taken, first)) => {
                    assert!(taken == step || first.is_some());
                    at += taken;
                    if let Some(first) = first {
                        outcome = Ok(Some((at, first)));
                        break;
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        assert_eq!(outcome, expected);
    }
    if let Ok(Some((_, FirstMessage::Login { login, reply }))) = expected {
        let _ = reply.clone().accept("0.70.1", &login.run_id, b"123");
        let _ = reply.refuse("0.70.1", &login.user);
    }
}

/// An answer to a login at the client.
pub fn exchange_client(data: &[u8]) {
    login_answered(data, || ClientLogin::start(Login::default(), b"123").map(|(machine, _)| machine));
}

/// An answer to a login of version 2.
pub fn exchange_client_v2(data: &[u8]) {
    login_answered(data, || {
        let hello = ClientHello::new(Bootstrap::default(), Algorithm::ALL, [1; 32]);
        ClientLogin::start_v2(Login::default(), b"123", hello).map(|(machine, _)| machine)
    });
}

/// The same whole and byte by byte, of which each is taken.
fn login_answered<E>(data: &[u8], start: impl Fn() -> Result<ClientLogin, E>) {
    let (Ok(mut whole), Ok(mut pieces)) = (start(), start()) else { panic!("an empty login fits") };
    let expected = whole.receive(data).map(|(taken, done)| done.map(|done| (taken, done)));
    let mut outcome = Ok(None);
    for (at, byte) in data.iter().enumerate() {
        match pieces.receive(&[*byte]) {
            Ok((taken, done)) => {
                assert_eq!(taken, 1);
                if let Some(done) = done {
                    outcome = Ok(Some((at + 1, done)));
                    break;
                }
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    assert_eq!(outcome, expected);
}

/// Messages of version 2 one after the other, in either form of datagrams: decoded whole and byte by byte alike, and
/// the same when encoded again. Hellos likewise.
pub fn v2_frame(data: &[u8]) {
    if let Ok(Some((frame, taken))) = v2::decode_frame(data) {
        assert!(taken <= data.len() && frame.payload.len() <= MAX_V2_PAYLOAD);
        for hello in [ClientHello::decode(frame.payload)].into_iter().flatten() {
            assert_eq!(ClientHello::decode(&hello.encode()).as_ref(), Ok(&hello));
            if let Ok(agreed) = hello.agree() {
                assert_eq!(ServerHello::new(agreed, [1; 32]).agree(&hello).as_ref(), Ok(&agreed));
            }
        }
    }
    for framing in [Framing::V2, Framing::V2BinaryUdp] {
        let mut rest = data;
        let mut whole = Vec::new();
        let failed = loop {
            match framing.decode(rest) {
                Ok(Some((message, taken))) => {
                    let mut again = Vec::new();
                    if framing.encode_into(&message, &mut again).is_ok() {
                        assert_eq!(framing.decode(&again), Ok(Some((message.clone(), again.len()))));
                    }
                    whole.push(message);
                    rest = &rest[taken..];
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(failed || rest.len() < v2::HEADER_LEN + MAX_V2_PAYLOAD);
        let mut collector = MessageCollector::new(framing);
        let mut pieces = Vec::new();
        let outcome = data.iter().try_for_each(|byte| {
            let (taken, message) = collector.push(&[*byte])?;
            assert_eq!(taken, 1);
            pieces.extend(message);
            Ok::<(), frp_proto::wire::DecodeError>(())
        });
        assert_eq!((pieces, outcome.is_err()), (whole, failed));
    }
}

/// Sealed records: what is sealed is opened from pieces, and any bytes give the same whole and in pieces.
pub fn record_stream(data: &[u8]) {
    let transcript = Transcript::new(b"client", b"server");
    for algorithm in Algorithm::ALL {
        let key = RecordKey::derive(b"123", &transcript, algorithm, Direction::ClientToServer);
        let mut wire = Vec::new();
        let mut sealer = Sealer::new(&key, [0xff; 24]);
        for piece in data.chunks(100) {
            assert_eq!(sealer.seal(piece, &mut wire), Ok(()));
        }
        for (input, expected) in [(&wire[..], Some(data)), (data, None)] {
            let (mut whole, mut pieces) = (Vec::new(), Vec::new());
            let outcome = Opener::new(key.clone()).open(input, &mut whole);
            let mut opener = Opener::new(key.clone());
            let stepwise = input.chunks(7).try_for_each(|piece| opener.open(piece, &mut pieces));
            assert_eq!((outcome, &whole), (stepwise, &pieces));
            if let Some(expected) = expected {
                assert_eq!((outcome, &whole[..]), (Ok(()), expected));
            }
        }
    }
}
