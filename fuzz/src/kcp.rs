//! Targets for `frp-kcp`.

use frp_kcp::config::{Config, MTU};
use frp_kcp::conversation::{Conversation, Readable};
use frp_kcp::fec::{Datagram, Decoder, HEADER_LEN};
use frp_kcp::segment::Segment;
use frp_kcp::{Batch, Micros};

use crate::mutate::Random;
use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("kcp_datagrams", kcp_datagrams, recorded),
        Target::new("kcp_parity", kcp_parity, recorded),
    ]
}

/// Parts of a recorded connection: datagrams, each behind its length.
fn recorded() -> Vec<Vec<u8>> {
    let mut directions = [Vec::new(), Vec::new()];
    for file in seeds::files(&seeds::data("kcp"), "bin") {
        let mut rest = file.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<7>() {
            let [flags, _, _, _, _, l0, l1] = *head;
            let length = usize::from(u16::from_le_bytes([l0, l1])).min(after.len());
            let (datagram, after) = after.split_at(length);
            rest = after;
            // Those that were lost stay so.
            if flags & 2 == 0 {
                let piece = [&[l0, l1], datagram].concat();
                directions[usize::from(flags & 1)].push(piece);
            }
        }
    }
    let parts = directions.iter().flat_map(|datagrams| datagrams.chunks(12));
    parts.map(<[_]>::concat).filter(|part| part.len() <= 16 * 1024).collect()
}

/// The datagrams that an input stands for.
fn datagrams(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        Some(datagram)
    })
}

/// A conversation whose peer sends anything, and whose owner does what owners do.
pub fn kcp_datagrams(data: &[u8]) {
    let mut random = Random::new(data.len() as u64);
    // The number that the first segment names, so that it is not all for others.
    let first = datagrams(data).find_map(|datagram| Datagram::parse(datagram)?.segments());
    let conv =
        first.and_then(|segments| Segment::decode(segments).ok()?).map_or(1, |(segment, ..)| segment.conv);
    let config = if random.below(2) == 0 { Config::single() } else { Config::multiplexed() };
    let window = usize::from(config.receive_window);
    let mut conversation = Conversation::new(conv, config, 0, 0);
    if random.below(2) == 0 {
        conversation = conversation.with_listener();
    }
    let mut now: Micros = 0;
    let mut held = 0;
    for datagram in datagrams(data) {
        conversation.receive(now, datagram);
        held += datagram.len();
        match random.below(8) {
            0 => drop(conversation.write(&vec![b'x'; random.below(5000)])),
            1 | 2 => {
                let mut buffer = [0; 700];
                let (count, _) = conversation.read(now, &mut buffer);
                assert!(count > 0 || conversation.readable() != Readable::Bytes);
                // Parity may give as much again as was sent.
                assert!(count <= 4 * held && held <= data.len().max(window * MTU));
            }
            3 => now += 1000 << random.below(16),
            4 if random.below(40) == 0 => conversation.finish(now),
            _ => {}
        }
        transmit(&mut conversation, now);
    }
    conversation.abandon(now);
    // Whatever came, it ends.
    for _ in 0..10_000 {
        transmit(&mut conversation, now);
        match conversation.due(now) {
            Some(at) => now = at.max(now + 1000),
            None => break,
        }
    }
    assert!(conversation.over().is_some(), "it never ends");
}

fn transmit(conversation: &mut Conversation, now: Micros) {
    for _ in 0..64 {
        let mut batch = Batch::default();
        conversation.transmit(now, &mut batch);
        for datagram in batch.datagrams() {
            assert!(datagram.len() <= HEADER_LEN + MTU);
            let parsed = Datagram::parse(datagram);
            if let Some(mut rest) = parsed.and_then(|datagram| datagram.segments()) {
                while let Some((_, _, after)) = Segment::decode(rest).unwrap_or_else(|_| panic!("malformed"))
                {
                    rest = after;
                }
                assert!(rest.is_empty());
            }
        }
        if conversation.due(now).is_none_or(|at| at > now) {
            return;
        }
    }
    // Many windows of acknowledgements fit in; something else would be an endless loop of the driver.
    panic!("it always has something to send");
}

/// A decoder that is given anything: what it gives back is no longer than what it got.
pub fn kcp_parity(data: &[u8]) {
    let mut decoder = Decoder::default();
    let mut longest = 0;
    for datagram in datagrams(data) {
        let (sequence, body, is_parity) = match Datagram::parse(datagram) {
            Some(Datagram::Data { sequence, body }) => (sequence, body, false),
            Some(Datagram::Parity { sequence, body }) => (sequence, body, true),
            Some(Datagram::Plain(_)) | None => continue,
        };
        longest = longest.max(body.len());
        let mut count = 0;
        decoder.receive(sequence, body, is_parity, |body| {
            count += 1;
            assert!(body.len() <= longest && count <= 3);
        });
    }
}
