//! Two engines joined by queues, driven at random: what is written on one side is what is read on the other.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Open {
        client: bool,
    },
    Accept {
        client: bool,
    },
    Write {
        client: bool,
        stream: usize,
        len: usize,
    },
    Read {
        client: bool,
        stream: usize,
    },
    Finish {
        client: bool,
        stream: usize,
    },
    /// Dropped, or abandoned.
    Release {
        client: bool,
        stream: usize,
        abandon: bool,
    },
    /// One transmit of one side is put on the wire.
    Transmit {
        client: bool,
    },
    /// The wire hands over this many bytes.
    Carry {
        client: bool,
        len: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![1..64usize, 1..70_000usize];
    prop_oneof![
        1 => any::<bool>().prop_map(|client| Step::Open { client }),
        1 => any::<bool>().prop_map(|client| Step::Accept { client }),
        6 => (any::<bool>(), 0..8usize, len.clone())
            .prop_map(|(client, stream, len)| Step::Write { client, stream, len }),
        5 => (any::<bool>(), 0..8usize).prop_map(|(client, stream)| Step::Read { client, stream }),
        1 => (any::<bool>(), 0..8usize).prop_map(|(client, stream)| Step::Finish { client, stream }),
        1 => (any::<bool>(), 0..8usize, any::<bool>())
            .prop_map(|(client, stream, abandon)| Step::Release { client, stream, abandon }),
        4 => any::<bool>().prop_map(|client| Step::Transmit { client }),
        6 => (any::<bool>(), len).prop_map(|(client, len)| Step::Carry { client, len }),
    ]
}

#[derive(Default)]
struct Held {
    key: Option<StreamKey>,
    taken: usize,
    wrote: usize,
    read: usize,
    finished: bool,
    /// It was dropped: from now on the other side may see a reset.
    dropped: bool,
    reset: bool,
    end: bool,
}

struct Side {
    engine: Engine,
    wire: BytesMut,
    input: BytesMut,
    held: Vec<u32>,
    streams: HashMap<u32, Held>,
}

impl Side {
    fn new(role: Role) -> Self {
        let engine = Engine::new(role, Config { window_budget: 300_000, ..Config::default() });
        Self {
            engine,
            wire: BytesMut::new(),
            input: BytesMut::new(),
            held: Vec::new(),
            streams: HashMap::new(),
        }
    }

    fn hold(&mut self, key: StreamKey) {
        let id = self.engine.id(key).unwrap();
        self.held.push(id);
        self.streams.insert(id, Held { key: Some(key), ..Held::default() });
    }

    fn pick(&mut self, index: usize) -> Option<(u32, StreamKey)> {
        let id = *self.held.get(index % self.held.len().max(1))?;
        Some((id, self.streams[&id].key?))
    }

    fn read(&mut self, id: u32, key: StreamKey) -> bool {
        let held = self.streams.get_mut(&id).unwrap();
        let done = std::mem::take(&mut held.taken);
        match self.engine.read(key, done, Waker::noop()) {
            Read::Data(data) => {
                assert!(!held.end);
                for byte in &data {
                    assert_eq!(*byte, pattern(id, held.read));
                    held.read += 1;
                }
                held.taken = data.len();
                true
            }
            Read::Pending => false,
            Read::End => {
                held.end = true;
                false
            }
            Read::Reset => {
                held.reset = true;
                false
            }
        }
    }

    fn transmit(&mut self, now: Duration) -> bool {
        let mut out = Outgoing::new(self.held.len().is_multiple_of(2));
        self.engine.transmit(&mut out, now);
        let some = !out.is_empty();
        while !out.is_empty() {
            self.wire.extend_from_slice(out.first());
            out.advance(out.first().len());
        }
        some
    }

    fn carry(&mut self, wire: &mut BytesMut, len: usize, now: Duration) -> bool {
        let part = wire.split_to(len.min(wire.len()));
        self.input.extend_from_slice(&part);
        self.engine.receive(&mut self.input, now).unwrap();
        !part.is_empty()
    }
}

fn pattern(id: u32, at: usize) -> u8 {
    u8::try_from((at + id as usize * 31) % 251).unwrap()
}

fn run(steps: Vec<Step>) {
    let mut sides = [Side::new(Role::Client), Side::new(Role::Server)];
    let mut now = START;
    for step in steps {
        now += Duration::from_micros(300);
        apply(&mut sides, step, now);
    }
    // Everything still on its way arrives, everything that can be read is read.
    loop {
        let mut moved = false;
        for one in 0..2 {
            while let Some(key) = sides[one].engine.accept() {
                sides[one].hold(key);
                moved = true;
            }
            moved |= sides[one].transmit(now);
            let mut wire = std::mem::take(&mut sides[one].wire);
            moved |= sides[1 - one].carry(&mut wire, usize::MAX, now);
            for index in 0..sides[one].held.len() {
                if let Some((id, key)) = sides[one].pick(index) {
                    moved |= sides[one].read(id, key);
                }
            }
        }
        if !moved {
            break;
        }
    }
    check(&sides[0], &sides[1]);
    check(&sides[1], &sides[0]);
    for side in &mut sides {
        for index in 0..side.held.len() {
            if let Some((_, key)) = side.pick(index) {
                side.engine.reset(key);
                side.engine.release(key, false, now);
            }
        }
        let queued: usize = side.engine.table.iter_mut().map(|stream| stream.queued.len()).sum();
        assert_eq!(side.engine.queued_total, queued);
    }
}

fn apply(sides: &mut [Side; 2], step: Step, now: Duration) {
    let index = |client: bool| usize::from(!client);
    match step {
        Step::Open { client } => {
            let side = &mut sides[index(client)];
            if let Ok(key) = side.engine.open(now) {
                side.hold(key);
            }
        }
        Step::Accept { client } => {
            let side = &mut sides[index(client)];
            if let Some(key) = side.engine.accept() {
                side.hold(key);
            }
        }
        Step::Write { client, stream, len } => {
            let side = &mut sides[index(client)];
            let Some((id, key)) = side.pick(stream) else { return };
            let held = side.streams.get_mut(&id).unwrap();
            let data: Vec<u8> = (held.wrote..held.wrote + len).map(|at| pattern(id, at)).collect();
            held.wrote += write(&mut side.engine, key, &data);
        }
        Step::Read { client, stream } => {
            let side = &mut sides[index(client)];
            if let Some((id, key)) = side.pick(stream) {
                side.read(id, key);
            }
        }
        Step::Finish { client, stream } => {
            let side = &mut sides[index(client)];
            if let Some((id, key)) = side.pick(stream) {
                side.engine.finish(key);
                side.streams.get_mut(&id).unwrap().finished = true;
            }
        }
        Step::Release { client, stream, abandon } => {
            let side = &mut sides[index(client)];
            if let Some((id, key)) = side.pick(stream) {
                if abandon {
                    side.engine.abandon(key, false, now);
                } else {
                    side.engine.release(key, false, now);
                }
                let held = side.streams.get_mut(&id).unwrap();
                held.key = None;
                held.dropped = true;
            }
        }
        Step::Transmit { client } => {
            sides[index(client)].transmit(now);
        }
        Step::Carry { client, len } => {
            let one = index(client);
            let mut wire = std::mem::take(&mut sides[one].wire);
            sides[1 - one].carry(&mut wire, len, now);
            sides[one].wire = wire;
        }
    }
}

/// What `reader` got of what `writer` wrote.
fn check(writer: &Side, reader: &Side) {
    for (id, wrote) in &writer.streams {
        let Some(got) = reader.streams.get(id) else { continue };
        assert!(got.read <= wrote.wrote);
        if got.key.is_some() && !got.reset && wrote.key.is_some() {
            assert_eq!(got.read, wrote.wrote, "stream {id}: what was written arrives");
            assert_eq!(got.end, wrote.finished, "stream {id}: the end arrives exactly if it was sent");
        }
        if got.reset {
            assert!(wrote.dropped || got.dropped, "stream {id}: nobody dropped it");
        }
        if got.end && !got.reset && !wrote.dropped {
            assert_eq!(got.read, wrote.wrote);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_engines_agree(steps in prop::collection::vec(step(), 1..400)) {
        run(steps);
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_end(
        headers in prop::collection::vec((0..5u8, 0..20u16, 0..6u32, prop_oneof![0..40u32, any::<u32>()]), 0..60),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut engine = server();
        let mut input = BytesMut::new();
        for (kind, flags, id, length) in headers {
            let [f0, f1] = flags.to_be_bytes();
            input.extend_from_slice(&[0, kind, f0, f1]);
            input.extend_from_slice(&id.to_be_bytes());
            input.extend_from_slice(&length.to_be_bytes());
            input.extend_from_slice(&noise);
            if engine.receive(&mut input, START).is_err() {
                return Ok(());
            }
            if let Some(key) = engine.accept() {
                engine.finish(key);
                engine.release(key, false, START);
            }
            sent(&mut engine, START);
        }
    }
}
