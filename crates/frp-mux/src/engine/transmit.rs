//! Which stream sends next, and how much.
//!
//! Streams with something to send take turns. One that was idle goes before those that have sent a turn's worth, so
//! that a request beside a bulk transfer waits for what the transport already has and for nothing else. What it
//! sends then counts: only after a whole round may it jump the queue again.

use std::collections::VecDeque;
use std::time::Duration;

use super::Engine;
use super::outgoing::Outgoing;
use super::state::{Fin, Place};
use super::table::StreamKey;
use crate::frame::{Flags, HEADER_LEN, Header};

/// The largest frame of a stream that has the transport for itself, and of one that shares it.
const TURN_ALONE: usize = 64 * 1024;
const TURN_SHARED: usize = 16 * 1024;

/// Streams with something to send.
#[derive(Default)]
pub(super) struct Schedule {
    fresh: VecDeque<StreamKey>,
    round: VecDeque<StreamKey>,
}

impl Schedule {
    fn len(&self) -> usize {
        self.fresh.len() + self.round.len()
    }

    fn shrink(&mut self) {
        for list in [&mut self.fresh, &mut self.round] {
            if list.is_empty() && list.capacity() > 64 {
                *list = VecDeque::new();
            }
        }
    }
}

impl Engine {
    /// Whether [`Engine::transmit`] has something to give.
    pub fn wants_transmit(&self) -> bool {
        !self.control.is_empty()
            || self.schedule.len() > 0
            || !self.updates.is_empty()
            || self.deadlines.ping_wanted()
    }

    /// Fills `out` with frames: those that steer first, then data in turns, until enough for one write is there. Says how
    /// many came together, roughly.
    pub fn transmit(&mut self, out: &mut Outgoing, now: Duration) -> usize {
        while let Some(key) = self.updates.pop_front() {
            self.grant(key, now);
        }
        if let Some(opaque) = self.deadlines.ping_due(now) {
            self.push_control(Header::ping(Flags::SYN, opaque));
        }
        let mut frames = self.control.len() / HEADER_LEN;
        out.push_copy(&self.control);
        if self.control.capacity() > 4096 {
            self.control = bytes::BytesMut::new();
        } else {
            self.control.clear();
        }
        while !out.is_filled() {
            let Some(key) = self.schedule.fresh.pop_front().or_else(|| self.schedule.round.pop_front())
            else {
                self.schedule.shrink();
                break;
            };
            self.turn(key, out, now);
            frames += 1;
        }
        frames
    }

    /// Puts a stream that was written to among those that have something to send.
    pub(super) fn enlist(&mut self, key: StreamKey) {
        self.enlist_at(key, Place::Fresh);
    }

    /// Puts a stream that may send again back into the round: its window kept it, so it is no newcomer.
    pub(super) fn resume(&mut self, key: StreamKey) {
        self.enlist_at(key, Place::Round);
    }

    fn enlist_at(&mut self, key: StreamKey, place: Place) {
        if let Some(stream) = self.table.get_mut(key)
            && stream.place == Place::Nowhere
            && stream.can_send()
        {
            stream.place = place;
            match place {
                Place::Fresh => self.schedule.fresh.push_back(key),
                Place::Round | Place::Nowhere => self.schedule.round.push_back(key),
            }
        }
    }

    fn turn(&mut self, key: StreamKey, out: &mut Outgoing, now: Duration) {
        let turn = if self.schedule.len() == 0 { TURN_ALONE } else { TURN_SHARED };
        let limit = self.queue_limit();
        let Some(stream) = self.table.get_mut(key).filter(|stream| stream.live) else { return };
        let was = std::mem::replace(&mut stream.place, Place::Nowhere);
        let count = stream.queued.len().min(turn).min(stream.credit as usize);
        if count > 0 {
            let length = u32::try_from(count).unwrap_or(u32::MAX);
            out.push_copy(&Header::data(stream.id, length).encode());
            stream.queued.move_to(out, count);
            stream.credit -= length;
            stream.active = now;
            self.queued_total -= count;
            if stream.queued.len() <= limit / 2 {
                self.wakes.extend(stream.writer.take());
            }
        }
        if stream.can_send() && stream.queued.len() == 0 {
            self.send_fin(key, out, now);
        } else if stream.can_send() || was == Place::Fresh && count > 0 {
            // One that has nothing left still stays for the round, or it would always go first.
            stream.place = Place::Round;
            self.schedule.round.push_back(key);
        }
    }

    /// FIN goes alone: a Go reader that sees it on a data frame may stop before the data.
    fn send_fin(&mut self, key: StreamKey, out: &mut Outgoing, now: Duration) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.fin = Fin::Sent;
        out.push_copy(&Header::window(stream.id, Flags::FIN, 0).encode());
        if stream.peer_fin {
            self.over(key, false);
        } else if stream.reset_owed {
            self.reset(key);
        } else {
            self.await_close(key, now);
        }
    }

    fn grant(&mut self, key: StreamKey, now: Duration) {
        let Some(stream) = self.table.get_mut(key) else { return };
        stream.window_listed = false;
        if !stream.live || stream.peer_fin || !stream.has_reader() {
            return;
        }
        let delta = stream.window.update(&mut self.budget, now);
        if delta > 0 {
            let id = stream.id;
            self.push_control(Header::window(id, Flags::NONE, delta));
        }
    }
}
