//! Thousands of clients on one frps, each with one proxy.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Server, idle_time, sample, settle, steps, visit};
use crate::client::{Client, Options};
use crate::config::Transport;
use crate::machine::Machine;
use crate::program::lines;
use crate::table::{Table, kib_each, mib, note, seconds};

/// Logins under way at one time.
const AT_ONCE: usize = 200;

pub(super) async fn run(machine: &Machine, transport: Transport, count: usize) -> Result<()> {
    // What frpc cannot be told, to want no connection kept ready, leaves room for more clients without multiplexing.
    let pool_count = i64::from(transport.mux);
    let count = machine.fit_ports(count, 2, "clients with one proxy");
    let server = Server::start(transport).await?;
    let mut clients: Vec<Client> = Vec::new();
    let idle = server.program.usage()?;
    note(&format!("frps before the first: {} MiB; pool_count {pool_count}", mib(idle.memory)));
    let table = Table::new(["clients", "login s", "frps MiB", "KiB each", "KiB more", "CPU s", "ms each"]);
    let mut before = idle;
    for step in steps(count) {
        let began = Instant::now();
        let more = step - clients.len();
        let first = clients.len();
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut starting = JoinSet::new();
        for number in first..step {
            let turn = Arc::clone(&gate).acquire_owned().await?;
            let options = Options { transport, port: server.port, pool_count, number };
            starting.spawn(async move {
                let _turn = turn;
                Client::start(options).await.with_context(|| format!("client {number}"))
            });
        }
        while let Some(started) = starting.join_next().await {
            clients.push(started?.with_context(|| server.program.complaints())?);
        }
        let took = began.elapsed();
        settle(more).await;
        let now = server.program.usage()?;
        table.row(&[
            step.to_string(),
            seconds(took),
            mib(now.memory),
            kib_each(now.memory.saturating_sub(idle.memory), step),
            kib_each(now.memory.saturating_sub(before.memory), more),
            seconds(now.cpu - before.cpu),
            format!("{:.3}", (now.cpu - before.cpu).as_secs_f64() * 1000.0 / more.max(1) as f64),
        ]);
        before = now;
    }
    let ports: Vec<u16> = clients.iter().map(|client| client.port).collect();
    let visited = visit(sample(&ports)).await.with_context(|| server.program.complaints())?;
    let before = server.program.usage()?;
    let watched = idle_time(count);
    sleep(watched).await;
    let now = server.program.usage()?;
    note(&format!(
        "{visited} users served; idle: {} CPU s in {:.1} s; {} warnings",
        seconds(now.cpu - before.cpu),
        watched.as_secs_f64(),
        server.program.complaint_count()
    ));
    let began = Instant::now();
    let before = now;
    drop(clients);
    server.program.wait(lines::CLOSED_PROXY, count, super::START).await?;
    let gone = began.elapsed();
    settle(count).await;
    let now = server.program.usage()?;
    note(&format!(
        "all closed {} s after they left: {} MiB, {} CPU s",
        seconds(gone),
        mib(now.memory),
        seconds(now.cpu - before.cpu)
    ));
    Ok(())
}
