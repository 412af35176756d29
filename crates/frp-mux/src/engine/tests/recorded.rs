//! A recorded session of upstream's frpc and frps.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/wire/v1-mux").join(name);
    std::fs::read(path).unwrap()
}

fn session() -> Value {
    serde_json::from_slice(&file("session.json")).unwrap()
}

/// What arrives on each stream when `bytes` come in pieces that end at `cuts`.
fn receive(
    role: Role,
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> BTreeMap<u32, (Vec<u8>, bool)> {
    let mut engine = Engine::new(role, Config::default());
    let mut streams: BTreeMap<u32, (Vec<u8>, bool)> = BTreeMap::new();
    let mut keys = Vec::new();
    if role == Role::Client {
        keys = (0..3).map(|_| engine.open(START).unwrap()).collect();
    }
    let mut input = BytesMut::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([bytes.len()]) {
        input.extend_from_slice(&bytes[from..to]);
        from = to;
        engine.receive(&mut input, START).unwrap();
        keys.extend(std::iter::from_fn(|| engine.accept()));
        for key in &keys {
            let (data, read) = read_all(&mut engine, *key);
            let (all, ended) = streams.entry(engine.id(*key).unwrap()).or_default();
            all.extend(data);
            *ended |= read == Read::End;
        }
    }
    streams
}

fn both() -> [(Role, Vec<u8>, &'static str); 2] {
    [(Role::Server, file("1-client.bin"), "client"), (Role::Client, file("1-server.bin"), "server")]
}

#[test]
fn headers_are_as_recorded() {
    let session = session();
    for (_, bytes, side) in both() {
        let expected: Vec<_> = session["connections"][0]["yamux"][format!("{side}_frames")]
            .as_array()
            .unwrap()
            .iter()
            .map(|hex| hex.as_str().unwrap().to_owned())
            .collect();
        let got: Vec<String> = headers(&bytes)
            .into_iter()
            .map(|header| header.encode().iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn streams_are_as_recorded() {
    let session = session();
    for (role, bytes, side) in both() {
        let streams = receive(role, &bytes, []);
        for stream in session["connections"][0]["streams"].as_array().unwrap() {
            let id = u32::try_from(stream["id"].as_u64().unwrap()).unwrap();
            let (data, ended) = &streams[&id];
            assert_eq!(data.len() as u64, stream[format!("{side}_len")].as_u64().unwrap());
            assert_eq!(*ended, id == 3, "the user's connection was closed, the others were not");
            for message in stream[side]["plain"].as_array().unwrap() {
                let at = usize::try_from(message["at"].as_u64().unwrap()).unwrap();
                let len = usize::try_from(message["len"].as_u64().unwrap()).unwrap();
                assert_eq!(&data[at + 9..at + len], message["json"].as_str().unwrap().as_bytes());
            }
        }
    }
}

#[test]
fn pieces_of_any_size_give_the_same() {
    for (role, bytes, _) in both() {
        let whole = receive(role, &bytes, []);
        assert_eq!(receive(role, &bytes, 0..bytes.len()), whole, "a byte at a time");
        for cut in 0..bytes.len() {
            assert_eq!(receive(role, &bytes, [cut]), whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_cut_gives_a_part_and_never_an_error() {
    for (role, bytes, _) in both() {
        let whole = receive(role, &bytes, []);
        for len in 0..bytes.len() {
            for (id, (data, _)) in receive(role, &bytes[..len], []) {
                assert!(whole[&id].0.starts_with(&data));
            }
        }
    }
}
