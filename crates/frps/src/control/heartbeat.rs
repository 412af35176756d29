//! Whether the client still pings. Upstream `server/control.go`, `heartbeatWorker`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When the client was heard last. Counts from login, so that a client that never pings is noticed too.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    last: Mutex<Instant>,
}

impl Heartbeat {
    pub(crate) fn starting_now() -> Self {
        Self { last: Mutex::new(Instant::now()) }
    }

    /// A valid ping came.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Resolves once no ping came for `timeout`; never when there is no timeout. Safe to cancel.
    pub(crate) async fn lost(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else { return std::future::pending().await };
        loop {
            let due = *self.last.lock().unwrap_or_else(PoisonError::into_inner) + timeout;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(90);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_pings_is_kept_and_one_that_stops_is_lost() {
        let start = Instant::now();
        let heartbeat = Heartbeat::starting_now();
        let pings = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(60)).await;
                heartbeat.beat();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = pings => {}
            () = heartbeat.lost(Some(TIMEOUT)) => {}
        }
        assert_eq!(start.elapsed(), Duration::from_secs(180) + TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_nobody_is_lost() {
        let heartbeat = Heartbeat::starting_now();
        let waited = tokio::time::timeout(TIMEOUT * 1000, heartbeat.lost(None)).await;
        assert!(waited.is_err());
    }
}
