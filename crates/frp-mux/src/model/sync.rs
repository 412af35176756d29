//! What a session locks, waits and tells the time with in the model check.

use std::future::Future;
use std::ops::{Add, Deref};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;

pub(crate) type Notify = Visible<tokio::sync::Notify>;
pub(crate) type Semaphore = Visible<tokio::sync::Semaphore>;

/// Something of tokio's, each use of which is one step that cannot be divided: other threads may run before it.
pub(crate) struct Visible<T> {
    inner: T,
    uses: AtomicUsize,
}

impl<T> Visible<T> {
    fn of(inner: T) -> Self {
        Self { inner, uses: AtomicUsize::new(0) }
    }
}

impl<T> Deref for Visible<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.uses.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

impl Visible<tokio::sync::Notify> {
    pub(crate) fn new() -> Self {
        Self::of(tokio::sync::Notify::new())
    }
}

impl Visible<tokio::sync::Semaphore> {
    pub(crate) const MAX_PERMITS: usize = tokio::sync::Semaphore::MAX_PERMITS;

    pub(crate) fn new(permits: usize) -> Self {
        Self::of(tokio::sync::Semaphore::new(permits))
    }
}

/// A clock that stands still: whatever ends must end by a wake-up and not by a deadline.
#[derive(Clone, Copy)]
pub(crate) struct Instant;

impl Instant {
    pub(crate) fn now() -> Self {
        Self
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::ZERO
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, _: Duration) -> Self {
        self
    }
}

/// Never over.
pub(crate) struct Sleep;

pub(crate) fn sleep_until(_: Instant) -> Sleep {
    Sleep
}

impl Sleep {
    pub(crate) fn reset(self: Pin<&mut Self>, _: Instant) {}
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Runs `future` in this thread. Unlike loom's own, its waker can be cloned and dropped under a lock that loom does not
/// know, as tokio does: only waking is a step.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let thread = Arc::new(Thread::default());
    let waker = Waker::from(Arc::clone(&thread));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread.0.wait();
    }
}

#[derive(Default)]
struct Thread(loom::sync::Notify);

impl Wake for Thread {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify();
    }
}
