//! The life of one proxy on the client: a state machine without I/O or clock (upstream
//! `client/proxy/proxy_wrapper.go`).
//!
//! ```text
//!            healthy            ok
//!   New ──────────────▶ WaitStart ─────────▶ Running
//!    ▲                  │  ▲   │ error          │
//!    │       20 s: again└──┘   ▼                │ unhealthy
//!    │              30 s   StartError           │
//!    │                 └──▶ WaitStart           ▼
//!    └───────────────────────────────────── CheckFailed
//! ```

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// How long an unanswered NewProxy is waited for before it is sent again.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a refused proxy waits before it is offered again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(30);

/// Where a proxy stands. The words are part of the admin API and of `frpc status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not offered yet; with a health check, until its first success.
    New,
    /// NewProxy is sent, the answer is awaited.
    WaitStart,
    /// The server or the local set-up refused; offered again after [`RETRY_DELAY`].
    StartError,
    /// The server accepts user connections for it.
    Running,
    /// Its service fails the health check; withdrawn from the server.
    CheckFailed,
    /// Stopped for good.
    Closed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::WaitStart => "wait start",
            Self::StartError => "start error",
            Self::Running => "running",
            Self::CheckFailed => "check failed",
            Self::Closed => "closed",
        })
    }
}

/// What the owner of a [`PhaseMachine`] has to send to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Offer the proxy: send NewProxy.
    Offer,
    /// Withdraw it: send CloseProxy.
    Withdraw,
}

/// The phase of one proxy and the times its transitions depend on.
#[derive(Debug)]
pub(crate) struct PhaseMachine {
    phase: Phase,
    healthy: bool,
    error: String,
    offered_at: Option<Instant>,
    failed_at: Option<Instant>,
}

impl PhaseMachine {
    /// A new proxy. `healthy` is false where a health check has yet to succeed.
    #[must_use]
    pub(crate) fn new(healthy: bool) -> Self {
        Self { phase: Phase::New, healthy, error: String::new(), offered_at: None, failed_at: None }
    }

    /// Where the proxy stands.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Why the proxy is in [`Phase::StartError`]; empty otherwise.
    #[cfg(test)]
    pub(crate) fn error(&self) -> &str {
        &self.error
    }

    /// Looks at the clock: is something due?
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Action> {
        if !self.healthy {
            return match self.phase {
                Phase::Running | Phase::WaitStart => {
                    self.phase = Phase::CheckFailed;
                    Some(Action::Withdraw)
                }
                Phase::New | Phase::StartError | Phase::CheckFailed | Phase::Closed => None,
            };
        }
        let due = match self.phase {
            Phase::New | Phase::CheckFailed => true,
            Phase::WaitStart => elapsed(self.offered_at, now, RESPONSE_TIMEOUT),
            Phase::StartError => elapsed(self.failed_at, now, RETRY_DELAY),
            Phase::Running | Phase::Closed => false,
        };
        if !due {
            return None;
        }
        self.phase = Phase::WaitStart;
        self.offered_at = Some(now);
        Some(Action::Offer)
    }

    /// The health check has changed its mind; [`Self::tick`] gives what follows from it.
    pub(crate) fn set_healthy(&mut self, healthy: bool) {
        self.healthy = healthy;
    }

    /// The server's answer to NewProxy: an empty `error` starts the proxy. False when no answer was awaited,
    /// which changes nothing.
    pub(crate) fn answered(&mut self, error: &str, now: Instant) -> bool {
        if self.phase != Phase::WaitStart {
            return false;
        }
        if error.is_empty() {
            self.phase = Phase::Running;
            self.error.clear();
        } else {
            self.refuse(error, now);
        }
        true
    }

    /// The local set-up failed, before or after the server agreed.
    pub(crate) fn refuse(&mut self, error: &str, now: Instant) {
        self.phase = Phase::StartError;
        error.clone_into(&mut self.error);
        self.failed_at = Some(now);
    }

    /// Stops the proxy for good.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
    }
}

fn elapsed(since: Option<Instant>, now: Instant, wait: Duration) -> bool {
    since.is_none_or(|since| now.saturating_duration_since(since) >= wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_proxy_runs_and_is_offered_once() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(true);
        assert_eq!(machine.tick(now), Some(Action::Offer));
        assert_eq!(machine.tick(now), None);
        assert!(machine.answered("", now));
        assert_eq!(machine.phase(), Phase::Running);
        assert_eq!(machine.tick(now + RETRY_DELAY * 10), None);
    }

    #[test]
    fn an_unanswered_offer_is_repeated_after_twenty_seconds() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(true);
        machine.tick(now);
        assert_eq!(machine.tick(now + RESPONSE_TIMEOUT - Duration::from_millis(1)), None);
        assert_eq!(machine.tick(now + RESPONSE_TIMEOUT), Some(Action::Offer));
    }

    #[test]
    fn a_refused_proxy_is_offered_again_after_thirty_seconds() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(true);
        machine.tick(now);
        assert!(machine.answered("port already used", now));
        assert_eq!((machine.phase(), machine.error()), (Phase::StartError, "port already used"));
        assert_eq!(machine.tick(now + RETRY_DELAY / 2), None);
        assert_eq!(machine.tick(now + RETRY_DELAY), Some(Action::Offer));
        assert!(machine.answered("", now + RETRY_DELAY));
        assert_eq!(machine.error(), "");
    }

    #[test]
    fn an_answer_nobody_waits_for_is_ignored() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(true);
        assert!(!machine.answered("", now));
        assert_eq!(machine.phase(), Phase::New);
    }

    #[test]
    fn a_failing_service_is_withdrawn_and_comes_back() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(false);
        assert_eq!(machine.tick(now), None, "held until the first success");
        machine.set_healthy(true);
        assert_eq!(machine.tick(now), Some(Action::Offer));
        machine.answered("", now);
        machine.set_healthy(false);
        assert_eq!(machine.tick(now), Some(Action::Withdraw));
        assert_eq!(machine.phase(), Phase::CheckFailed);
        assert!(!machine.answered("", now), "a late answer does not revive it");
        machine.set_healthy(true);
        assert_eq!(machine.tick(now), Some(Action::Offer));
    }

    #[test]
    fn a_closed_proxy_stays_closed() {
        let now = Instant::now();
        let mut machine = PhaseMachine::new(true);
        machine.close();
        assert_eq!(machine.tick(now + RETRY_DELAY * 2), None);
        assert!(!machine.answered("", now));
    }
}
