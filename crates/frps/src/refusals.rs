//! Connections that came to nothing before their first message, and how loudly that is said.
//!
//! A single one is a scanner, a health check or a client with another setting, and is a line of level trace, as in
//! the original. Many in a short time are an attack or a client that keeps trying, and the operator wants to know: each
//! is then a warning, of which the logger lets through a few per second.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{trace, warn};

/// How many refusals in one [`WINDOW`] are nothing special.
const USUAL: u32 = 2;
/// The time in which refusals are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts refusals. The lock is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    recent: Mutex<Option<Recent>>,
}

#[derive(Debug)]
struct Recent {
    since: Instant,
    count: u32,
}

impl Refusals {
    /// A connection from `peer` ended before its first message.
    pub(crate) fn refused(&self, peer: SocketAddr, why: impl Display) {
        if self.are_unusual() {
            warn!("failed to accept frp connection from [{peer}]: {why}");
        } else {
            trace!("failed to accept frp connection: {why}");
        }
    }

    fn are_unusual(&self) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = match &mut *recent {
            Some(recent) if now.duration_since(recent.since) < WINDOW => recent,
            old => old.insert(Recent { since: now, count: 0 }),
        };
        recent.count = recent.count.saturating_add(1);
        recent.count > USUAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_many_in_a_short_time_are_unusual() {
        let refusals = Refusals::default();
        assert!(!refusals.are_unusual());
        assert!(!refusals.are_unusual());
        assert!(refusals.are_unusual());
        assert!(refusals.are_unusual());
        tokio::time::advance(WINDOW).await;
        assert!(!refusals.are_unusual());
    }
}
