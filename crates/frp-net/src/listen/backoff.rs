//! Accepting through trouble: which errors are waited out, for how long, and how often they are logged.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::error_text::os_error;

/// The first pause when a resource is exhausted; doubled with every further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause: what a newcomer waits at most once descriptors are free again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// At most one line in this time, for all listeners together.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Failed accepts since the last line, and when that line was written.
static FAILURES: Mutex<LogGate> = Mutex::new(LogGate { last: None, suppressed: 0 });

/// Calls `accept` until it yields a connection. `local` gives the address for the log.
pub(super) async fn until_accepted<T, F>(
    local: impl Fn() -> Option<SocketAddr>,
    mut accept: impl FnMut() -> F,
) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            // The connection died while it waited in the queue: only it is lost. The yield keeps a flood of
            // these from holding the runtime's thread.
            Err(e) if concerns_one_connection(&e) => tokio::task::yield_now().await,
            Err(e) => {
                let now = Instant::now();
                let due = FAILURES.lock().unwrap_or_else(PoisonError::into_inner).failed(now);
                if let Some(suppressed) = due {
                    let local = local().map_or_else(String::new, |l| format!(" {l}"));
                    let cause = os_error(&e);
                    warn!("accept tcp{local}: accept4: {cause}; retrying ({suppressed} more like this)");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Errors that Linux passes on from the connection at the head of the queue (`accept(2)`, "Error handling"),
/// and the resets and aborts of other systems.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let kind = matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    );
    #[cfg(unix)]
    let named = {
        use rustix::io::Errno;
        // PERM: a firewall rule forbids this connection.
        [Errno::PROTO, Errno::NOPROTOOPT, Errno::HOSTDOWN, Errno::OPNOTSUPP, Errno::PERM]
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    };
    #[cfg(not(unix))]
    let named = false;
    kind || named
}

/// Lets one line through per [`LOG_INTERVAL`] and counts the others.
struct LogGate {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogGate {
    /// Records a failure; `Some(lines left out before)` when it is time for a line.
    fn failed(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LOG_INTERVAL) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Runs `until_accepted` over a script of outcomes and returns the paused clock's elapsed time.
    async fn elapsed(script: Vec<io::Result<()>>) -> Duration {
        let start = Instant::now();
        let mut script = VecDeque::from(script);
        until_accepted(|| None, || std::future::ready(script.pop_front().unwrap_or(Ok(())))).await;
        start.elapsed()
    }

    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn exhausted_resources_are_waited_out_with_growing_pauses() {
        use rustix::io::Errno;
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            let fail = || Err(errno.into());
            assert_eq!(elapsed(vec![fail()]).await, Duration::from_millis(5));
            assert_eq!(elapsed(vec![fail(), fail(), fail()]).await, Duration::from_millis(35));
            let many = elapsed((0..12).map(|_| fail()).collect()).await;
            assert_eq!(
                many,
                Duration::from_millis(5 + 10 + 20 + 40 + 80 + 160 + 320 + 640) + 4 * LONGEST_PAUSE
            );
        }
    }

    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_died_in_the_queue_costs_no_pause() {
        use rustix::io::Errno;
        let script =
            [Errno::CONNABORTED, Errno::PROTO, Errno::HOSTUNREACH, Errno::PERM].map(|e| Err(e.into()));
        assert_eq!(elapsed(script.into()).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn floods_are_counted_not_logged() {
        let mut gate = LogGate { last: None, suppressed: 0 };
        let now = Instant::now();
        assert_eq!(gate.failed(now), Some(0));
        assert_eq!(gate.failed(now + Duration::from_secs(1)), None);
        assert_eq!(gate.failed(now + Duration::from_secs(4)), None);
        assert_eq!(gate.failed(now + Duration::from_secs(6)), Some(2));
        assert_eq!(gate.failed(now + Duration::from_secs(12)), Some(0));
    }
}
