//! Everything a session waits for, with the time at which it stops waiting.
//!
//! Each kind of wait has one length, so each list is in the order of its deadlines. Entries of streams that are over
//! stay until their time comes or until they are the majority.

use std::collections::VecDeque;
use std::time::Duration;

use super::state::Fin;
use super::table::StreamKey;
use super::{Engine, Flags, Header};
use crate::{Config, SessionEnd};

/// How long a stream that was dropped without a shutdown may take to send what it has queued.
const LINGER: Duration = Duration::from_secs(1);
/// Round trips remembered; the shortest counts.
const ROUND_TRIPS: usize = 8;

struct Ping {
    opaque: u32,
    sent: Duration,
}

pub(super) struct Deadlines {
    open_timeout: Duration,
    close_timeout: Duration,
    keepalive_interval: Option<Duration>,
    keepalive_timeout: Duration,
    /// Streams of ours that are not acknowledged, with the time they were opened.
    opening: VecDeque<(StreamKey, Duration)>,
    /// Streams that wait for the peer's FIN, or for a peer that takes what they have queued.
    closing: VecDeque<(StreamKey, Duration)>,
    lingering: VecDeque<(StreamKey, Duration)>,
    ping: Option<Ping>,
    next_ping: Option<Duration>,
    next_opaque: u32,
    ping_wanted: bool,
    last_received: Duration,
    round_trips: VecDeque<Duration>,
}

impl Deadlines {
    pub(super) fn new(config: &Config) -> Self {
        let keepalive_interval = config.keepalive_interval.filter(|interval| !interval.is_zero());
        Self {
            open_timeout: config.open_timeout,
            close_timeout: config.close_timeout,
            keepalive_interval,
            keepalive_timeout: config.keepalive_timeout,
            opening: VecDeque::new(),
            closing: VecDeque::new(),
            lingering: VecDeque::new(),
            ping: None,
            next_ping: keepalive_interval,
            next_opaque: 0,
            ping_wanted: false,
            last_received: Duration::ZERO,
            round_trips: VecDeque::new(),
        }
    }

    pub(super) fn opened(&mut self, key: StreamKey, now: Duration) {
        self.opening.push_back((key, now));
    }

    /// The stream is acknowledged or over.
    pub(super) fn settled(&mut self, key: StreamKey) {
        // Acknowledgements come in order, so it is almost always the first.
        if let Some(at) = self.opening.iter().position(|(opening, _)| *opening == key) {
            self.opening.remove(at);
        }
    }

    pub(super) fn opened_at(&self, key: StreamKey) -> Option<Duration> {
        self.opening.iter().find(|(opening, _)| *opening == key).map(|(_, at)| *at)
    }

    pub(super) fn lingers(&mut self, key: StreamKey, now: Duration) {
        self.lingering.push_back((key, now + LINGER));
    }

    pub(super) fn received(&mut self, now: Duration) {
        self.last_received = now;
    }

    /// Asks for a ping at the next opportunity, to learn the round trip.
    pub(super) fn want_ping(&mut self) {
        self.ping_wanted = true;
    }

    /// Whether a ping was asked for that can be sent now.
    pub(super) fn ping_wanted(&self) -> bool {
        self.ping_wanted && self.ping.is_none()
    }

    /// The opaque value of a ping to send now, if one is due.
    pub(super) fn ping_due(&mut self, now: Duration) -> Option<u32> {
        let due = self.ping_wanted || self.next_ping.is_some_and(|at| at <= now);
        if self.ping.is_some() || !due {
            return None;
        }
        let opaque = self.next_opaque;
        self.next_opaque = opaque.wrapping_add(1);
        self.ping = Some(Ping { opaque, sent: now });
        self.next_ping = None;
        self.ping_wanted = false;
        Some(opaque)
    }

    fn ping_answered(&mut self, opaque: u32, now: Duration) -> Option<Duration> {
        let ping = self.ping.take_if(|ping| ping.opaque == opaque)?;
        self.next_ping = self.keepalive_interval.map(|interval| now + interval);
        Some(now.saturating_sub(ping.sent))
    }

    #[cfg(all(test, not(frp_loom)))]
    pub(super) fn closing_len(&self) -> usize {
        self.closing.len()
    }

    fn ping_deadline(&self) -> Option<Duration> {
        // A peer that still sends is alive, however long the answer waits behind its data.
        self.ping.as_ref().map(|ping| ping.sent.max(self.last_received) + self.keepalive_timeout)
    }
}

impl Engine {
    /// A ping was answered. One that was never sent is none of our business.
    pub(super) fn ping_answered(&mut self, opaque: u32, now: Duration) {
        if let Some(took) = self.deadlines.ping_answered(opaque, now) {
            self.learn_round_trip(took);
        }
    }

    pub(super) fn learn_round_trip(&mut self, took: Duration) {
        let known = &mut self.deadlines.round_trips;
        if known.len() == ROUND_TRIPS {
            known.pop_front();
        }
        known.push_back(took);
        self.budget.round_trip = known.iter().min().copied();
    }

    /// The stream now waits for the peer to end it.
    pub(super) fn await_close(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.active = now;
        if stream.close_listed {
            return;
        }
        stream.close_listed = true;
        let closing = &mut self.deadlines.closing;
        closing.push_back((key, now + self.deadlines.close_timeout));
        if closing.len() > 64 + 2 * self.table.live() {
            let table = &self.table;
            closing.retain(|(key, _)| table.get(*key).is_some_and(|stream| stream.live));
        }
    }

    /// When [`Engine::handle_timeout`] wants to be called, as time since the session began.
    pub fn next_timeout(&self) -> Option<Duration> {
        let deadlines = &self.deadlines;
        [
            deadlines.ping_deadline().or(deadlines.next_ping),
            deadlines.opening.front().map(|(_, at)| *at + deadlines.open_timeout),
            deadlines.closing.front().map(|(_, at)| *at),
            deadlines.lingering.front().map(|(_, at)| *at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends what has waited too long. Harmless to call too early.
    ///
    /// # Errors
    /// The session is over: a ping or an open was not answered.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), SessionEnd> {
        if self.deadlines.ping_deadline().is_some_and(|at| at <= now) {
            return Err(SessionEnd::KeepaliveTimeout);
        }
        if self.deadlines.opening.front().is_some_and(|(_, at)| *at + self.deadlines.open_timeout <= now) {
            return Err(SessionEnd::OpenTimeout);
        }
        while let Some(key) = pop_due(&mut self.deadlines.lingering, now) {
            if self.table.get(key).is_some_and(|stream| stream.fin == Fin::Queued) {
                self.reset(key);
            }
        }
        while let Some(key) = pop_due(&mut self.deadlines.closing, now) {
            self.close_timed_out(key, now);
        }
        if let Some(opaque) = self.deadlines.ping_due(now) {
            self.push_control(Header::ping(Flags::SYN, opaque));
        }
        Ok(())
    }

    fn close_timed_out(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.table.get(key).filter(|stream| stream.live) else { return };
        // The peer still takes what is queued, or someone here still reads what the peer sends.
        let until = stream.active + self.deadlines.close_timeout;
        if until > now {
            let closing = &mut self.deadlines.closing;
            let at = closing.partition_point(|(_, other)| *other <= until);
            closing.insert(at, (key, until));
        } else {
            self.reset(key);
        }
    }
}

fn pop_due(list: &mut VecDeque<(StreamKey, Duration)>, now: Duration) -> Option<StreamKey> {
    let (key, at) = *list.front()?;
    if at > now {
        return None;
    }
    list.pop_front();
    Some(key)
}
