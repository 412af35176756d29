//! Targets for `frp-stream`.

use frp_proto::crypto::Key;
use frp_proto::crypto::key;
use frp_proto::limits::IV_LEN;
use frp_proto::msg::Message;
use frp_stream::layer::snappy::frame::{
    self, Decoder, HEADER, MAX_BODY, MAX_ENCODED, MAX_PLAIN, STREAM_IDENTIFIER, SnappyError, Step,
};
use frp_stream::message::{self, ReadError};
use frp_stream::udp::{self, Received};
use frp_stream::{Layers, Stream};
use std::sync::LazyLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::mutate::Random;
use crate::pieces::{self, Cut, Script, ready};
use crate::{Target, proto, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("snappy_frame", snappy_frame, compressed),
        Target::new("layers", layers, payloads),
        Target::new("message_stream", message_stream, proto::recorded),
    ]
}

/// Deriving it takes longer than the rest of an input.
static KEY: LazyLock<Key> = LazyLock::new(|| key::derive(b"123"));

/// Snappy streams: compressed, stored, skipped and repeated chunks.
fn compressed() -> Vec<Vec<u8>> {
    let stream = |plain: &[u8]| [&STREAM_IDENTIFIER[..], &encode(plain)].concat();
    let hello = stream(b"hello");
    let mixed: Vec<u8> = (0..3000_u32).flat_map(|n| (n.wrapping_mul(n) >> 7).to_le_bytes()).collect();
    let skipped = [&STREAM_IDENTIFIER[..], b"\x80\x03\0\0abc\xfe\0\0\0", &hello].concat();
    let reserved = [&STREAM_IDENTIFIER[..], b"\x02\x05\0\0abcde"].concat();
    let bomb = [&STREAM_IDENTIFIER[..], b"\0\x0b\0\0\0\0\0\0\xff\xff\xff\xff\x0f\0a"].concat();
    let mut all =
        vec![hello.clone(), hello[10..].to_vec(), skipped, reserved, bomb, STREAM_IDENTIFIER.to_vec()];
    all.push(stream(&[7; MAX_PLAIN]));
    all.push(stream(&mixed));
    all.extend(
        ["v1-comp", "v1-enccomp"]
            .iter()
            .flat_map(|name| seeds::files(&seeds::data("wire").join(name), "bin")),
    );
    all
}

/// Chunks without the stream identifier.
fn encode(mut plain: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut chunk = vec![0; MAX_ENCODED];
    while !plain.is_empty() {
        let (taken, len) = frame::encode_chunk(plain, &mut chunk);
        assert!(taken > 0 && taken <= MAX_PLAIN && len <= MAX_ENCODED);
        chunks.extend_from_slice(&chunk[..len]);
        plain = &plain[taken..];
    }
    chunks
}

/// What a stream decodes to, and the error at its end. The input comes in the pieces that the decoder asks for, or
/// whole; the output has just the room that it asks for, or plenty.
fn decode(input: &[u8], tight: bool) -> (Vec<u8>, Result<(), SnappyError>) {
    let mut decoder = Decoder::default();
    let mut plain = Vec::new();
    let mut room = vec![0; if tight { 0 } else { MAX_PLAIN }];
    let (mut at, mut known) = (0, if tight { 0 } else { input.len() });
    loop {
        match decoder.next(&input[at..known], &mut room) {
            Ok(Step::Need(len)) => {
                assert!(len > known - at && len <= HEADER + MAX_BODY);
                if at + len > input.len() {
                    return (plain, if at == input.len() { Ok(()) } else { Err(SnappyError::Corrupt) });
                }
                known = at + len;
            }
            Ok(Step::Room(len)) => {
                assert!(len > room.len() && len <= MAX_PLAIN);
                room.resize(len, 0);
            }
            Ok(Step::Skipped { consumed }) => at += consumed,
            Ok(Step::Data { consumed, plain: len }) => {
                plain.extend_from_slice(&room[..len]);
                at += consumed;
                if tight {
                    room.clear();
                }
            }
            Err(error) => return (plain, Err(error)),
        }
        known = known.max(at);
    }
}

/// As a stream: decoded piece by piece and whole alike. As plain bytes: encoded and decoded again.
pub fn snappy_frame(data: &[u8]) {
    let (plain, end) = decode(data, false);
    let (tight, tight_end) = decode(data, true);
    assert_eq!(tight, plain);
    // A cut header may already be known to be wrong.
    assert_eq!(tight_end.is_ok(), end.is_ok());
    let stream = [&STREAM_IDENTIFIER[..], &encode(data)].concat();
    assert_eq!(decode(&stream, true), (data.to_vec(), Ok(())));
}

/// Payloads of recorded work connections, encrypted and compressed. The first byte sets the layers.
fn payloads() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (name, kinds) in [("v1-comp", &[2_u8, 6][..]), ("v1-enc", &[1, 5]), ("v1-enccomp", &[3, 7])] {
        for file in seeds::files(&seeds::data("wire").join(name), "bin") {
            // Behind the message that starts a work connection.
            let start = frp_proto::v1::decode(&file).ok().flatten().map_or(0, |(_, length)| length);
            all.extend(kinds.iter().map(|kind| [&[*kind], &file[start..]].concat()));
        }
    }
    all.extend(compressed().into_iter().map(|stream| [&[2], &stream[..]].concat()));
    all
}

/// What comes over the wire through the layers: the same in any pieces, and an end. What is written through them: the
/// same again on the other side.
pub fn layers(data: &[u8]) {
    let Some((&behaviour, wire)) = data.split_first() else { return };
    let layers = || Layers {
        encryption: (behaviour & 1 != 0).then(|| KEY.clone()),
        compression: behaviour & 2 != 0,
        limiter: None,
    };
    let read = |wire: &[u8], cut| {
        let mut stream = layers().apply(Stream::boxed(Script::new(wire, cut)));
        let mut plain = Vec::new();
        let end = ready(stream.read_to_end(&mut plain)).map_err(|error| error.to_string());
        (plain, end.map(drop))
    };
    let random = |seed: u64| Cut::Random(Random::new(seed + u64::from(behaviour)), 50);
    let whole = read(wire, Cut::Never);
    assert_eq!(read(wire, Cut::Always), whole);
    assert_eq!(read(wire, random(1)), whole);
    if behaviour & 2 == 0 && whole.1.is_ok() {
        let head = if behaviour & 1 == 0 { 0 } else { IV_LEN };
        assert_eq!(whole.0.len(), wire.len().saturating_sub(head));
    }

    let script = Script::new(&[], if behaviour & 4 == 0 { Cut::Never } else { random(2) });
    let written = script.written();
    let mut stream = layers().apply(Stream::boxed(script));
    let pieces = wire.chunks(1 + usize::from(behaviour >> 3) * 97);
    let outcome = ready(async {
        for piece in pieces {
            stream.write_all(piece).await?;
        }
        stream.shutdown().await
    });
    assert!(outcome.is_ok());
    let (plain, end) = read(&pieces::bytes(&written), random(3));
    assert!(end.is_ok() && plain == wire, "written and read again: {end:?}");
}

/// Messages over a stream, read one by one and as a channel.
pub fn message_stream(data: &[u8]) {
    let by_one = |cut| {
        let mut stream = Script::new(data, cut);
        let mut messages = Vec::new();
        let end = loop {
            match ready(message::read_message(&mut stream)) {
                Ok(message) => messages.push(message),
                Err(error) => break error,
            }
        };
        (messages, end)
    };
    let as_channel = |cut| {
        let (mut reader, _writer) = message::message_channel(Stream::boxed(Script::new(data, cut)));
        let mut messages = Vec::new();
        let end = loop {
            match ready(reader.next()) {
                Ok(message) => messages.push(message),
                Err(error) => break error,
            }
        };
        (messages, end)
    };
    let random = || Cut::Random(Random::new(data.len() as u64), 100);
    let expected = text(by_one(Cut::Never));
    for other in [by_one(Cut::Always), as_channel(Cut::Never), as_channel(Cut::Always), as_channel(random())]
    {
        assert_eq!(text(other), expected);
    }
    encrypted(data, &expected.0);
    datagrams(data, &expected.0);
}

/// The same messages as a work connection of a udp proxy takes them.
fn datagrams(data: &[u8], messages: &[Message]) {
    let (mut reader, _writer) = udp::datagram_channel(Stream::boxed(Script::new(data, Cut::Never)));
    let mut count = 0;
    while let Ok(received) = ready(reader.next()) {
        let datagram =
            matches!(messages.get(count), Some(Message::UdpPacket(packet)) if packet.remote_addr.is_some());
        assert_eq!(matches!(received, Received::Datagram(_)), datagram);
        count += 1;
    }
    assert_eq!(count, messages.len());
}

fn text((messages, end): (Vec<Message>, ReadError)) -> (Vec<Message>, String) {
    (messages, end.to_string())
}

/// The messages come through an encrypted channel as they are.
fn encrypted(data: &[u8], messages: &[Message]) {
    let script = Script::new(&[], Cut::Random(Random::new(data.len() as u64), 100));
    let written = script.written();
    let (_reader, mut writer) = message::control_channel(Stream::boxed(script), &KEY);
    for message in messages {
        // One whose JSON grows when it is written by us may be too long for a frame.
        let _ = ready(writer.send(message));
    }
    let wire = pieces::bytes(&written);
    let (mut reader, _writer) = message::control_channel(Stream::boxed(Script::new(&wire, Cut::Never)), &KEY);
    let mut sent = messages.iter().filter(|message| frp_proto::v1::encode(message).is_ok());
    while let Ok(message) = ready(reader.next()) {
        assert_eq!(Some(&message), sent.next());
    }
    assert_eq!(sent.next(), None);
    // Anything at all as ciphertext.
    let (mut reader, _writer) = message::control_channel(Stream::boxed(Script::new(data, Cut::Never)), &KEY);
    while ready(reader.next()).is_ok() {}
}
