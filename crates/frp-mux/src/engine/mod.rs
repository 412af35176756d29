//! The protocol without a transport, a task or a clock: bytes and the time since the session began come in, bytes,
//! wakers to wake and deadlines come out.
//!
//! - `receive`: frames of the peer
//! - `transmit`: which stream sends next, and how much
//! - `deadlines`: everything the session waits for
//! - `state`, `window`, `receive_queue`, `send_queue`: one stream
//! - `table`: all streams, by key and by id
//! - `outgoing`: frames on their way into the transport

mod deadlines;
mod outgoing;
mod receive;
mod receive_queue;
mod send_queue;
mod state;
mod table;
#[cfg(test)]
#[cfg(not(frp_loom))]
mod tests;
mod transmit;
mod window;

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use self::deadlines::Deadlines;
use self::receive::Decode;
use self::state::{Fin, Holder, Stream};
use self::transmit::Schedule;
use self::window::Budget;
use crate::config::{Config, INITIAL_WINDOW};
use crate::error::OpenError;
use crate::frame::{Flags, Header};

pub use self::outgoing::Outgoing;
pub(crate) use self::send_queue::SMALL_WRITE;
pub use self::table::StreamKey;

/// While this much of what all streams have queued is unsent, a stream may queue only a quarter of its share.
const QUEUED_HIGH: usize = 4 * 1024 * 1024;
/// While this many bytes of control frames are unsent, the transport should not be read: each was caused by the peer.
const CONTROL_HIGH: usize = 64 * 1024;

/// Which side of the session we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens streams with odd ids: frpc.
    Client,
    /// Opens streams with even ids: frps.
    Server,
}

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes of the peer, in order.
    Data(Bytes),
    /// Nothing yet; the waker is kept.
    Pending,
    /// The peer sends nothing more.
    End,
    /// The stream was reset.
    Reset,
}

/// Whether a stream takes a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// This many bytes fit.
    Bytes(usize),
    /// None now; the waker is kept.
    Full,
    /// The stream was shut down on our side.
    Closed,
    /// The stream was reset.
    Reset,
}

/// One session.
pub struct Engine {
    config: Config,
    next_id: u32,
    ids_exhausted: bool,
    table: table::Table,
    decode: Decode,
    control: BytesMut,
    /// Streams whose reader has taken half of their window.
    updates: VecDeque<StreamKey>,
    schedule: Schedule,
    queued_total: usize,
    backlog: VecDeque<StreamKey>,
    inbound: usize,
    inbound_limit: usize,
    budget: Budget,
    deadlines: Deadlines,
    peer_went_away: bool,
    wakes: Vec<Waker>,
    arrivals: usize,
    acknowledged: usize,
}

impl Engine {
    /// A session that begins now, at time zero.
    pub fn new(role: Role, config: Config) -> Self {
        let budget = Budget {
            left: config.window_budget,
            kept: config.window_budget / 4,
            max_window: config.max_window.max(INITIAL_WINDOW),
            round_trip: None,
        };
        Self {
            next_id: if role == Role::Client { 1 } else { 2 },
            ids_exhausted: false,
            table: table::Table::default(),
            decode: Decode::default(),
            control: BytesMut::new(),
            updates: VecDeque::new(),
            schedule: Schedule::default(),
            queued_total: 0,
            backlog: VecDeque::new(),
            inbound: 0,
            inbound_limit: config.inbound_limit,
            budget,
            deadlines: Deadlines::new(&config),
            peer_went_away: false,
            wakes: Vec::new(),
            arrivals: 0,
            acknowledged: 0,
            config,
        }
    }

    /// Asks for a ping at the next opportunity, to learn the round trip, unless it is known or the session sends none.
    pub fn measure_round_trip(&mut self) {
        let pings = self.config.keepalive_interval.is_some_and(|interval| !interval.is_zero());
        if pings && self.budget.round_trip.is_none() {
            self.deadlines.want_ping();
        }
    }

    /// Opens a stream. The caller sees to it that no more than the backlog are unacknowledged
    /// (see [`Engine::take_acknowledged`]).
    ///
    /// # Errors
    /// The peer takes no more streams, or the ids are used up.
    pub fn open(&mut self, now: Duration) -> Result<StreamKey, OpenError> {
        if self.peer_went_away {
            return Err(OpenError::RemoteGoAway);
        }
        // A peer that opened a stream with an id of our parity has taken it.
        while !self.ids_exhausted && self.table.by_id(self.next_id).is_some() {
            self.advance_id();
        }
        if self.ids_exhausted {
            return Err(OpenError::Exhausted);
        }
        let id = self.next_id;
        self.advance_id();
        let mut stream = Stream::new(id, false, Holder::Handle, now);
        let delta = stream.window.open(&mut self.budget);
        let key = self.table.insert(stream);
        self.deadlines.opened(key, now);
        self.push_control(Header::window(id, Flags::SYN, delta));
        Ok(key)
    }

    fn advance_id(&mut self) {
        match self.next_id.checked_add(2) {
            Some(id) if id < u32::MAX - 1 => self.next_id = id,
            _ => self.ids_exhausted = true,
        }
    }

    /// Hands out the next stream the peer opened and acknowledges it.
    pub fn accept(&mut self) -> Option<StreamKey> {
        while let Some(key) = self.backlog.pop_front() {
            let Some(stream) = self.table.get_mut(key) else { continue };
            if stream.reset {
                stream.holder = Holder::Abandoned;
                self.free(key);
                continue;
            }
            stream.holder = Holder::Handle;
            // FIN of the peer alone leaves the stream alive; it cannot be over on both sides here.
            let id = stream.id;
            let delta = stream.window.open(&mut self.budget);
            self.push_control(Header::window(id, Flags::ACK, delta));
            return Some(key);
        }
        None
    }

    /// The id of a stream on the wire.
    pub fn id(&self, key: StreamKey) -> Option<u32> {
        self.table.get(key).map(|stream| stream.id)
    }

    /// The next received bytes of a stream. `done` is how many of those handed out before have been used up: they
    /// may be granted to the peer again.
    pub fn read(&mut self, key: StreamKey, done: usize, waker: &Waker) -> Read {
        let Some(stream) = self.table.get_mut(key) else { return Read::Reset };
        if done > 0 {
            let due = stream.window.read(u32::try_from(done).unwrap_or(u32::MAX));
            if due && !stream.window_listed && stream.live && !stream.peer_fin {
                stream.window_listed = true;
                self.updates.push_back(key);
            }
        }
        if let Some(data) = stream.received.pop() {
            return Read::Data(data);
        }
        if stream.peer_fin {
            Read::End
        } else if stream.reset {
            Read::Reset
        } else {
            keep_waker(&mut stream.reader, waker);
            Read::Pending
        }
    }

    #[cfg(all(test, not(frp_loom)))]
    pub(crate) fn waiting(&self, key: StreamKey) -> usize {
        self.table.get(key).map_or(0, |stream| stream.received.len())
    }

    /// How much a stream takes.
    pub fn room(&mut self, key: StreamKey, waker: &Waker) -> Room {
        let limit = self.queue_limit();
        let Some(stream) = self.table.get_mut(key) else { return Room::Reset };
        if stream.reset {
            return Room::Reset;
        }
        if stream.fin != Fin::Open {
            return Room::Closed;
        }
        match limit.saturating_sub(stream.queued.len()) {
            0 => {
                keep_waker(&mut stream.writer, waker);
                Room::Full
            }
            room => Room::Bytes(room),
        }
    }

    fn queue_limit(&self) -> usize {
        if self.queued_total > QUEUED_HIGH {
            self.config.send_queue.div_ceil(4)
        } else {
            self.config.send_queue
        }
        .max(1)
    }

    /// Queues a copy of `data`, for which [`Engine::room`] said there is room.
    pub fn write_small(&mut self, key: StreamKey, data: &[u8]) {
        if let Some(stream) = self.writable(key) {
            stream.queued.push_small(data);
            self.queued_total += data.len();
            self.enlist(key);
        }
    }

    /// Queues `data`, for which [`Engine::room`] said there is room.
    pub fn write(&mut self, key: StreamKey, data: Bytes) {
        if let Some(stream) = self.writable(key) {
            let len = data.len();
            stream.queued.push(data);
            self.queued_total += len;
            self.enlist(key);
        }
    }

    fn writable(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.table.get_mut(key).filter(|stream| stream.live && stream.fin == Fin::Open)
    }

    /// Ends our side of a stream: FIN behind what is queued.
    pub fn finish(&mut self, key: StreamKey) {
        let Some(stream) = self.writable(key) else { return };
        stream.fin = Fin::Queued;
        if let Some(waker) = stream.writer.take() {
            self.wakes.push(waker);
        }
        self.enlist(key);
    }

    /// Ends a stream both ways at once: RST, and nothing of what is queued.
    pub fn reset(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get(key) else { return };
        if stream.live {
            let id = stream.id;
            self.push_control(Header::window(id, Flags::RST, 0));
            self.over(key, true);
        }
    }

    /// The handle of a stream is gone. `unread` says whether it held bytes that nobody will read. See the crate's
    /// `MuxStream` for what the peer gets to see.
    pub fn release(&mut self, key: StreamKey, unread: bool, now: Duration) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.reader = None;
        stream.writer = None;
        let unread = unread || !stream.received.is_empty();
        stream.received.clear();
        if stream.fin == Fin::Open {
            stream.holder = Holder::Abandoned;
            if unread {
                self.reset(key);
            } else if stream.live {
                stream.fin = Fin::Queued;
                if stream.queued.len() > 0 {
                    self.deadlines.lingers(key, now);
                }
                self.enlist(key);
            }
        } else {
            stream.holder = Holder::Gone;
            if stream.live {
                self.await_close(key, now);
            }
        }
        self.free(key);
    }

    /// Like [`Engine::release`], for a peer that shall not go on sending to nobody: what is queued and FIN still go
    /// out, and RST follows as soon as there are bytes that nobody reads.
    pub fn abandon(&mut self, key: StreamKey, unread: bool, now: Duration) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.reader = None;
        stream.writer = None;
        // After the peer's FIN there is nothing left to stop.
        let unread = (unread || !stream.received.is_empty()) && !stream.peer_fin;
        stream.received.clear();
        stream.holder = Holder::Delivering;
        if stream.live {
            let lingers = stream.fin == Fin::Open && stream.queued.len() > 0;
            match stream.fin {
                Fin::Sent if unread => self.reset(key),
                Fin::Sent => self.await_close(key, now),
                Fin::Open | Fin::Queued => {
                    stream.fin = Fin::Queued;
                    stream.reset_owed = unread;
                    if lingers {
                        self.deadlines.lingers(key, now);
                    }
                    self.await_close(key, now);
                    self.enlist(key);
                }
            }
        }
        self.free(key);
    }

    /// Refuses every stream that is not accepted yet and every new one.
    pub fn refuse_inbound(&mut self) {
        self.inbound_limit = 0;
        while let Some(key) = self.backlog.pop_front() {
            self.reset(key);
            if let Some(stream) = self.table.get_mut(key) {
                stream.holder = Holder::Abandoned;
            }
            self.free(key);
        }
    }

    /// Sets how many inbound streams may live at one time.
    pub fn set_inbound_limit(&mut self, limit: usize) {
        self.inbound_limit = limit;
    }

    /// Streams that live on the wire.
    pub fn num_streams(&self) -> usize {
        self.table.live()
    }

    /// Whether so many answers to the peer are unsent that nothing more should be read from it.
    pub fn reading_paused(&self) -> bool {
        self.control.len() >= CONTROL_HIGH
    }

    /// Moves the wakers that are to be woken into `wakes`. Wake them when no lock is held.
    pub fn take_wakes(&mut self, wakes: &mut Vec<Waker>) {
        wakes.append(&mut self.wakes);
    }

    /// How many streams have come to be accepted since the last call.
    pub fn take_arrivals(&mut self) -> usize {
        std::mem::take(&mut self.arrivals)
    }

    /// How many of our streams have been acknowledged, or have ended before, since the last call.
    pub fn take_acknowledged(&mut self) -> usize {
        std::mem::take(&mut self.acknowledged)
    }

    /// Wakes everyone who waits for a stream.
    pub fn wake_all(&mut self) {
        for stream in self.table.iter_mut() {
            self.wakes.extend(stream.reader.take());
            self.wakes.extend(stream.writer.take());
        }
    }

    /// Nothing more will be sent: drops what is queued. What was received can still be read.
    pub fn stop_sending(&mut self) {
        for stream in self.table.iter_mut() {
            stream.queued.clear();
        }
        self.queued_total = 0;
        self.schedule = Schedule::default();
        self.control = BytesMut::new();
        self.updates = VecDeque::new();
    }

    fn push_control(&mut self, header: Header) {
        self.control.extend_from_slice(&header.encode());
    }

    /// The stream is over on the wire: its id is free, frames for it are ignored.
    fn over(&mut self, key: StreamKey, reset: bool) {
        let Some(stream) = self.table.get_mut(key) else { return };
        let id = stream.id;
        stream.live = false;
        stream.reset |= reset;
        self.queued_total -= stream.queued.len();
        stream.queued.clear();
        stream.window.release(&mut self.budget);
        self.wakes.extend(stream.reader.take());
        self.wakes.extend(stream.writer.take());
        self.settle_open(key);
        self.table.forget_id(id);
        self.free(key);
    }

    /// Our open of this stream is no longer pending.
    fn settle_open(&mut self, key: StreamKey) {
        if let Some(stream) = self.table.get_mut(key)
            && stream.unacknowledged
        {
            stream.unacknowledged = false;
            self.acknowledged += 1;
            self.deadlines.settled(key);
        }
    }

    /// Drops a stream that neither the wire nor our side needs any more.
    fn free(&mut self, key: StreamKey) {
        let Some(stream) = self.table.get(key) else { return };
        if stream.live || stream.has_reader() {
            return;
        }
        if let Some(stream) = self.table.remove(key)
            && stream.inbound
        {
            self.inbound -= 1;
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("streams", &self.table.live()).finish_non_exhaustive()
    }
}

fn keep_waker(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(kept) if kept.will_wake(waker) => {}
        _ => *place = Some(waker.clone()),
    }
}
