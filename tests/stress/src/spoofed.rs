//! First datagrams of QUIC connections whose senders never say more, as from addresses that are not theirs, with a
//! legitimate client over QUIC in their midst.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use frp_test_support::tunnel::{Proxy, Setting, client_ini, server_ini, start_program};
use frp_test_support::{ports, traffic};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::attack::{CLIENT_WAIT, GROWTH};
use crate::memory::Watch;
use crate::scene::Outcome;

/// The scene's name.
pub(crate) const NAME: &str = "100,000 spoofed QUIC initials";

/// Addresses that they come from, and how many from each.
const ADDRESSES: u8 = 100;
const FROM_EACH: usize = 1000;
/// Datagrams that an address sends before the next one has its turn.
const TURN: usize = 32;
/// What frps says of it.
const LOGS: &str = "asking the next ones to prove theirs";

/// Runs the attack against a fresh server.
pub(crate) async fn run() -> Result<Outcome> {
    let folder = std::env::temp_dir().join(format!("frp-stress-{}-{}", std::process::id(), ports::free()));
    std::fs::create_dir_all(&folder)?;
    let result = in_folder(&folder).await;
    let _ = std::fs::remove_dir_all(&folder);
    result
}

async fn in_folder(folder: &std::path::Path) -> Result<Outcome> {
    let setting = Setting { mux: true, tls: true, ..Setting::default() };
    let (port, quic) = (ports::free(), ports::free());
    let server = server_ini(setting, port, &format!("log_level = info\nquic_bind_port = {quic}"));
    std::fs::write(folder.join("frps.ini"), server)?;
    let mut frps = start_program(Role::Frps, folder)?;
    frps.line("frps started successfully").await?;
    let watch = Watch::start(&frps)?;

    let mut attackers = JoinSet::new();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, quic));
    for number in 1..=ADDRESSES {
        attackers.spawn(attack(Ipv4Addr::new(127, 1, 0, number), server));
    }
    frps.line(LOGS).await?;

    let echo = Service::echo().await?;
    let proxy = Proxy::new("tcp", "echo", echo.port());
    let ini =
        client_ini(setting, quic, "protocol = quic\nlogin_fail_exit = false", std::slice::from_ref(&proxy));
    std::fs::write(folder.join("frpc.ini"), ini)?;
    let began = Instant::now();
    let mut frpc = start_program(Role::Frpc, folder)?;
    frpc.line("start proxy success").await?;
    traffic::echo(proxy.remote, b"x").await?;
    let client = began.elapsed();

    while let Some(attacker) = attackers.join_next().await {
        attacker??;
    }
    let growth = watch.growth();
    traffic::echo(proxy.remote, b"still there").await.context("after the attack")?;
    ensure!(growth <= GROWTH, "frps grew by {} MiB", growth >> 20);
    ensure!(client <= CLIENT_WAIT, "a legitimate client waited {client:?}");
    let log = frps.output().into_iter().find(|line| line.contains(LOGS)).unwrap_or_default();
    Ok(Outcome { frps: Some(growth), frpc: None, client: Some(client), log })
}

/// Sends first datagrams from one address, each of another client.
async fn attack(address: Ipv4Addr, server: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind((address, 0)).await?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    crypto.alpn_protocols = vec![b"frp".to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let mut datagram = Vec::new();
    for sent in 0..FROM_EACH {
        let now = Instant::now().into_std();
        let (_, mut connection) = endpoint.connect(now, config.clone(), server, "frp")?;
        // The hello may need more than one.
        datagram.clear();
        while let Some(transmit) = connection.poll_transmit(now, 1, &mut datagram) {
            socket.send_to(datagram.get(..transmit.size).unwrap_or_default(), server).await?;
            datagram.clear();
        }
        if sent % TURN == 0 {
            yield_now().await;
        }
    }
    Ok(())
}
