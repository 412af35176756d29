//! A hundred users that ask for a flood and never read a byte of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::service::Service;
use frp_test_support::traffic;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use tokio::time::{Instant, sleep};

use crate::memory::Watch;
use crate::scene::Outcome;

/// How many of them.
const USERS: usize = 100;
/// How long a reader beside them may take for a byte.
const READER_WAIT: Duration = Duration::from_secs(3);
/// Memory has settled when it has not grown for so long.
const SETTLED: Duration = Duration::from_secs(3);

/// One setting with its bound.
pub(crate) struct Unread {
    pub(crate) name: &'static str,
    setting: Setting,
    /// The most that each process may grow at its peak.
    growth: u64,
}

/// Both settings.
pub(crate) const ALL: [Unread; 2] = [
    Unread {
        name: "100 users never read, plain",
        setting: Setting { tls: false, mux: false, encryption: false, compression: false },
        growth: 60 << 20,
    },
    Unread {
        name: "100 users never read, default",
        setting: Setting { tls: true, mux: true, encryption: false, compression: false },
        growth: 200 << 20,
    },
];

/// Opens the users, waits until neither process grows any more, and has a reader served beside them.
pub(crate) async fn run(scene: &Unread) -> Result<Outcome> {
    let flood = Service::flood().await?;
    let echo = Service::echo().await?;
    let proxies = [Proxy::new("tcp", "flood", flood.port()), Proxy::new("tcp", "echo", echo.port())];
    let tunnel = Tunnel::start_with(scene.setting, &proxies, "log_level = info", "log_level = info").await?;
    let (frps, frpc) = (Watch::start(&tunnel.frps)?, Watch::start(&tunnel.frpc)?);
    let mut users = Vec::with_capacity(USERS);
    for _ in 0..USERS {
        users.push(traffic::connect(proxies[0].remote).await?);
    }
    let (mut size, mut since) = ((0, 0), Instant::now());
    while since.elapsed() < SETTLED {
        let now = (frps.growth(), frpc.growth());
        if now != size {
            (size, since) = (now, Instant::now());
        }
        ensure!(now.0 <= scene.growth, "frps grew by {} MiB", now.0 >> 20);
        ensure!(now.1 <= scene.growth, "frpc grew by {} MiB", now.1 >> 20);
        sleep(Duration::from_millis(50)).await;
    }
    let began = Instant::now();
    traffic::echo(proxies[1].remote, b"x").await.context("a reader beside them")?;
    let wait = began.elapsed();
    ensure!(wait <= READER_WAIT, "a reader beside them waited {wait:?}");
    drop(users);
    Ok(Outcome { frps: Some(size.0), frpc: Some(size.1), client: Some(wait), log: String::new() })
}
