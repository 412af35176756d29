//! Every setting × every kind of traffic, with whichever server and client the environment chose.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::programs::{Maker, Role, both_ours};
use frp_test_support::service::Service;
use frp_test_support::skipped;
use frp_test_support::traffic;
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use frp_test_support::way::{Outcome, Pair, Transport, Way, Wire};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

/// The other side must see an end within this time of an abrupt one.
const ABRUPT: Duration = Duration::from_secs(1);

/// Bytes each way of the bulk transfer.
const BULK: u64 = 64 << 20;

/// One tunnel in `setting`, with further lines for the client, and with a proxy for each service that the traffic needs.
async fn carries_everything(name: &str, setting: Setting, client: &str) -> Result<()> {
    let echo = Service::echo().await?;
    let counts = Service::counts_to_end().await?;
    let greeting = Service::greeting("hello from the service").await?;
    let resets = Service::resets().await?;
    let mut sink = Service::sink().await?;
    let udp = Service::udp_echo().await?;
    let proxies = [
        Proxy::new("tcp", "echo", echo.port()),
        Proxy::new("tcp", "counts", counts.port()),
        Proxy::new("tcp", "greeting", greeting.port()),
        Proxy::new("tcp", "resets", resets.port()),
        Proxy::new("tcp", "sink", sink.port()),
        Proxy::new("udp", "udp", udp.port()),
    ];
    let [to_echo, to_counts, to_greeting, to_resets, to_sink, to_udp] =
        proxies.each_ref().map(|proxy| proxy.remote);
    let tunnel = Tunnel::start_with(setting, &proxies, "", client).await;
    let _tunnel = tunnel.with_context(|| format!("start with {name} {client}"))?;

    traffic::echo(to_echo, b"one connection").await.context("one connection")?;

    let mut users = JoinSet::new();
    for user in 0..50_u32 {
        users.spawn(
            async move { traffic::echo(to_echo, format!("user {user}").repeat(500).as_bytes()).await },
        );
    }
    while let Some(user) = users.join_next().await {
        user?.context("50 parallel")?;
    }

    traffic::bulk_echo(to_echo, BULK, 7).await.context("bulk")?;

    let mut user = traffic::connect(to_greeting).await?;
    ensure!(
        traffic::read_to_end(&mut user).await? == b"hello from the service",
        "the service's last words are lost"
    );

    half_close(to_counts).await.context("half-close")?;

    let mut user = traffic::connect(to_resets).await?;
    user.write_all(b"x").await?;
    ensure!(traffic::ends_within(&mut user, ABRUPT).await, "the service reset, the user was not told");

    let mut user = traffic::connect(to_sink).await?;
    user.write_all(b"x").await?;
    sink.wait_accepted(1).await;
    user.set_zero_linger()?;
    drop(user);
    ensure!(
        tokio::time::timeout(ABRUPT, sink.wait_ended(1)).await.is_ok(),
        "the user reset, the service was not told"
    );

    for datagram in [&b"a datagram"[..], &[], &[0xa5; 1400]] {
        traffic::udp_echo(to_udp, datagram)
            .await
            .with_context(|| format!("{} bytes over udp", datagram.len()))?;
    }
    Ok(())
}

/// A user that shuts its writing down is still answered where both programs are ours. The original ends both
/// directions there, so elsewhere only an end is asked for.
async fn half_close(port: u16) -> Result<()> {
    let mut user = traffic::connect(port).await?;
    user.write_all(&[1; 1000]).await?;
    user.shutdown().await?;
    let answer = traffic::read_to_end(&mut user).await;
    if both_ours() {
        ensure!(answer? == b"1000", "the answer after the user's end of stream");
    }
    Ok(())
}

macro_rules! settings {
    ($($test:ident: $index:literal,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() -> Result<()> {
            let (name, setting) = Setting::ALL[$index];
            carries_everything(name, setting, "").await
        }
    )*};
}

settings! {
    plain: 0,
    tls: 1,
    mux: 2,
    tls_and_mux: 3,
    encryption: 4,
    compression: 5,
    encryption_and_compression: 6,
}

/// Why this run's programs have no websocket over TLS between them.
fn carries_no_wss(setting: Setting) -> Option<String> {
    let pair = Pair { frps: Maker::from_env(Role::Frps), frpc: Maker::from_env(Role::Frpc) };
    match pair.outcome(Way { transport: Transport::Wss, wire: Wire::V1, tls: true, mux: setting.mux }) {
        Outcome::Serves => None,
        Outcome::Refused(reason) | Outcome::Unsupported(reason) => Some(reason),
    }
}

macro_rules! websockets {
    ($($test:ident: $protocol:literal, $index:literal,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() -> Result<()> {
            let (name, setting) = Setting::ALL[$index];
            if $protocol == "wss"
                && let Some(reason) = carries_no_wss(setting)
            {
                skipped(&reason);
                return Ok(());
            }
            carries_everything(name, setting, concat!("protocol = ", $protocol)).await
        }
    )*};
}

websockets! {
    websocket_plain: "websocket", 0,
    websocket_tls: "websocket", 1,
    websocket_mux: "websocket", 2,
    websocket_tls_and_mux: "websocket", 3,
    wss_plain: "wss", 1,
    wss_mux: "wss", 3,
}
