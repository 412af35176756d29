//! Health checks of local services (upstream `client/health/health.go`).
//!
//! A [`Monitor`] probes one service in a loop and reports each change of its verdict through a watch channel.
//! It starts out as failed, so a checked proxy is offered to the server only after its first success. The number
//! of failures is never set back, as upstream: after `max_failed` failures in all, each further one counts.

use std::sync::Arc;
use std::time::Duration;

use frp_net::dial::{DialOptions, dial_tcp};
use frp_net::resolve::Resolver;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, trace, warn};

mod http;

use http::HttpProbe;

/// How long the first probe waits after the session began, as upstream.
const START_DELAY: Duration = Duration::from_millis(500);

/// What to probe, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeKind {
    /// A TCP connection that is opened and closed.
    Tcp,
    /// `GET http://host:port{path}`; any 2xx is healthy, redirects are followed.
    Http {
        /// Path with its query; a missing leading slash is added.
        path: String,
        /// Extra request headers in order; `Host` replaces the authority.
        headers: Vec<(String, String)>,
    },
}

/// Settings of one health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthOptions {
    /// TCP or HTTP.
    pub(crate) kind: ProbeKind,
    /// Host of the service, a name or an address.
    pub(crate) host: String,
    /// Port of the service.
    pub(crate) port: u16,
    /// Deadline of one probe; default 3 s.
    pub(crate) timeout: Duration,
    /// Pause after each probe; default 10 s.
    pub(crate) interval: Duration,
    /// Failures in all, from which on a failure withdraws the proxy; default 1.
    pub(crate) max_failed: u64,
}

/// Probes one service until it is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    options: HealthOptions,
    resolver: Arc<Resolver>,
    verdict: watch::Sender<bool>,
}

impl Monitor {
    /// A monitor and the channel on which its verdicts appear, `false` to begin with.
    #[must_use]
    pub(crate) fn new(options: HealthOptions, resolver: Arc<Resolver>) -> (Self, watch::Receiver<bool>) {
        let (verdict, receiver) = watch::channel(false);
        (Self { options, resolver, verdict }, receiver)
    }

    /// Probes for ever; the owner stops it by dropping the future.
    pub(crate) async fn run(self) {
        sleep(START_DELAY).await;
        let mut probe = Probe::new(&self.options);
        let mut failures = 0_u64;
        loop {
            let limit = self.options.timeout;
            let outcome = match timeout(limit, probe.once(&self.options, &self.resolver)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(probe.timed_out(&self.options)),
            };
            self.judge(outcome, &mut failures);
            sleep(self.options.interval).await;
        }
    }

    fn judge(&self, outcome: Result<(), String>, failures: &mut u64) {
        let healthy = *self.verdict.borrow();
        match outcome {
            Ok(()) => {
                trace!("do one health check success");
                if !healthy {
                    info!("health check status change to success");
                    self.verdict.send_replace(true);
                }
            }
            Err(error) => {
                warn!("do one health check failed: {error}");
                *failures = failures.saturating_add(1);
                if healthy && *failures >= self.options.max_failed {
                    warn!("health check status change to failed");
                    self.verdict.send_replace(false);
                }
            }
        }
    }
}

/// The probe of one kind; the HTTP one keeps its connection from one probe to the next.
enum Probe {
    Tcp,
    Http(HttpProbe),
}

impl Probe {
    fn new(options: &HealthOptions) -> Self {
        match &options.kind {
            ProbeKind::Tcp => Self::Tcp,
            ProbeKind::Http { path, headers } => Self::Http(HttpProbe::new(options, path, headers)),
        }
    }

    async fn once(&mut self, options: &HealthOptions, resolver: &Resolver) -> Result<(), String> {
        match self {
            Self::Tcp => dial(resolver, &options.host, options.port, options.timeout).await.map(drop),
            Self::Http(probe) => probe.once(options, resolver).await,
        }
    }

    /// The text of a probe that took too long; a half-used HTTP connection is given up.
    fn timed_out(&mut self, options: &HealthOptions) -> String {
        match self {
            Self::Tcp => {
                let address = frp_net::address::join_host_port(&options.host, options.port);
                format!("dial tcp {address}: i/o timeout")
            }
            Self::Http(probe) => probe.timed_out(),
        }
    }
}

async fn dial(resolver: &Resolver, host: &str, port: u16, timeout: Duration) -> Result<TcpStream, String> {
    let options = DialOptions { timeout, ..DialOptions::default() };
    dial_tcp(resolver, host, port, &options).await.map_err(|error| error.to_string())
}
