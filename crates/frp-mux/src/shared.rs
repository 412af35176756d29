//! What the handles and the driver of a session share.

use std::task::Waker;
use std::time::Duration;

use crate::engine::{Engine, Role};
use crate::sync::{Instant, Mutex, MutexGuard, Notify, PoisonError, Semaphore};
use crate::{Config, SessionEnd};

/// The engine behind a plain mutex. It is held for a few hundred nanoseconds at a time: no system call, no copy of
/// more than a few KiB, no wake-up happens under it.
pub(crate) struct Shared {
    state: Mutex<State>,
    began: Instant,
    /// A stream has come, or the session is over.
    pub(crate) arrived: Notify,
    pub(crate) ended: Notify,
    /// One permit for each stream of ours that may still be opened and not acknowledged.
    pub(crate) opens: Semaphore,
}

pub(crate) struct State {
    pub(crate) engine: Engine,
    /// The driver's waker, while it sleeps.
    driver: Option<Waker>,
    blocked: bool,
    pub(crate) end: Option<SessionEnd>,
    /// Handles of the session, and of its streams.
    pub(crate) sessions: usize,
    pub(crate) streams: usize,
}

impl Shared {
    pub(crate) fn new(role: Role, config: Config) -> Self {
        Self {
            arrived: Notify::new(),
            ended: Notify::new(),
            opens: Semaphore::new(config.accept_backlog.clamp(1, Semaphore::MAX_PERMITS)),
            state: Mutex::new(State {
                engine: Engine::new(role, config),
                driver: None,
                blocked: false,
                end: None,
                sessions: 1,
                streams: 0,
            }),
            began: Instant::now(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the session began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// Ends the session for all its handles; the first reason stays.
    pub(crate) fn end(&self, reason: SessionEnd) -> SessionEnd {
        let mut state = self.lock();
        let reason = state.end.get_or_insert(reason).clone();
        state.engine.wake_all();
        self.unlock(state, true);
        self.opens.close();
        self.arrived.notify_waiters();
        self.ended.notify_waiters();
        reason
    }

    /// Gives the lock back, then wakes whom the engine wants woken. The driver is woken when it can send what it
    /// could not before, or when it `must` look at its deadlines.
    pub(crate) fn unlock(&self, mut state: MutexGuard<'_, State>, must: bool) {
        let driver =
            if must || state.engine.wants_transmit() && !state.blocked { state.driver.take() } else { None };
        let acknowledged = state.engine.take_acknowledged();
        let mut wakes = Vec::new();
        state.engine.take_wakes(&mut wakes);
        drop(state);
        if acknowledged > 0 {
            self.opens.add_permits(acknowledged);
        }
        wakes.into_iter().chain(driver).for_each(Waker::wake);
    }
}

impl State {
    /// The driver sleeps until `waker` is woken. The transport may be `blocked`: then only the driver itself can find out when there is room again.
    pub(crate) fn driver_sleeps(&mut self, waker: &Waker, blocked: bool) {
        self.blocked = blocked;
        match &self.driver {
            Some(kept) if kept.will_wake(waker) => {}
            _ => self.driver = Some(waker.clone()),
        }
    }

    pub(crate) fn driver_runs(&mut self) {
        self.driver = None;
    }

    /// Whether nobody is left who could use the session.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.sessions == 0 && self.streams == 0
    }
}
