//! Pipes that are held only while bytes are in flight.
//!
//! Like the buffers of a copy, a pipe belongs to whoever fills it until it is empty again, and then to
//! the pool. One that is dropped with bytes in it is closed: nobody else may get them.

use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Bytes that a pipe takes at once, and the most that `pipe-max-size` allows by default. A pipe has a
/// place per 4 KiB of this, whatever a piece has; with fewer, connections wake each other more often.
pub(super) const CAPACITY: usize = 1024 * 1024;

/// A pipe that got less is of no use: what the pipes of this user may have together is given away.
const LEAST_CAPACITY: usize = 64 * 1024;

/// Pipes that exist at most, in the whole process. Each has two descriptors and may hold [`CAPACITY`]
/// bytes. Without privileges all pipes of a user have 64 MiB together (`pipe-user-pages-soft`); this
/// leaves half of that to others.
pub(super) const MOST: usize = 32;

/// Empty pipes that are kept.
pub(super) const KEPT: usize = 8;

static EXISTING: AtomicUsize = AtomicUsize::new(0);

static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// A pipe, and how many bytes are in it.
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
    pub(super) held: usize,
}

impl Pipe {
    /// An empty pipe. `None` when there are enough, or the system gives no more.
    pub(super) fn take() -> Option<Self> {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.or_else(Self::create)
    }

    fn create() -> Option<Self> {
        EXISTING.fetch_update(Relaxed, Relaxed, |n| (n < MOST).then_some(n + 1)).ok()?;
        let Ok((reader, writer)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else {
            EXISTING.fetch_sub(1, Relaxed);
            return None;
        };
        let pipe = Self { reader, writer, held: 0 };
        let capacity = fcntl_setpipe_size(&pipe.writer, CAPACITY)
            .or_else(|_| fcntl_getpipe_size(&pipe.writer))
            .unwrap_or_default();
        (capacity >= LEAST_CAPACITY).then_some(pipe)
    }

    /// Gives the pipe to the next who needs one; closes it if that one could find bytes in it.
    pub(super) fn give_back(self) {
        if self.held > 0 {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(self);
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        EXISTING.fetch_sub(1, Relaxed);
    }
}
