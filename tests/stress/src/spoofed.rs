//! First datagrams of QUIC connections whose senders never say more, as from addresses that are not theirs, with a
//! legitimate client over QUIC in their midst.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use frp_test_support::ports;
use frp_test_support::tunnel::Setting;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

use crate::scene::Outcome;
use crate::victim::Victim;

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
    let setting = Setting { mux: true, tls: true, ..Setting::default() };
    let (port, quic) = (ports::free(), ports::free());
    let mut victim = Victim::start(setting, port, &format!("quic_bind_port = {quic}")).await?;
    let mut attackers = JoinSet::new();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, quic));
    for number in 1..=ADDRESSES {
        attackers.spawn(attack(Ipv4Addr::new(127, 1, 0, number), server));
    }
    victim.frps.line(LOGS).await?;
    victim.withstands(attackers, quic, "protocol = quic", &[LOGS]).await
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
