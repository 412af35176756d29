//! The read buffers of a session.

use std::collections::VecDeque;

use bytes::BytesMut;

/// One read of a busy session takes up to this much.
pub(crate) const READ_BUFFER: usize = 64 * 1024;
/// Buffers kept for another turn until the session is quiet. Giving one back and faulting it in anew costs more than
/// reading into it.
const RETIRED_MAX: usize = 64;

/// What was read and not taken yet, in a buffer with room behind it. Readers hold slices of earlier buffers; a buffer is
/// used again when they are through with it, since giving it back to the allocator each time costs page faults.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) buffer: BytesMut,
    retired: VecDeque<BytesMut>,
}

impl Input {
    /// Makes room for a large read.
    pub(crate) fn make_room(&mut self) {
        let len = self.buffer.len();
        if self.buffer.capacity() - len >= READ_BUFFER / 2
            || self.buffer.try_reclaim(READ_BUFFER - len.min(READ_BUFFER))
        {
            return;
        }
        let mut fresh = self.reclaim().unwrap_or_else(|| BytesMut::with_capacity(READ_BUFFER));
        fresh.extend_from_slice(&self.buffer);
        let mut old = std::mem::replace(&mut self.buffer, fresh);
        if self.retired.len() < RETIRED_MAX && old.capacity() > 0 {
            old.clear();
            self.retired.push_back(old);
        }
    }

    /// A buffer that nobody holds a part of any more: the one used last, which is still in the cache.
    fn reclaim(&mut self) -> Option<BytesMut> {
        let free = self.retired.iter_mut().rposition(|buffer| buffer.try_reclaim(READ_BUFFER))?;
        self.retired.remove(free)
    }

    /// Gives back what is not needed while nothing comes.
    pub(crate) fn release(&mut self) {
        self.retired = VecDeque::new();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_when_their_readers_are_through() {
        let mut input = Input::default();
        let mut held = VecDeque::new();
        let mut places = std::collections::HashSet::new();
        for _ in 0..100 {
            input.make_room();
            input.buffer.extend_from_slice(&[1; READ_BUFFER - 20]);
            places.insert(input.buffer.as_ptr());
            held.push_back(input.buffer.split_to(READ_BUFFER - 30).freeze());
            if held.len() > 3 {
                held.pop_front();
            }
            assert_eq!(input.buffer, [1; 10][..]);
            input.buffer.clear();
        }
        assert!(places.len() <= 6, "{} buffers", places.len());
    }

    #[test]
    fn no_more_than_a_few_are_kept_for_readers_that_do_not_come() {
        let mut input = Input::default();
        let mut held = Vec::new();
        for _ in 0..100 {
            input.make_room();
            input.buffer.extend_from_slice(&[1; READ_BUFFER]);
            held.push(input.buffer.split().freeze());
        }
        assert!(input.retired.len() <= RETIRED_MAX);
        input.release();
        assert_eq!(input.buffer.capacity(), 0);
    }
}
