//! What is measured.

mod clients;
mod proxies;
mod storm;
mod users;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use frp_test_support::ports;
use frp_test_support::programs::Role;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::{self, Transport};
use crate::machine::Machine;
use crate::program::{Program, lines};
use crate::worker;

/// A scene that can be run once.
type Scene<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Every scene with its name; `count` is the number of what it is about, where the user said one.
pub(crate) fn all(machine: &Machine, count: Option<usize>) -> Vec<(String, Scene<'_>)> {
    let ten_thousand = count.unwrap_or(10_000);
    let mut all: Vec<(String, Scene<'_>)> = Vec::new();
    for transport in [Transport::DEFAULT, Transport::MUX, Transport::TLS, Transport::PLAIN] {
        let scene = Box::pin(clients::run(machine, transport, ten_thousand));
        all.push((format!("clients, {}", transport.name), scene));
    }
    for transport in [Transport::DEFAULT, Transport::PLAIN] {
        let scene = Box::pin(proxies::run(machine, transport, ten_thousand));
        all.push((format!("proxies, {}", transport.name), scene));
    }
    for transport in [Transport::DEFAULT, Transport::MUX, Transport::PLAIN] {
        let scene = Box::pin(users::run(machine, transport, count.unwrap_or(20_000)));
        all.push((format!("users, {}", transport.name), scene));
    }
    for (transport, addresses) in
        [(Transport::DEFAULT, 100), (Transport::DEFAULT, 1), (Transport::PLAIN, 100)]
    {
        let scene = Box::pin(storm::run(machine, transport, ten_thousand, addresses));
        all.push((format!("storm, {}, from {addresses} addresses", transport.name), scene));
    }
    all
}

/// A running frps with a folder of its own.
struct Server {
    program: Program,
    port: u16,
    folder: TempDir,
}

/// The longest that a program may take to start.
const START: Duration = Duration::from_secs(30);

impl Server {
    async fn start(transport: Transport) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = ports::free();
        std::fs::write(folder.path().join("frps.toml"), config::server(transport, port))?;
        let program = Self::program(folder.path()).await?;
        Ok(Self { program, port, folder })
    }

    async fn program(folder: &Path) -> Result<Program> {
        let program =
            Program::start(Role::Frps, folder, &[lines::STARTED, lines::NEW_PROXY, lines::CLOSED_PROXY])?;
        program.wait(lines::STARTED, 1, START).await?;
        settle(1).await;
        Ok(program)
    }
}

/// From here on figures mean something; with fewer, a run only shows that all works.
const SERIOUS: usize = 1000;

/// Where a scene with `count` is looked at: at a tenth, a quarter, a half and all of it.
fn steps(count: usize) -> Vec<usize> {
    if count < SERIOUS {
        return vec![count];
    }
    [10, 4, 2, 1].iter().map(|part| count / part).collect()
}

/// Lets the programs finish what is under way; the more there is, the longer.
async fn settle(count: usize) {
    sleep(Duration::from_millis(200 + u64::try_from(count).unwrap_or(0) / 10)).await;
}

/// How long the CPU of idle programs is watched.
fn idle_time(count: usize) -> Duration {
    if count < SERIOUS { Duration::from_millis(100) } else { Duration::from_secs(10) }
}

/// How long a server is away: longer than its clients need to notice and to try again.
fn outage(count: usize) -> Duration {
    if count < SERIOUS { Duration::from_millis(100) } else { Duration::from_secs(2) }
}

/// As many proxies are looked at, at most.
const SAMPLE: usize = 100;

/// Users that look at proxies at one time.
const VISITORS: usize = 50;

/// Some of `all`, evenly spread.
fn sample<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(SAMPLE).max(1))
}

/// A user connects to each of the ports, makes a request and leaves. Says how many there were.
async fn visit<'a>(ports: impl Iterator<Item = &'a u16>) -> Result<usize> {
    let gate = Arc::new(Semaphore::new(VISITORS));
    let mut visits = JoinSet::new();
    for &port in ports {
        let turn = Arc::clone(&gate).acquire_owned().await?;
        visits.spawn(async move {
            let _turn = turn;
            // The user leaves at once: a task that has ended keeps what it gave until somebody looks.
            let served = timeout(START, worker::user(port)).await.map(|user| user.map(drop));
            served
                .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer")))
                .with_context(|| format!("port {port}"))
        });
    }
    let mut visited = 0;
    while let Some(visit) = visits.join_next().await {
        visit??;
        visited += 1;
    }
    Ok(visited)
}
