//! Thousands of proxies of one frpc.

use std::time::Duration;

use anyhow::{Context, Result};
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use tokio::time::{Instant, sleep};

use super::{Server, idle_time, settle, steps};
use crate::config::{self, Transport};
use crate::machine::Machine;
use crate::program::{Program, lines};
use crate::table::{Table, kib_each, mib, note, seconds};

/// The longest until all are started.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn run(machine: &Machine, transport: Transport, count: usize) -> Result<()> {
    let count = machine.fit(count, 1, "proxies");
    let service = Service::echo().await?;
    let table = Table::new([
        "proxies",
        "login s",
        "all s",
        "frps MiB",
        "KiB each",
        "frpc MiB",
        "KiB each",
        "frps CPU s",
        "frpc CPU s",
        "frps idle",
        "frpc idle",
        "close s",
    ]);
    for step in steps(count) {
        let server = Server::start(transport).await?;
        let empty = server.program.usage()?;
        let base = memory_of_a_client(transport, &server).await?;
        let text = config::client(transport, server.port, (0..step).map(|_| (service.port(), 0)));
        std::fs::write(server.folder.path().join("frpc.toml"), text)?;
        let before = server.program.usage()?;
        let began = Instant::now();
        let mut frpc =
            Program::start(Role::Frpc, server.folder.path(), &[lines::LOGGED_IN, lines::START_PROXY])?;
        let started = frpc.wait(lines::START_PROXY, step, LIMIT).await;
        started.with_context(|| server.program.complaints())?;
        let took = began.elapsed();
        let login = frpc.times(lines::LOGGED_IN).first().map_or(took, |at| *at - began);
        settle(step).await;
        let (of_server, of_client) = (server.program.usage()?, frpc.usage()?);
        sleep(idle_time(step)).await;
        let (server_idle, client_idle) = (server.program.usage()?, frpc.usage()?);
        let began = Instant::now();
        frpc.kill().await?;
        server.program.wait(lines::CLOSED_PROXY, step, LIMIT).await?;
        table.row(&[
            step.to_string(),
            seconds(login),
            seconds(took),
            mib(of_server.memory),
            kib_each(of_server.memory.saturating_sub(empty.memory), step),
            mib(of_client.memory),
            kib_each(of_client.memory.saturating_sub(base), step),
            seconds(of_server.cpu - before.cpu),
            seconds(of_client.cpu),
            seconds(server_idle.cpu - of_server.cpu),
            seconds(client_idle.cpu - of_client.cpu),
            seconds(began.elapsed()),
        ]);
    }
    note(&format!(
        "idle: CPU s in {:.1} s; close: from the client's death to the last port closed",
        idle_time(count).as_secs_f64()
    ));
    Ok(())
}

/// Memory of a frpc without proxies.
async fn memory_of_a_client(transport: Transport, server: &Server) -> Result<u64> {
    let text = config::client(transport, server.port, std::iter::empty());
    std::fs::write(server.folder.path().join("frpc.toml"), text)?;
    let frpc = Program::start(Role::Frpc, server.folder.path(), &[lines::LOGGED_IN])?;
    frpc.wait(lines::LOGGED_IN, 1, LIMIT).await?;
    settle(1).await;
    Ok(frpc.usage()?.memory)
}
