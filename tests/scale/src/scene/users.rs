//! Thousands of idle user connections through one frps and one frpc.

use std::time::Duration;

use anyhow::{Result, ensure};
use frp_test_support::programs::Role;
use tokio::time::{Instant, sleep};

use super::{Server, idle_time, settle, steps};
use crate::config::{self, Transport};
use crate::machine::{Machine, free_public_ports};
use crate::program::{Program, lines};
use crate::table::{Table, kib_each, mib, note, seconds};
use crate::worker::{self, Worker};

/// Ports for connections to one address and port of loopback are found quickly while half of them are free.
const USERS_OF_A_PROXY: usize = 5000;

pub(super) async fn run(machine: &Machine, transport: Transport, count: usize) -> Result<()> {
    // Without multiplexing each takes two sockets in each program.
    let count = machine.fit(count, if transport.mux { 1 } else { 2 }, "users");
    let server = Server::start(transport).await?;
    let mut service = Worker::start(worker::Role::Service)?;
    let mut proxies = Vec::new();
    for public in free_public_ports(count.div_ceil(USERS_OF_A_PROXY)) {
        proxies.push((service.service().await?, public));
    }
    let text = config::client(transport, server.port, proxies.iter().copied());
    std::fs::write(server.folder.path().join("frpc.toml"), text)?;
    let frpc = Program::start(Role::Frpc, server.folder.path(), &[lines::START_PROXY])?;
    frpc.wait(lines::START_PROXY, proxies.len(), Duration::from_secs(30)).await?;
    settle(1).await;

    let mut users = Worker::start(worker::Role::Users)?;
    let empty = (server.program.usage()?, frpc.usage()?);
    note(&format!("before the first: frps {} MiB, frpc {} MiB", mib(empty.0.memory), mib(empty.1.memory)));
    let table = Table::new([
        "users",
        "open s",
        "frps MiB",
        "KiB each",
        "frpc MiB",
        "KiB each",
        "KiB both",
        "frps CPU s",
        "frpc CPU s",
    ]);
    let mut before = empty;
    let mut open = 0;
    for step in steps(count) {
        let began = Instant::now();
        let (more, mut answered) = (step - open, 0);
        for (part, (_, port)) in proxies.iter().enumerate() {
            answered +=
                users.open(*port, more * (part + 1) / proxies.len() - more * part / proxies.len()).await?;
        }
        let took = began.elapsed();
        ensure!(
            answered == more,
            "{answered} of {} users served: {}",
            more,
            [server.program.complaints(), frpc.complaints()].join("\n")
        );
        settle(more).await;
        open = step;
        let now = (server.program.usage()?, frpc.usage()?);
        let of_server = now.0.memory.saturating_sub(empty.0.memory);
        let of_client = now.1.memory.saturating_sub(empty.1.memory);
        table.row(&[
            step.to_string(),
            seconds(took),
            mib(now.0.memory),
            kib_each(of_server, step),
            mib(now.1.memory),
            kib_each(of_client, step),
            kib_each(of_server + of_client, step),
            seconds(now.0.cpu - before.0.cpu),
            seconds(now.1.cpu - before.1.cpu),
        ]);
        before = now;
    }
    let watched = idle_time(count);
    sleep(watched).await;
    let now = (server.program.usage()?, frpc.usage()?);
    note(&format!(
        "idle: {} and {} CPU s in {:.1} s",
        seconds(now.0.cpu - before.0.cpu),
        seconds(now.1.cpu - before.1.cpu),
        watched.as_secs_f64()
    ));
    drop(users);
    settle(count).await;
    let now = (server.program.usage()?, frpc.usage()?);
    note(&format!("all gone: frps {} MiB, frpc {} MiB", mib(now.0.memory), mib(now.1.memory)));
    Ok(())
}
