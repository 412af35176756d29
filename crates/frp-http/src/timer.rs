//! Deadlines that move often and seldom pass.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that costs nothing to move: the runtime's timer is only set when an earlier one has passed.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Sets the deadline, or with `None` takes it away.
    pub fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// The deadline as it was set.
    #[must_use]
    pub fn get(&self) -> Option<Instant> {
        self.at
    }

    /// Ready when the deadline has passed. Whoever polls may be woken once too early.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moves_both_ways() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        let second = Duration::from_secs(1);
        for after in [5, 7, 9, 10] {
            deadline.set(Some(start + second * after));
            poll_fn(|cx| deadline.poll(cx)).await;
            assert_eq!(start.elapsed(), second * after);
        }
        deadline.set(Some(start + second * 100));
        assert!(tokio::time::timeout(second, poll_fn(|cx| deadline.poll(cx))).await.is_err());
        deadline.set(Some(start + second * 12));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed(), second * 12);
        deadline.set(None);
        assert!(tokio::time::timeout(second, poll_fn(|cx| deadline.poll(cx))).await.is_err());
    }
}
