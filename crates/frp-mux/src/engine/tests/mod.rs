mod model;
mod recorded;
mod rules;
mod sending;
mod windows;

use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;

use super::{Engine, Outgoing, Read, Role, Room, StreamKey};
use crate::frame::{Flags, HEADER_LEN, Header, Kind};
use crate::{Config, SessionEnd};

const START: Duration = Duration::ZERO;

fn server() -> Engine {
    Engine::new(Role::Server, Config::default())
}

fn client() -> Engine {
    Engine::new(Role::Client, Config::default())
}

/// Everything the engine wants to send now.
fn sent(engine: &mut Engine, now: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    while engine.wants_transmit() {
        let mut out = Outgoing::new(true);
        engine.transmit(&mut out, now);
        while !out.is_empty() {
            let first = out.first();
            let len = first.len();
            bytes.extend_from_slice(first);
            out.advance(len);
        }
    }
    bytes
}

/// Splits whole frames.
fn frames(mut bytes: &[u8]) -> Vec<(Header, &[u8])> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() {
        let header = Header::decode(*header).unwrap();
        let len = if header.kind == Kind::Data { header.length as usize } else { 0 };
        frames.push((header, &rest[..len]));
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty());
    frames
}

fn headers(bytes: &[u8]) -> Vec<Header> {
    frames(bytes).into_iter().map(|(header, _)| header).collect()
}

fn feed(engine: &mut Engine, bytes: &[u8], now: Duration) -> Result<(), SessionEnd> {
    let mut input = BytesMut::from(bytes);
    engine.receive(&mut input, now)?;
    assert!(input.len() < HEADER_LEN, "only the beginning of a header may be left");
    Ok(())
}

fn feed_header(engine: &mut Engine, header: Header) -> Result<(), SessionEnd> {
    feed(engine, &header.encode(), START)
}

fn feed_data(engine: &mut Engine, id: u32, payload: &[u8]) -> Result<(), SessionEnd> {
    let mut bytes = Header::data(id, u32::try_from(payload.len()).unwrap()).encode().to_vec();
    bytes.extend_from_slice(payload);
    feed(engine, &bytes, START)
}

/// A server engine with stream 1 open and accepted, and nothing left to send.
fn with_stream() -> (Engine, StreamKey) {
    let mut engine = server();
    feed_header(&mut engine, Header::window(1, Flags::SYN, 0)).unwrap();
    let key = engine.accept().unwrap();
    assert_eq!(headers(&sent(&mut engine, START)), [Header::window(1, Flags::ACK, 0)]);
    (engine, key)
}

/// All that can be read now, as used up at once.
fn read_all(engine: &mut Engine, key: StreamKey) -> (Vec<u8>, Read) {
    let mut got = Vec::new();
    let mut done = 0;
    loop {
        match engine.read(key, done, Waker::noop()) {
            Read::Data(data) => {
                done = data.len();
                got.extend_from_slice(&data);
            }
            other => return (got, other),
        }
    }
}

/// Queues as much as fits.
fn write(engine: &mut Engine, key: StreamKey, data: &[u8]) -> usize {
    match engine.room(key, Waker::noop()) {
        Room::Bytes(room) => {
            let part = &data[..room.min(data.len())];
            if part.len().is_multiple_of(2) {
                engine.write(key, bytes::Bytes::copy_from_slice(part));
            } else {
                engine.write_small(key, part);
            }
            part.len()
        }
        _ => 0,
    }
}
