//! What a stream has received and nobody has read yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A piece this long or longer is kept as a slice of the read buffer even behind others. A shorter one that finds
/// others waiting is copied, so that a stream nobody reads keeps at most four times what it holds.
const SLICE_MIN: usize = 16 * 1024;
const TAIL_MIN: usize = 1024;
const TAIL_MAX: usize = 32 * 1024;

enum Chunk {
    /// A part of a read buffer.
    Slice(Bytes),
    /// Small pieces, copied together.
    Copied(BytesMut),
}

/// Received bytes in order.
#[derive(Default)]
pub(super) struct ReceiveQueue {
    chunks: VecDeque<Chunk>,
    len: usize,
}

impl ReceiveQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.len == 0 || piece.len() >= SLICE_MIN {
            self.len += piece.len();
            self.chunks.push_back(Chunk::Slice(piece));
            return;
        }
        let room = match self.chunks.back() {
            Some(Chunk::Copied(tail)) => tail.capacity() - tail.len(),
            _ => 0,
        };
        if room < piece.len() {
            let size = self.len.clamp(TAIL_MIN, TAIL_MAX).max(piece.len());
            self.chunks.push_back(Chunk::Copied(BytesMut::with_capacity(size)));
        }
        self.len += piece.len();
        if let Some(Chunk::Copied(tail)) = self.chunks.back_mut() {
            tail.extend_from_slice(&piece);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let chunk = match self.chunks.pop_front()? {
            Chunk::Slice(bytes) => bytes,
            Chunk::Copied(bytes) => bytes.freeze(),
        };
        self.len -= chunk.len();
        if self.chunks.is_empty() && self.chunks.capacity() > 16 {
            self.chunks = VecDeque::new();
        }
        Some(chunk)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_slices_and_copies() {
        let mut queue = ReceiveQueue::default();
        let mut expected = Vec::new();
        for (index, len) in [5, 7, 20_000, 3, 40_000, 1, 1, 2000, 600].into_iter().enumerate() {
            let piece = vec![u8::try_from(index).unwrap(); len];
            expected.extend_from_slice(&piece);
            queue.push(Bytes::from(piece));
        }
        assert_eq!(queue.len(), expected.len());
        let mut got = Vec::new();
        while let Some(chunk) = queue.pop() {
            got.extend_from_slice(&chunk);
        }
        assert_eq!(got, expected);
        assert!(queue.is_empty());
    }

    #[test]
    fn tiny_pieces_are_gathered() {
        let mut queue = ReceiveQueue::default();
        let buffer = Bytes::from(vec![1; 65536]);
        for at in 0..4096 {
            queue.push(buffer.slice(at..=at));
        }
        assert!(queue.chunks.len() < 10, "{} chunks for 4096 bytes", queue.chunks.len());
    }
}
