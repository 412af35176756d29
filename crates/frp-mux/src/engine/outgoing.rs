//! Frames on their way into the transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// A payload up to this length is copied behind its header; a longer one is passed on as it is.
const COPY_MAX: usize = 2 * 1024;
/// Room made for headers and copies at a time: little at first, since most sessions of a server only steer now and then,
/// and each time twice as much.
const FLAT_FIRST: usize = 256;
const FLAT_MAX: usize = 8 * 1024;
/// What is gathered for one write, at least and at most. What stands here cannot be overtaken by the small frame that
/// comes next, so it is little while the transport is slower than the streams.
const GATHER_MIN: usize = 16 * 1024;
const GATHER_MAX: usize = 128 * 1024;

/// Whole frames, gathered from many streams, that the transport takes in few writes.
pub struct Outgoing {
    ready: VecDeque<Bytes>,
    flat: BytesMut,
    /// Room to be made for `flat` next time.
    room: usize,
    len: usize,
    vectored: bool,
    goal: usize,
}

impl Outgoing {
    /// An empty one. `vectored` says whether the transport takes several slices in one write; if not, all is
    /// copied into one buffer.
    pub fn new(vectored: bool) -> Self {
        let flat = BytesMut::new();
        Self { ready: VecDeque::new(), flat, room: FLAT_FIRST, len: 0, vectored, goal: GATHER_MIN }
    }

    /// Bytes that the transport has not taken yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the transport has taken everything.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether enough is gathered for one write.
    pub(super) fn is_filled(&self) -> bool {
        self.len >= self.goal
    }

    /// The transport takes everything: more may be gathered next time.
    pub fn speed_up(&mut self) {
        self.goal = (self.goal * 2).min(GATHER_MAX);
    }

    /// The transport takes nothing now: less is to be gathered next time.
    pub fn slow_down(&mut self) {
        self.goal = GATHER_MIN;
    }

    pub(super) fn push_copy(&mut self, data: &[u8]) {
        if !self.flat.try_reclaim(data.len()) {
            self.flat.reserve(data.len().max(self.room));
            self.room = FLAT_MAX.min(self.room * 2);
        }
        self.flat.extend_from_slice(data);
        self.len += data.len();
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() <= COPY_MAX || !self.vectored {
            self.push_copy(&data);
            return;
        }
        if !self.flat.is_empty() {
            self.ready.push_back(self.flat.split().freeze());
        }
        self.len += data.len();
        self.ready.push_back(data);
    }

    /// Points `slices` at the next bytes and says how many slices are filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.ready.iter().map(|part| &part[..]).chain(std::iter::once(&self.flat[..]));
        let mut used = 0;
        for (slot, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slot = IoSlice::new(part);
            used += 1;
        }
        used
    }

    /// The next bytes in one piece.
    pub fn first(&self) -> &[u8] {
        self.ready.front().map_or(&self.flat[..], |part| &part[..])
    }

    /// Drops `count` bytes that the transport took.
    pub fn advance(&mut self, mut count: usize) {
        self.len = self.len.saturating_sub(count);
        while let Some(part) = self.ready.front_mut() {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.ready.pop_front();
        }
        self.flat.advance(count.min(self.flat.len()));
    }

    /// Gives the buffers back while nothing is to be sent.
    pub fn release(&mut self) {
        if self.len == 0 {
            self.ready = VecDeque::new();
            self.flat = BytesMut::new();
            self.room = FLAT_FIRST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_only_steers_holds_little() {
        let mut out = Outgoing::new(true);
        for _ in 0..1000 {
            out.push_copy(&[0; 12]);
            out.push(Bytes::from_static(&[0; 100]));
            out.advance(112);
        }
        assert!(out.is_empty());
        assert!(out.room <= 2 * FLAT_FIRST, "{} bytes", out.room);
    }

    #[test]
    fn a_busy_session_makes_room_for_many_frames_at_a_time() {
        let mut out = Outgoing::new(true);
        for _ in 0..1000 {
            out.push_copy(&[0; 12]);
        }
        assert_eq!((out.len(), out.room), (12_000, FLAT_MAX));
        out.advance(12_000);
        out.release();
        assert_eq!(out.room, FLAT_FIRST);
    }
}
