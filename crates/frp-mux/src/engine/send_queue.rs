//! What a stream was given to send and the transport has not taken yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::outgoing::Outgoing;

/// A write up to this length is copied next to others like it.
pub(crate) const SMALL_WRITE: usize = 4 * 1024;
const TAIL: usize = 8 * 1024;

/// Bytes to send in order: large pieces as they came, small ones gathered behind them.
#[derive(Default)]
pub(super) struct SendQueue {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl SendQueue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push_small(&mut self, data: &[u8]) {
        if self.tail.capacity() - self.tail.len() < data.len() {
            self.seal_tail();
            // The first write of an idle stream gets what it needs; those that pile up behind it get more.
            let size = if self.len == 0 { data.len() } else { TAIL.max(data.len()) };
            self.tail = BytesMut::with_capacity(size);
        }
        self.tail.extend_from_slice(data);
        self.len += data.len();
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.seal_tail();
        self.len += data.len();
        self.pieces.push_back(data);
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Moves exactly `count` bytes, which must be there, to the transport's side.
    pub(super) fn move_to(&mut self, out: &mut Outgoing, mut count: usize) {
        self.len -= count;
        while count > 0 {
            let Some(piece) = self.pieces.front_mut() else {
                out.push_copy(&self.tail[..count]);
                self.tail.advance(count);
                break;
            };
            let part = piece.split_to(count.min(piece.len()));
            count -= part.len();
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            out.push(part);
        }
        if self.len == 0 {
            // An idle stream holds no buffer.
            self.tail = BytesMut::new();
            if self.pieces.capacity() > 16 {
                self.pieces = VecDeque::new();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
