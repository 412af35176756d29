//! One conversation without I/O and clock: datagrams in, datagrams out, bytes in, bytes out.
//!
//! # What is ours on the wire
//!
//! A stock peer looks at nothing of a *tell* segment (84) but its window and `una`, so its other fields are free. Between
//! two of ours its `frg` says that a stream ends, which KCP cannot say:
//!
//! | bit of `frg` | means |
//! | --- | --- |
//! | 1 | my stream ends before segment `sn` |
//! | 2 | I know that yours ends |
//! | 4 | nobody here reads any more |
//! | 8 | I know that nobody reads there |
//!
//! They are sent only to a peer that has announced a window larger than any stock peer does.
//!
//! # What a stock listener does with the rest of a conversation
//!
//! It cannot say that it has closed a conversation, and makes a new one of whatever still comes of it: data, and be it
//! an acknowledgement of its last words. The original's frps then accepts that and, for up to 10 s, accepts nobody else
//! until it reads a first byte, which never comes. So what we say to a stock listener carries a segment 0 again, wherever
//! that costs nothing: to whoever has the conversation it is an old one, of which no byte is looked at; for a new
//! one it is the beginning, and such a one as is refused at once.

use crate::Micros;
use crate::batch::Batch;
use crate::config::{Config, LARGEST_STOCK_WINDOW, MTU};
use crate::engine::low;
use crate::engine::receiver::Receiver;
use crate::engine::sender::Sender;
use crate::fec::{Datagram, Decoder, Encoder, HEADER_LEN};
use crate::segment::{Command, OVERHEAD, Segment};

const ENDS: u8 = 1;
const KNOWS_END: u8 = 2;
const READS_NO_MORE: u8 = 4;
const KNOWS_LEFT: u8 = 8;
const _: () = assert!(KNOWS_END == ENDS << 1 && KNOWS_LEFT == READS_NO_MORE << 1);

/// What begins neither TLS nor a message nor a frame of yamux, of which it has the length. The original closes a
/// connection that begins so at its first byte or, with `tcpMux`, its first frame.
const NO_BEGINNING: [u8; 12] = [0xff; 12];

/// Datagrams of data in one batch; parity comes on top.
const BATCH: usize = 64;
/// How often the end is told to a peer that does not say that it knows, and is not heard either; and the longest time
/// between two of those. The first is a timeout, and each twice the one before: together somewhat more than a peer may
/// be silent.
const END_TELLS: u8 = 16;
const END_PAUSE: Micros = 3_000_000;
/// How long what was written may take to arrive after nobody holds the stream any more, since the peer was heard and in
/// all.
const LINGER: Micros = 10_000_000;
const LONGEST_LINGER: Micros = 3 * LINGER;
/// How often a peer is asked for a sign of life, and how often before it counts as gone.
const ASK_AGAIN: Micros = 5_000_000;
const ASKS: u8 = 6;
/// The first wait before a peer without room is asked whether it has any now, and the longest. The original waits 7 s
/// and more (`IKCP_PROBE_INIT`).
const PROBE_FIRST: Micros = 500_000;
const PROBE_LAST: Micros = 10_000_000;
/// After so long without a datagram either way, memory is given back.
const TRIM_AFTER: Micros = 2_000_000;
/// Attempts after which a peer that says nothing may count as gone. kcp-go `IKCP_DEADLINK`.
const DEAD_LINK: u32 = 20;

/// Why a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Both ends have had their say, or nobody is left to whom it matters.
    Finished,
    /// The peer reads no more.
    PeerLeft,
    /// The peer has not been heard for too long.
    Silent,
}

/// What a reader may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// There are bytes.
    Bytes,
    /// The peer has ended its stream, and everything was read.
    End,
    /// Nothing yet.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct Conversation {
    conv: u32,
    config: Config,
    /// Added to our milliseconds; nobody who does not receive from us can know it.
    ts_base: u32,
    sender: Sender,
    receiver: Receiver,
    encoder: Encoder,
    decoder: Decoder,
    /// The peer has announced a window that no stock peer does.
    peer_is_ours: bool,
    heard_at: Micros,
    /// Answers to questions that came, and news, which leave with the next datagram.
    tell: Option<u8>,
    asks: u8,
    asked_at: Micros,
    probe_at: Option<Micros>,
    probe_wait: Micros,
    end: Option<End>,
    /// The number before which the peer's stream ends.
    peer_end: Option<u64>,
    /// Since when we know that the peer reads no more.
    left_at: Option<Micros>,
    over: Option<Over>,
    /// Since when nobody holds the stream.
    abandoned_at: Option<Micros>,
    active_at: Micros,
    /// Whether receiving panics.
    #[cfg(test)]
    pub(crate) has_bug: bool,
}

/// What the peer is told of the end of our stream.
#[derive(Debug)]
struct End {
    flags: u8,
    /// How often it may still be told, when next, and how long before that it was told.
    left: u8,
    at: Micros,
    wait: Micros,
    /// What of it the peer has said to know.
    known: u8,
}

impl End {
    const fn new(flags: u8, now: Micros) -> Self {
        Self { flags, left: END_TELLS, at: now, wait: 0, known: 0 }
    }

    const fn is_known(&self) -> bool {
        (self.flags << 1) & !self.known == 0
    }

    /// It is told now.
    fn told(&mut self, now: Micros, timeout: Micros) {
        self.left = self.left.saturating_sub(1);
        self.wait = (2 * self.wait).clamp(timeout, END_PAUSE.max(timeout));
        self.at = now + self.wait;
    }
}

impl Conversation {
    /// A conversation with the peer that uses this number, too. `ts_base` should be random.
    #[must_use]
    pub fn new(conv: u32, config: Config, ts_base: u32, now: Micros) -> Self {
        Self::starting_at(conv, config, ts_base, now, 0)
    }

    /// The same, with segments that count from `first`: numbers wrap, which takes long from 0.
    pub(crate) fn starting_at(conv: u32, config: Config, ts_base: u32, now: Micros, first: u64) -> Self {
        Self {
            conv,
            ts_base,
            sender: Sender::new(config.send_window, first),
            receiver: Receiver::new(config.receive_window, first),
            config,
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            peer_is_ours: false,
            heard_at: now,
            tell: None,
            asks: 0,
            asked_at: 0,
            probe_at: None,
            probe_wait: PROBE_FIRST,
            end: None,
            peer_end: None,
            left_at: None,
            over: None,
            abandoned_at: None,
            active_at: now,
            #[cfg(test)]
            has_bug: false,
        }
    }

    /// The same with a peer that listens and may be a stock one; see the module.
    #[must_use]
    pub const fn with_listener(mut self) -> Self {
        self.sender.begin_with_one_byte();
        self
    }

    /// Its number.
    #[must_use]
    pub const fn conv(&self) -> u32 {
        self.conv
    }

    /// Whether it is over, and why.
    #[must_use]
    pub const fn over(&self) -> Option<Over> {
        self.over
    }

    /// Whether the peer has received something from us: it is where it says it is.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.sender.is_proven()
    }

    /// Keeps no more than so many segments of the peer, or as many as its window says, which is announced either way.
    pub(crate) fn limit(&mut self, segments: Option<u16>) {
        self.receiver.limit(segments);
    }

    /// Takes a datagram. What is none of this conversation is ignored.
    pub fn receive(&mut self, now: Micros, datagram: &[u8]) {
        #[cfg(test)]
        assert!(!self.has_bug, "what comes shows a bug");
        let Some(datagram) = Datagram::parse(datagram) else { return };
        self.active_at = now;
        if let Some(segments) = datagram.segments() {
            self.segments(now, segments, true);
        }
        let (sequence, body, is_parity) = match datagram {
            Datagram::Data { sequence, body } => (sequence, body, false),
            Datagram::Parity { sequence, body } => (sequence, body, true),
            Datagram::Plain(_) => return,
        };
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.receive(sequence, body, is_parity, |body| {
            let Some((size, _)) = body.split_first_chunk() else { return };
            let size = usize::from(u16::from_le_bytes(*size));
            if let Some(segments) = body.get(size_of::<u16>()..size) {
                self.segments(now, segments, false);
            }
        });
        self.decoder = decoder;
    }

    /// `is_direct` is false for what was recovered: it is older than it seems.
    fn segments(&mut self, now: Micros, mut rest: &[u8], is_direct: bool) {
        let mut last = None;
        while let Ok(Some((segment, payload, after))) = Segment::decode(rest) {
            if segment.conv != self.conv {
                break;
            }
            rest = after;
            last = Some(segment);
            self.segment(now, segment, payload, is_direct);
        }
        let Some(last) = last else { return };
        // After the single acknowledgements, which tell more of the same segments. What is behind what the peer has said
        // before is late, or is of a peer that has forgotten us.
        if self.sender.receive_una(now, last.una) {
            self.heard_at = now;
            self.asks = 0;
            if let Some(end) = &mut self.end {
                end.left = end.left.max(1);
            }
            if is_direct {
                self.sender.peer_window = last.window;
                self.peer_is_ours |= last.window > LARGEST_STOCK_WINDOW;
            }
        }
        self.sender.after_datagram(now);
    }

    fn segment(&mut self, now: Micros, segment: Segment, payload: &[u8], is_direct: bool) {
        match segment.command {
            Command::Push => self.receiver.receive(now, segment.sn, segment.ts, payload),
            // Of a new conversation, which acknowledges what the one before never got.
            Command::Ack if self.sender.is_forgotten_by(segment.una) => {}
            Command::Ack => self.sender.receive_ack(now, segment.sn, segment.ts, self.ts(now), is_direct),
            Command::Ask => self.tell = Some(self.tell.unwrap_or(0)),
            Command::Tell => self.told(now, segment),
        }
    }

    /// What one of ours says about ends.
    fn told(&mut self, now: Micros, segment: Segment) {
        let flags = segment.fragment;
        let mut knows = 0;
        if flags & ENDS != 0
            && let Some(end) = self.receiver.expand(segment.sn)
        {
            self.peer_end.get_or_insert(end);
            knows |= KNOWS_END;
        }
        if let Some(end) = &mut self.end {
            end.known |= flags;
        }
        if flags & READS_NO_MORE != 0 {
            // Nothing that we still have to say matters; what it had to say may still be on its way.
            self.sender.abandon();
            self.over.get_or_insert(Over::PeerLeft);
            self.left_at.get_or_insert(now);
            knows |= KNOWS_LEFT;
        }
        if knows != 0 {
            self.tell = Some(self.tell.unwrap_or(0) | knows);
        }
    }

    /// Takes bytes of the stream to send, as many as there is room for. None after [`Conversation::finish`].
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if self.end.is_some() { 0 } else { self.sender.write(bytes) }
    }

    /// Whether the stream that we send was ended.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it is worth waking a writer.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.sender.has_room()
    }

    /// What a reader may do.
    #[must_use]
    pub fn readable(&self) -> Readable {
        if self.receiver.is_readable() {
            Readable::Bytes
        } else if self.has_end() {
            Readable::End
        } else {
            Readable::Nothing
        }
    }

    /// Whether everything of the peer's stream has come.
    fn has_end(&self) -> bool {
        self.peer_end.is_some_and(|end| self.receiver.has_all_before(end))
    }

    /// Takes bytes that came. True if the peer should be told that there is room again.
    pub fn read(&mut self, now: Micros, into: &mut [u8]) -> (usize, bool) {
        let count = self.receiver.read(into);
        (count, self.receiver.reopen(now))
    }

    /// Ends the stream that we send, after everything that was written.
    pub fn finish(&mut self, now: Micros) {
        if self.end.is_none() {
            self.end = Some(End::new(ENDS, now));
        }
    }

    /// Nobody holds the stream any more. What was written is still sent.
    pub fn abandon(&mut self, now: Micros) {
        self.end = Some(End::new(ENDS | READS_NO_MORE, now));
        self.abandoned_at = Some(now);
        self.receiver.abandon();
    }

    /// Appends what is to be sent now. Perhaps not all of it: see [`Conversation::due`].
    pub fn transmit(&mut self, now: Micros, batch: &mut Batch) {
        if self.over == Some(Over::Silent) {
            return;
        }
        self.tick(now);
        let room = self.receiver.room();
        let common = Segment {
            conv: self.conv,
            command: Command::Push,
            fragment: 0,
            window: room,
            ts: 0,
            sn: 0,
            una: self.receiver.una(),
        };
        let before = batch.lengths.len();
        let ts = self.ts(now);
        let asks = self.ask_due().is_some_and(|at| at <= now);
        let mut packer = Packer { batch, encoder: &mut self.encoder, now, start: None, count: 0 };
        while packer.count < BATCH {
            let Some((sn, data)) = self.sender.transmit(now, ts) else { break };
            packer.put(Segment { ts, sn, ..common }, data);
        }
        // Behind the data: the last datagram of a run may be a short one.
        let carries = packer.start.is_some() || packer.count > 0;
        if self.receiver.wants_ack(now) || (carries && self.receiver.has_ack()) {
            while let Some((sn, ts)) = self.receiver.next_ack() {
                packer.put(Segment { command: Command::Ack, ts, sn, ..common }, &[]);
            }
            self.receiver.acknowledged();
        }
        if asks {
            self.asked_at = now;
            self.asks += 1;
            packer.put(Segment { command: Command::Ask, ts, ..common }, &[]);
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            self.probe_at = Some(now + self.probe_wait);
            self.probe_wait = (self.probe_wait * 3 / 2).min(PROBE_LAST);
            packer.put(Segment { command: Command::Ask, ts, ..common }, &[]);
        }
        let mut sn = 0;
        let mut flags = self.tell.take();
        if self.receiver.take_tell(now) {
            flags = Some(flags.unwrap_or(0));
        }
        if self.peer_is_ours
            && self.sender.has_sent_all()
            && let Some(end) =
                self.end.as_mut().filter(|end| !end.is_known() && end.left > 0 && end.at <= now)
        {
            end.told(now, self.sender.rtt.timeout());
            flags = Some(flags.unwrap_or(0) | end.flags);
            sn = low(self.sender.next_number());
        }
        if let Some(flags) = flags {
            packer.put(Segment { command: Command::Tell, fragment: flags, ts, sn, ..common }, &[]);
        }
        let sends = packer.start.is_some() || packer.count > 0;
        if sends
            && !self.peer_is_ours
            && let Some(sn) = self.sender.first_again()
        {
            packer.put(Segment { ts, sn, ..common }, &NO_BEGINNING);
        }
        packer.finish();
        if batch.lengths.len() > before {
            self.active_at = now;
            self.receiver.announce(room);
        }
    }

    /// What time alone brings.
    fn tick(&mut self, now: Micros) {
        self.sender.tick(now);
        let is_silent = now.saturating_sub(self.heard_at) >= micros(self.config.dead_after);
        let is_dead = self.sender.timeouts() >= DEAD_LINK && is_silent;
        let is_mute = self.asks >= ASKS && self.ask_due().is_some_and(|at| at <= now);
        let is_cut = self.tail_until().is_some_and(|at| at <= now);
        if is_dead || is_mute || is_cut {
            self.over = Some(Over::Silent);
            return;
        }
        if self.sender.is_shut_out() {
            if self.probe_at.is_none() {
                self.probe_at = Some(now + self.probe_wait);
            }
        } else {
            self.probe_at = None;
            self.probe_wait = PROBE_FIRST;
        }
        if now.saturating_sub(self.active_at) >= TRIM_AFTER {
            self.encoder.trim();
            self.decoder.trim();
            self.sender.trim();
            self.receiver.trim();
        }
        if let Some(since) = self.abandoned_at {
            let told = !self.peer_is_ours
                || self.end.as_ref().is_none_or(|end| end.is_known() || (end.left == 0 && end.at <= now));
            let is_late = self.linger_until(since) <= now;
            if (self.sender.is_done() && told) || is_late || self.over == Some(Over::PeerLeft) {
                self.over = Some(Over::Finished);
            }
        }
    }

    /// When [`Conversation::transmit`] wants to be called although nothing happens. Never, for an idle conversation
    /// without keepalive.
    #[must_use]
    pub fn due(&self, now: Micros) -> Option<Micros> {
        if matches!(self.over, Some(Over::Silent | Over::Finished)) {
            return None;
        }
        // After the last tell, only whoever has nothing else to wait for ends by it.
        let ends_by_it = self.abandoned_at.is_some() && self.sender.is_done();
        let end = self.end.as_ref().filter(|end| {
            !end.is_known() && self.peer_is_ours && self.sender.has_sent_all() && (end.left > 0 || ends_by_it)
        });
        let is_trimmed = self.decoder.is_trimmed() && self.sender.is_trimmed() && self.receiver.is_trimmed();
        [
            self.sender.due(now),
            self.receiver.due(),
            self.tell.map(|_| now),
            self.ask_due(),
            self.probe_at.or_else(|| self.sender.is_shut_out().then_some(now)),
            end.map(|end| end.at),
            self.abandoned_at.map(|since| self.linger_until(since)),
            self.tail_until(),
            (!is_trimmed).then_some(self.active_at + TRIM_AFTER),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the peer is asked for a sign of life, or for the last time was.
    fn ask_due(&self) -> Option<Micros> {
        let after = micros(self.config.keepalive?);
        Some(if self.asks == 0 { self.heard_at + after } else { self.asked_at + ASK_AGAIN })
    }

    /// How long what was written before `since` may take to arrive.
    fn linger_until(&self, since: Micros) -> Micros {
        (since.max(self.heard_at) + LINGER).min(since + LONGEST_LINGER)
    }

    /// How long what a peer that left had sent before may take to come: it sends nothing again any more after that.
    fn tail_until(&self) -> Option<Micros> {
        self.left_at.filter(|_| !self.has_end()).map(|since| since + LONGEST_LINGER)
    }

    /// Our milliseconds, as the peer repeats them.
    #[expect(clippy::cast_possible_truncation, reason = "they wrap")]
    const fn ts(&self, now: Micros) -> u32 {
        self.ts_base.wrapping_add((now / 1000) as u32)
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX / 4).min(Micros::MAX / 4)
}

/// Puts segments into datagrams.
struct Packer<'a> {
    batch: &'a mut Batch,
    encoder: &'a mut Encoder,
    now: Micros,
    /// Where the datagram begins that is being filled.
    start: Option<usize>,
    /// Those that were filled.
    count: usize,
}

impl Packer<'_> {
    fn put(&mut self, segment: Segment, payload: &[u8]) {
        let room = |start| HEADER_LEN + MTU - (self.batch.bytes.len() - start);
        if self.start.is_some_and(|start| room(start) < OVERHEAD + payload.len()) {
            self.finish();
        }
        if self.start.is_none() {
            self.start = Some(self.batch.bytes.len());
            self.batch.bytes.extend_from_slice(&[0; HEADER_LEN]);
        }
        segment.encode(payload.len(), &mut self.batch.bytes);
        self.batch.bytes.extend_from_slice(payload);
    }

    fn finish(&mut self) {
        if let Some(start) = self.start.take() {
            self.count += 1;
            self.encoder.finish(self.now, self.batch, start);
        }
    }
}

#[cfg(test)]
mod tests;
