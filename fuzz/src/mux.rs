//! Targets for `frp-mux`.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use frp_mux::engine::{Engine, Outgoing, Read, Role, Room, StreamKey};
use frp_mux::frame::{Flags, HEADER_LEN, Header, Kind};
use frp_mux::{Config, INITIAL_WINDOW, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::mutate::Random;
use crate::pieces::{self, Cut, Script};
use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("mux_engine_server", mux_engine_server, recorded),
        Target::new("mux_engine_client", mux_engine_client, recorded),
        Target::new("mux_session", mux_session, recorded),
    ]
}

/// Recorded directions of mux connections, and short ones with every kind of frame. The first byte sets how the
/// target behaves.
fn recorded() -> Vec<Vec<u8>> {
    let mut all = seeds::files(&seeds::data("wire/v1-mux"), "bin");
    let data = |stream, payload: &[u8]| {
        let mut frame =
            Header::data(stream, u32::try_from(payload.len()).unwrap_or_default()).encode().to_vec();
        frame.extend_from_slice(payload);
        frame
    };
    let window = |stream, flags, delta| Header::window(stream, flags, delta).encode().to_vec();
    let (syn, ack, fin, rst) = (Flags::SYN, Flags::ACK, Flags::FIN, Flags::RST);
    let delta = 6 * 1024 * 1024 - INITIAL_WINDOW;
    for (client, server) in [(1, 2), (2, 1)] {
        all.push(
            [
                window(client, syn, delta),
                data(client, b"hello"),
                window(client, fin, 0),
                Header::ping(syn, 7).encode().to_vec(),
                Header::ping(ack, 0).encode().to_vec(),
                window(server, ack, delta),
                data(server, &[7; 300]),
                window(server, Flags::NONE, 300),
                window(server, Flags(fin.0 | ack.0), 0),
                Header::go_away(0).encode().to_vec(),
            ]
            .concat(),
        );
        let opens = (0..12).flat_map(|n| window(client + 2 * n, syn, 0));
        let ends = (0..12).flat_map(|n| window(client + 2 * n, if n % 2 == 0 { rst } else { fin }, 0));
        all.push(opens.chain(ends).collect());
        all.push([data(client, &[1; 20]), window(client, Flags(syn.0 | fin.0), u32::MAX)].concat());
    }
    for code in [1, 2, 9] {
        all.push(Header::go_away(code).encode().to_vec());
    }
    let behaviours = [0, 1, 0x13, 0x6e, 0xff];
    all.iter()
        .zip(behaviours.iter().cycle())
        .map(|(wire, behaviour)| [&[*behaviour], &wire[..]].concat())
        .collect()
}

/// What a client sends, into the engine of a server.
pub fn mux_engine_server(data: &[u8]) {
    engine(Role::Server, data);
}

/// What a server sends, into the engine of a client.
pub fn mux_engine_client(data: &[u8]) {
    engine(Role::Client, data);
}

fn engine(role: Role, data: &[u8]) {
    let Some((&behaviour, wire)) = data.split_first() else { return };
    let config = Config {
        accept_backlog: 8,
        inbound_limit: if behaviour & 1 == 0 { usize::MAX } else { 5 },
        window_budget: 1 << 20,
        send_queue: 4096,
        ..Config::default()
    };
    let whole = outcome(role, &config, wire, &mut Cut::Never);
    assert_eq!(outcome(role, &config, wire, &mut Cut::Always), whole);
    let random = Random::new(u64::from(behaviour) << 32 | wire.len() as u64);
    assert_eq!(outcome(role, &config, wire, &mut Cut::Random(random.clone(), 40)), whole);
    Life::new(role, config, random).live(wire);
}

/// All that can be seen of an engine that was fed `wire` and then used.
fn outcome(role: Role, config: &Config, wire: &[u8], cut: &mut Cut) -> String {
    let mut engine = Engine::new(role, config.clone());
    let opened = engine.open(Duration::ZERO).ok();
    let mut end = None;
    let mut input = BytesMut::new();
    let mut rest = wire;
    while !rest.is_empty() && end.is_none() {
        let (piece, after) = rest.split_at(cut.length().min(rest.len()));
        input.extend_from_slice(piece);
        rest = after;
        end = engine.receive(&mut input, Duration::ZERO).err();
    }
    let mut seen = format!("{end:?} {} {}", engine.num_streams(), engine.take_arrivals());
    let accepted: Vec<_> = std::iter::from_fn(|| engine.accept()).chain(opened).collect();
    for key in accepted {
        let (bytes, last) = read_all(&mut engine, key);
        seen.push_str(&format!(" {:?} {bytes:?} {last:?}", engine.id(key)));
    }
    format!("{seen} {:?}", transmitted(&mut engine, Duration::ZERO))
}

/// All that can be read of a stream now.
fn read_all(engine: &mut Engine, key: StreamKey) -> (Vec<u8>, Read) {
    let mut bytes = Vec::new();
    let mut done = 0;
    loop {
        match engine.read(key, done, Waker::noop()) {
            Read::Data(data) => {
                assert!(!data.is_empty());
                done = data.len();
                bytes.extend_from_slice(&data);
            }
            other => return (bytes, other),
        }
    }
}

/// All that an engine wants to send now.
fn transmitted(engine: &mut Engine, now: Duration) -> Vec<u8> {
    let mut bytes = Vec::new();
    while engine.wants_transmit() {
        let mut out = Outgoing::new(true);
        engine.transmit(&mut out, now);
        while !out.is_empty() {
            let piece = out.first().to_vec();
            assert!(!piece.is_empty());
            out.advance(piece.len());
            bytes.extend_from_slice(&piece);
        }
    }
    bytes
}

/// What we may still do with a stream id, as the peer sees it.
#[derive(Default)]
struct Seen {
    credit: u64,
    finished: bool,
    /// The id was used before: what comes may belong to that stream.
    again: bool,
}

/// An engine whose owner and peer act at random, and a peer that keeps count of what it is owed.
struct Life {
    engine: Engine,
    random: Random,
    now: Duration,
    streams: Vec<StreamKey>,
    opened: usize,
    limit: usize,
    seen: HashMap<u32, Seen>,
    /// What the peer has sent and this count has not read yet.
    unread: Vec<u8>,
}

impl Life {
    fn new(role: Role, config: Config, random: Random) -> Self {
        let limit = config.inbound_limit;
        Self {
            engine: Engine::new(role, config),
            random,
            now: Duration::ZERO,
            streams: Vec::new(),
            opened: 0,
            limit,
            seen: HashMap::new(),
            unread: Vec::new(),
        }
    }

    fn live(mut self, mut wire: &[u8]) {
        let mut input = BytesMut::new();
        while !wire.is_empty() {
            let most = 1 + self.random.below(64);
            let (piece, after) = wire.split_at(most.min(wire.len()));
            wire = after;
            input.extend_from_slice(piece);
            self.count_received(piece);
            if self.engine.receive(&mut input, self.now).is_err() {
                break;
            }
            assert!(input.len() < HEADER_LEN, "{} bytes left behind", input.len());
            assert!(self.engine.num_streams() <= self.opened.saturating_add(self.limit));
            self.act();
            if self.engine.reading_paused() || self.random.below(3) == 0 {
                self.count_sent();
                assert!(!self.engine.reading_paused());
            }
            if self.random.below(16) == 0 {
                self.now += Duration::from_millis(1 << self.random.below(18));
                if self.engine.next_timeout().is_some_and(|at| at <= self.now)
                    && self.engine.handle_timeout(self.now).is_err()
                {
                    break;
                }
                assert!(self.engine.next_timeout().is_none_or(|at| at > self.now), "a timeout stays due");
            }
        }
        self.count_sent();
        if self.random.below(2) == 0 {
            self.engine.stop_sending();
            assert!(!self.engine.wants_transmit());
        }
        self.engine.refuse_inbound();
        self.engine.wake_all();
        for key in std::mem::take(&mut self.streams) {
            read_all(&mut self.engine, key);
            self.engine.release(key, false, self.now);
        }
        let mut wakes = Vec::new();
        self.engine.take_wakes(&mut wakes);
        let _ = (self.engine.take_acknowledged(), self.engine.take_arrivals());
    }

    /// Something that an owner of streams may do.
    fn act(&mut self) {
        let which = self.random.below(10);
        if which == 0
            && self.opened < 8
            && self.engine.open(self.now).is_ok_and(|key| {
                self.streams.push(key);
                true
            })
        {
            self.opened += 1;
        }
        if which < 3 {
            self.streams.extend(self.engine.accept());
        }
        let at = self.random.below(self.streams.len());
        let Some(&key) = self.streams.get(at) else { return };
        match which {
            3 => drop(read_all(&mut self.engine, key)),
            4 | 5 => {
                if let Room::Bytes(room) = self.engine.room(key, Waker::noop()) {
                    let data = Bytes::from(vec![b'x'; room.min(1 + self.random.below(5000))]);
                    if which == 4 {
                        self.engine.write_small(key, &data)
                    } else {
                        self.engine.write(key, data)
                    }
                }
            }
            6 => self.engine.finish(key),
            7 => self.engine.reset(key),
            8 => {
                self.streams.swap_remove(at);
                self.engine.release(key, self.random.below(2) == 0, self.now);
            }
            _ => {}
        }
    }

    /// A stream begins, on either side.
    fn opens(&mut self, id: u32) {
        let again = self.seen.contains_key(&id);
        let seen = self.seen.entry(id).or_default();
        *seen = Seen { credit: seen.credit + u64::from(INITIAL_WINDOW), finished: false, again };
    }

    /// Notes what the peer granted.
    fn count_received(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
        while let Some(header) = self.unread.first_chunk::<HEADER_LEN>() {
            // Whatever follows, the engine gives up here too.
            let Ok(header) = Header::decode(*header) else { return };
            let payload = if header.kind == Kind::Data { header.length as usize } else { 0 };
            if matches!(header.kind, Kind::Data | Kind::WindowUpdate) {
                if header.flags.has(Flags::SYN) {
                    self.opens(header.stream);
                }
                if header.kind == Kind::WindowUpdate
                    && let Some(seen) = self.seen.get_mut(&header.stream)
                {
                    seen.credit += u64::from(header.length);
                }
            }
            // A payload that has not come whole grants nothing, and nothing behind it does.
            if self.unread.len() < HEADER_LEN + payload {
                if payload > 1 << 20 {
                    self.unread.truncate(HEADER_LEN);
                }
                return;
            }
            self.unread.drain(..HEADER_LEN + payload);
        }
    }

    /// Takes what the engine sends, as a strict peer would.
    fn count_sent(&mut self) {
        let bytes = transmitted(&mut self.engine, self.now);
        let mut rest = &bytes[..];
        while let Some((header, after)) = rest.split_first_chunk::<HEADER_LEN>() {
            let Ok(header) = Header::decode(*header) else { panic!("sent {header:?}") };
            rest = after;
            match header.kind {
                Kind::Ping => assert!(header.stream == 0 && matches!(header.flags, Flags::SYN | Flags::ACK)),
                Kind::GoAway => assert!(header.stream == 0),
                Kind::Data => {
                    let Some((payload, after)) = rest.split_at_checked(header.length as usize) else {
                        panic!("half a frame")
                    };
                    rest = after;
                    let Some(seen) = self.seen.get_mut(&header.stream) else { panic!("data before SYN") };
                    assert!(
                        !payload.is_empty() && (!seen.finished || seen.again),
                        "data behind FIN or none at all"
                    );
                    assert!(payload.len() as u64 <= seen.credit, "more than the window");
                    seen.credit -= payload.len() as u64;
                }
                Kind::WindowUpdate if header.flags.has(Flags::SYN) => {
                    self.opens(header.stream);
                }
                Kind::WindowUpdate => {
                    let seen = self.seen.entry(header.stream).or_default();
                    if header.flags.has(Flags::FIN) {
                        assert!(!seen.finished || seen.again, "FIN twice");
                        seen.finished = true;
                    }
                    if header.flags.has(Flags::RST) {
                        seen.finished = true;
                    }
                }
            }
        }
        assert!(rest.is_empty(), "half a header");
    }
}

/// A whole session over a transport that ends or stalls: it ends, and so do its streams. Time is that of a paused
/// clock, so a wait for ever shows at once.
pub fn mux_session(data: &[u8]) {
    let Some((&behaviour, wire)) = data.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { panic!("no runtime") };
    let config = Config { accept_backlog: 8, inbound_limit: 64, window_budget: 1 << 20, ..Config::default() };
    let cut = match behaviour & 3 {
        0 => Cut::Never,
        1 => Cut::Always,
        _ => Cut::Random(Random::new(u64::from(behaviour)), 100),
    };
    let mut script = Script::new(wire, cut);
    if behaviour & 4 != 0 {
        script = script.stalled();
    }
    let written = script.written();
    let (session, driver) =
        if behaviour & 8 == 0 { Session::server(script, config) } else { Session::client(script, config) };
    let users = async {
        let opened = async {
            if behaviour & 16 != 0
                && let Ok(stream) = session.open().await
            {
                use_stream(stream).await;
            }
        };
        let accepted = async {
            while let Some(stream) = session.accept().await {
                if behaviour & 32 == 0 {
                    use_stream(stream).await;
                }
            }
        };
        tokio::join!(opened, accepted);
    };
    let all = async { tokio::join!(driver, users) };
    let hour = Duration::from_secs(3600);
    let outcome = runtime.block_on(async { tokio::time::timeout(hour, all).await });
    assert!(outcome.is_ok(), "a session without a transport does not end");
    assert!(session.is_closed() && session.num_streams() <= 65);
    let written = pieces::bytes(&written);
    assert!(written.len() <= 12 * wire.len() + (1 << 20), "{} bytes of answers", written.len());
}

async fn use_stream(mut stream: frp_mux::MuxStream) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
}
