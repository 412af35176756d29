//! When to try again: after a failed login, and after a lost session.
//!
//! Upstream (`pkg/util/wait/backoff.go`, `client/service.go`) waits 2 s, 4 s, 8 s … after a failed attempt.
//! No peer depends on these delays, so an unreachable server is tried about once a second in the first minute
//! of an outage: a server that is restarted serves again within two seconds. A server that *answers* with a
//! refusal (wrong token) is left alone for upstream's doubling delays.

use std::time::Duration;

use rand::Rng;

/// How an attempt failed, which decides how soon the next one makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered: refused, timed out, cut off.
    Unreachable,
    /// The server answered and said no.
    Refused,
}

/// Delay between attempts while the outage is young.
const EAGER_DELAY: Duration = Duration::from_millis(900);
/// How long an outage counts as young.
const EAGER_PERIOD: Duration = Duration::from_secs(60);
/// First delay of the doubling series.
const FIRST_DELAY: Duration = Duration::from_secs(2);
/// Cap before the first successful login.
pub(crate) const FIRST_LOGIN_CAP: Duration = Duration::from_secs(10);
/// Cap once a session has been lost.
pub(crate) const RECONNECT_CAP: Duration = Duration::from_secs(20);

/// Delays between the attempts of one login loop, from its first failure to its success.
#[derive(Debug)]
pub(crate) struct LoginBackoff {
    cap: Duration,
    outage: Duration,
    next: Duration,
}

impl LoginBackoff {
    /// A fresh series whose delays never exceed `cap`.
    #[must_use]
    pub(crate) fn new(cap: Duration) -> Self {
        Self { cap, outage: Duration::ZERO, next: FIRST_DELAY }
    }

    /// The delay before the next attempt. `attempt` is how long the failed attempt itself took.
    pub(crate) fn after(&mut self, failure: Failure, attempt: Duration) -> Duration {
        self.outage += attempt;
        let delay = if failure == Failure::Unreachable && self.outage < EAGER_PERIOD {
            EAGER_DELAY
        } else {
            let delay = self.next;
            self.next = (self.next * 2).min(self.cap);
            delay
        };
        let delay = jittered(delay).min(self.cap);
        self.outage += delay;
        delay
    }
}

/// A session that lasted this long has served, and makes its loss count as the first one again: only a server
/// that drops its clients right after their login is to be left alone.
const STEADY: Duration = Duration::from_secs(10);
/// This many losses in a row are answered quickly.
const QUICK_LOSSES: u32 = 3;

/// Delays between the end of a session and the next login loop.
#[derive(Debug, Default)]
pub(crate) struct SessionBackoff {
    losses: u32,
    next: Duration,
}

impl SessionBackoff {
    /// The delay before logging in again after a session that lasted `lasted`: none at first, a fifth of a
    /// second for the next losses, then doubling up to [`RECONNECT_CAP`] for a server that accepts logins and
    /// drops them at once.
    pub(crate) fn after(&mut self, lasted: Duration) -> Duration {
        if lasted >= STEADY {
            *self = Self::default();
        }
        self.losses += 1;
        if self.losses == 1 {
            return Duration::ZERO;
        }
        if self.losses <= QUICK_LOSSES {
            self.next = Duration::from_millis(200);
            return jittered(self.next);
        }
        self.next = (self.next * 2).min(RECONNECT_CAP);
        jittered(self.next).min(RECONNECT_CAP)
    }
}

/// Up to a tenth more, so that the clients of a restarted server do not come back in step.
fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(1.0 + rand::rng().random_range(0.0..0.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_outage_is_retried_about_once_a_second() {
        let mut backoff = LoginBackoff::new(RECONNECT_CAP);
        let mut outage = Duration::ZERO;
        while outage < Duration::from_secs(58) {
            let delay = backoff.after(Failure::Unreachable, Duration::ZERO);
            assert!(delay <= Duration::from_secs(1), "{delay:?} at {outage:?}");
            outage += delay;
        }
    }

    #[test]
    fn an_old_outage_is_retried_ever_more_slowly_up_to_the_cap() {
        let mut backoff = LoginBackoff::new(RECONNECT_CAP);
        backoff.after(Failure::Unreachable, Duration::from_secs(60));
        let delays: Vec<_> = (0..6).map(|_| backoff.after(Failure::Unreachable, Duration::ZERO)).collect();
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1].mul_f64(1.2)), "{delays:?}");
        assert!(delays[0] >= FIRST_DELAY && delays[5] == RECONNECT_CAP, "{delays:?}");
    }

    #[test]
    fn a_refusal_doubles_from_the_start() {
        let mut backoff = LoginBackoff::new(FIRST_LOGIN_CAP);
        for expected in [2, 4, 8, 10, 10] {
            let delay = backoff.after(Failure::Refused, Duration::ZERO);
            let expected = Duration::from_secs(expected);
            assert!(delay >= expected && delay <= FIRST_LOGIN_CAP.max(expected.mul_f64(1.1)), "{delay:?}");
        }
    }

    #[test]
    fn the_first_loss_waits_for_nothing_and_a_flapping_server_is_left_alone() {
        let mut backoff = SessionBackoff::default();
        assert_eq!(backoff.after(Duration::ZERO), Duration::ZERO);
        assert!(backoff.after(Duration::ZERO) <= Duration::from_millis(300));
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            last = backoff.after(Duration::ZERO);
        }
        assert_eq!(last, RECONNECT_CAP);
        assert_eq!(backoff.after(STEADY), Duration::ZERO, "a session that served forgives");
    }
}
