//! A hundred downloads under one bandwidth limit: each reads gladly and gets a hundredth.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::service::Service;
use frp_test_support::traffic;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::memory::Watch;
use crate::scene::Outcome;

/// How many of them.
const USERS: usize = 100;
/// How long they download.
const LENGTH: Duration = Duration::from_secs(8);
/// What each process may hold for each of them.
const EACH: u64 = 1 << 20;
/// The limit, in bytes per second.
const LIMIT: u64 = 1 << 20;

/// Who enforces the limit, and the scene's name.
pub(crate) const ALL: [(&str, &str); 2] =
    [("100 downloads, limit at the client", "client"), ("100 downloads, limit at the server", "server")];

/// Downloads, looks at memory all the time, and has a user of another proxy served beside them.
pub(crate) async fn run(mode: &str) -> Result<Outcome> {
    let flood = Service::flood().await?;
    let echo = Service::echo().await?;
    let mut proxies = [Proxy::new("tcp", "flood", flood.port()), Proxy::new("tcp", "echo", echo.port())];
    proxies[0].extra = format!("bandwidth_limit = 1MB\nbandwidth_limit_mode = {mode}\n");
    let setting = Setting { tls: true, mux: true, encryption: false, compression: false };
    let tunnel = Tunnel::start_with(setting, &proxies, "log_level = info", "log_level = info").await?;
    let (frps, frpc) = (Watch::start(&tunnel.frps)?, Watch::start(&tunnel.frpc)?);
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let mut user = traffic::connect(proxies[0].remote).await?;
        users.spawn(async move {
            let (mut buffer, mut received) = (vec![0; 64 << 10], 0_u64);
            let end = sleep(LENGTH);
            tokio::pin!(end);
            loop {
                tokio::select! {
                    () = &mut end => return received,
                    read = user.read(&mut buffer) => match read {
                        Ok(read @ 1..) => received += read as u64,
                        _ => return received,
                    },
                }
            }
        });
    }
    let began = Instant::now();
    traffic::echo(proxies[1].remote, b"x").await.context("a user beside them")?;
    let wait = began.elapsed();
    let mut received = 0;
    while let Some(user) = users.join_next().await {
        received += user?;
    }
    for (name, growth) in [("frps", frps.growth()), ("frpc", frpc.growth())] {
        ensure!(growth <= EACH * USERS as u64, "{name} grew by {} MiB", growth >> 20);
    }
    // A bucket to begin with, then the rate; what the buffers on the way hold came before it was delivered.
    let most = LIMIT * (LENGTH.as_secs() + 3);
    ensure!(received <= most, "{received} bytes arrived");
    ensure!(received >= LIMIT * (LENGTH.as_secs() / 2), "only {received} bytes arrived");
    Ok(Outcome {
        frps: Some(frps.growth()),
        frpc: Some(frpc.growth()),
        client: Some(wait),
        log: String::new(),
    })
}
