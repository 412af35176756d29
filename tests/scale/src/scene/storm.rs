//! frps is killed and comes back, and all its clients with it. The clients are frpc's own library, thousands of them in
//! this process, so that when they come back is what frpc decides.

use std::time::Duration;

use anyhow::{Context, Result};
use frp_config::{ClientConfig, Environment, ProxyConfig, ProxyType};
use frp_test_support::service::Service;
use frpc::Setup;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Server, outage, sample, settle, visit};
use crate::config::{TOKEN, Transport};
use crate::machine::{Machine, free_public_ports, source};
use crate::program::{Program, lines, usage};
use crate::table::{Table, mib, note, seconds};

/// The longest until all are back.
const LIMIT: Duration = Duration::from_secs(180);

pub(super) async fn run(
    machine: &Machine,
    transport: Transport,
    count: usize,
    addresses: usize,
) -> Result<()> {
    // frps: a listener for each, and without multiplexing the control and a connection that is kept ready.
    let count = machine.fit(count, if transport.mux { 2 } else { 3 }, "clients with one proxy");
    let mut server = Server::start(transport).await?;
    let service = Service::echo().await?;
    let ports = free_public_ports(count);
    let count = ports.len();
    let shutdown = CancellationToken::new();
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for (number, port) in ports.iter().enumerate() {
        let source = source(number, addresses).to_string();
        let setup = setup(transport, server.port, &source, number, *port, service.port());
        clients.spawn(frpc::run(setup, shutdown.clone()));
        if number % 100 == 99 {
            // Not a storm yet.
            server.program.wait(lines::NEW_PROXY, (number + 1).saturating_sub(400), LIMIT).await?;
        }
    }
    server.program.wait(lines::NEW_PROXY, count, LIMIT).await?;
    note(&format!("all logged in after {} s", seconds(began.elapsed())));
    settle(count).await;
    visit(sample(&ports)).await.context("before the outage")?;

    let table = Table::new([
        "clients",
        "50 % s",
        "99 % s",
        "100 % s",
        "all served s",
        "frps CPU s",
        "clients CPU s",
        "frps MiB",
        "warnings",
    ]);
    let of_us = usage(std::process::id())?;
    server.program.kill().await?;
    sleep(outage(count)).await;
    server.program = Program::start(
        frp_test_support::programs::Role::Frps,
        server.folder.path(),
        &[lines::STARTED, lines::NEW_PROXY],
    )?;
    server.program.wait(lines::STARTED, 1, super::START).await?;
    let open = *server.program.times(lines::STARTED).first().context("no start")?;
    let back = server.program.wait(lines::NEW_PROXY, count, LIMIT).await;
    let times = server.program.times(lines::NEW_PROXY);
    let now = server.program.usage()?;
    let part = |percent: usize| {
        let nth = (count * percent).div_ceil(100).max(1) - 1;
        times.get(nth).map_or_else(|| "never".to_owned(), |at| seconds(*at - open))
    };
    let began = Instant::now();
    let visited = visit(ports.iter()).await;
    let served = began.elapsed();
    table.row(&[
        count.to_string(),
        part(50),
        part(99),
        part(100),
        seconds(served),
        seconds(now.cpu),
        seconds(usage(std::process::id())?.cpu - of_us.cpu),
        mib(now.memory),
        server.program.complaint_count().to_string(),
    ]);
    back?;
    note(&format!(
        "{} users served afterwards, one by each proxy",
        visited.with_context(|| server.program.complaints())?
    ));
    shutdown.cancel();
    while clients.join_next().await.is_some() {}
    Ok(())
}

/// A client with one proxy, as a configuration file would have it.
fn setup(transport: Transport, server: u16, source: &str, number: usize, port: u16, service: u16) -> Setup {
    let mut common = ClientConfig {
        server_addr: "127.0.0.1".to_owned(),
        server_port: server.into(),
        login_fail_exit: Some(false),
        ..ClientConfig::default()
    };
    common.auth.token = TOKEN.into();
    common.transport.tcp_mux = Some(transport.mux);
    common.transport.tls.enable = Some(transport.tls);
    common.transport.connect_server_local_ip = source.to_owned();
    common.complete(&Environment::default());
    let mut proxy = ProxyConfig::new(ProxyType::Tcp);
    if let ProxyConfig::Tcp(tcp) = &mut proxy {
        tcp.base.name = format!("c{number}");
        tcp.base.backend.local_port = service.into();
        tcp.remote_port = port.into();
    }
    proxy.complete();
    Setup { common, proxies: vec![proxy], visitors: Vec::new(), config_file: None }
}
