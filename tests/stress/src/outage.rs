//! frps is killed and comes back: how soon does its client serve again?

use std::time::Duration;

use anyhow::{Result, ensure};
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use frp_test_support::traffic;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel, start_program};
use tokio::time::{Instant, sleep};

use crate::scene::Outcome;

/// The scene's name.
pub(crate) const NAME: &str = "frps killed and restarted";

/// The longest time from the open port to a served user.
const BACK: Duration = Duration::from_secs(2);
/// Outages tried, all within the first minute.
const OUTAGES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(25)];

/// The longest wait over all outages.
pub(crate) async fn run() -> Result<Outcome> {
    let setting = Setting { tls: true, mux: true, ..Setting::default() };
    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let mut tunnel = Tunnel::start(setting, std::slice::from_ref(&proxy)).await?;
    let mut longest = Duration::ZERO;
    for (number, outage) in OUTAGES.into_iter().enumerate() {
        tunnel.frps.kill().await?;
        sleep(outage).await;
        tunnel.frps = start_program(Role::Frps, tunnel.folder())?;
        tunnel.frps.line("frps started successfully").await?;
        let open = Instant::now();
        tunnel.ready(number + 2).await?;
        traffic::echo(proxy.remote, b"back").await?;
        let wait = open.elapsed();
        ensure!(wait <= BACK, "{wait:?} after an outage of {outage:?}");
        longest = longest.max(wait);
    }
    Ok(Outcome { client: Some(longest), ..Outcome::default() })
}
