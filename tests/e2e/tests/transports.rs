//! Every transport × wire version × TLS × multiplexing, ours with ours and ours with each release of the original in
//! the folder `FRP_REF`, each way. The cells are generated; what one cannot do is a rule, and its reason is printed.
//!
//! Names are `server-client/transport/wire/...`, so that `cargo test -p frp-e2e --test transports -- kcp/v2` takes what
//! it says. A cell that is left out is shown as ignored.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use frp_test_support::programs::Maker;
use frp_test_support::service::Service;
use frp_test_support::way::{Carried, Outcome, Pair, Plan, Scene, Transport, Way, serves_within};
use frp_test_support::{LONG, impairment::Conditions, traffic, within};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Cells at once, most of whose time is waiting.
const AT_ONCE: usize = 4;
/// Bytes each way of a bulk transfer, checked one by one.
const BULK: u64 = 1 << 20;
/// Short connections one after the other.
const SHORT: u32 = 12;
/// Connections that a client with several has.
const CONNECTIONS: u32 = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let mut trials = Vec::new();
    for pair in Pair::all() {
        trials.extend(Way::all().into_iter().map(|way| match pair.outcome(way) {
            Outcome::Refused(reason) => refusal(&pair, way, &reason),
            Outcome::Serves | Outcome::Unsupported(_) => trial("", &pair, way, cell),
        }));
        trials.extend(Way::usual().into_iter().map(|way| trial("/restarts", &pair, way, restarts)));
        if !pair.is_stock() {
            let ending = Way::all().into_iter().filter(|way| way.transport == Transport::Kcp && !way.mux);
            trials.extend(ending.map(|way| trial("/short", &pair, way, short_connections)));
        }
        let several = Way::usual().into_iter().filter(|way| way.transport != Transport::Quic);
        if pair.frpc == Maker::Ours {
            trials.extend(several.map(|way| trial("/several", &pair, way, several_connections)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test of that pair on that way, if they go it.
fn trial(
    what: &str,
    pair: &Pair,
    way: Way,
    scene: impl AsyncFnOnce(Pair, Way) -> Result<()> + Send + 'static,
) -> Trial {
    let pair = pair.clone();
    Trial::ignorable_test(format!("{}/{way}{what}", pair.name()), move || {
        if let Err(reason) = pair.present() {
            return Ok(Completion::ignored_with(reason));
        }
        match pair.outcome(way) {
            Outcome::Serves => run(scene(pair, way)),
            Outcome::Refused(reason) | Outcome::Unsupported(reason) => Ok(Completion::ignored_with(reason)),
        }
    })
}

/// A test that the server refuses the client on a way of [`Outcome::Refused`].
fn refusal(pair: &Pair, way: Way, reason: &str) -> Trial {
    let (pair, name) = (pair.clone(), format!("{}/{way}/refused: {reason}", pair.name()));
    Trial::ignorable_test(name, move || match pair.present() {
        Ok(()) => run(refused(pair, way)),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

fn run(scene: impl Future<Output = Result<()>>) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(scene);
    done.map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}")))
}

/// What every way has to do: log in, carry streams and datagrams with and without layers, and stop.
async fn cell(pair: Pair, way: Way) -> Result<()> {
    let (echo, udp) = (Service::echo().await?, Service::udp_echo().await?);
    let mut proxies = vec![
        Carried::new("tcp", echo.port()),
        Carried::layered("tcp", echo.port()),
        Carried::new("udp", udp.port()),
    ];
    if pair.layers_datagrams() {
        proxies.push(Carried::layered("udp", udp.port()));
    }
    let mut scene = Plan::new(way, &pair, &proxies).start().await?;
    scene.ready(1).await?;
    let carried = if pair.ends_disturb(way) {
        let (streams, datagrams): (Vec<_>, Vec<_>) =
            proxies.iter().cloned().partition(|proxy| proxy.kind == "tcp");
        carries(&datagrams, false).await.and(carries(&streams, false).await)
    } else {
        carries(&proxies, true).await
    };
    carried.with_context(|| scene.outputs())?;
    scene.stop_frpc().await?;
    scene.stop_frps().await
}

/// Everyone at once; with a short connection before each long one, if that is wanted.
async fn carries(proxies: &[Carried], short_ones: bool) -> Result<()> {
    let mut users = JoinSet::new();
    for (seed, proxy) in (1..).zip(proxies.iter().cloned()) {
        users.spawn(async move {
            let what = format!("{} {}", if proxy.layered { "layered" } else { "plain" }, proxy.kind);
            let carried = async {
                if proxy.kind == "tcp" {
                    if short_ones {
                        traffic::echo(proxy.remote, b"a few bytes").await?;
                    }
                    return traffic::bulk_echo(proxy.remote, BULK, seed).await;
                }
                for datagram in [&b"a datagram"[..], &[0xa5; 1400]] {
                    traffic::udp_echo(proxy.remote, datagram).await?;
                }
                Ok(())
            };
            carried.await.context(what)
        });
    }
    while let Some(user) = users.join_next().await {
        user??;
    }
    Ok(())
}

/// The client does not get in and ends with status 1; the server goes on.
async fn refused(pair: Pair, way: Way) -> Result<()> {
    let mut scene = Plan::new(way, &pair, &[]).start().await?;
    let status = scene.frpc.wait().await?;
    ensure!(status.code() == Some(1), "{status}\n{}", scene.outputs());
    ensure!(scene.frpc.count("login to server success") == 0, "it got in\n{}", scene.outputs());
    TcpStream::connect(("127.0.0.1", scene.port)).await.context("the server is gone, too")?;
    Ok(())
}

/// Connections that end, each before the next begins, hold up none: a stock server gives a user up who waits for a work
/// connection for 10 s.
async fn short_connections(pair: Pair, way: Way) -> Result<()> {
    let echo = Service::echo().await?;
    let proxies = [Carried::new("tcp", echo.port()), Carried::layered("tcp", echo.port())];
    let mut scene = Plan::new(way, &pair, &proxies).start().await?;
    scene.ready(1).await?;
    for number in 0..SHORT {
        for proxy in &proxies {
            let served = traffic::echo(proxy.remote, b"a few bytes").await;
            served.with_context(|| format!("connection {number}\n{}", scene.outputs()))?;
        }
    }
    Ok(())
}

/// Either program is killed, and comes back.
async fn restarts(pair: Pair, way: Way) -> Result<()> {
    let echo = Service::echo().await?;
    let proxies = [Carried::new("tcp", echo.port())];
    let mut plan = Plan::new(way, &pair, &proxies);
    // Without an end of a connection that could be seen, only silence tells.
    plan.brisk = true;
    let mut scene = plan.start().await?;
    scene.ready(1).await?;
    traffic::echo(proxies[0].remote, b"before").await?;
    scene.restart_frps().await?;
    serves(&scene, &proxies[0]).await.context("after a restart of frps")?;
    scene.restart_frpc().await?;
    serves(&scene, &proxies[0]).await.context("after a restart of frpc")
}

async fn serves(scene: &Scene, proxy: &Carried) -> Result<()> {
    serves_within(proxy.remote, LONG).await.with_context(|| scene.outputs())
}

/// A client with several multiplexed connections has its users on all of them.
async fn several_connections(pair: Pair, way: Way) -> Result<()> {
    let echo = Service::echo().await?;
    let proxies = [Carried::new("tcp", echo.port())];
    let mut plan = Plan::new(way, &pair, &proxies);
    plan.connections = CONNECTIONS;
    // A line that changes nothing and counts.
    plan.line = Some(Conditions { queue: 4 << 20, ..Conditions::default() });
    let mut scene = plan.start().await?;
    scene.ready(1).await?;
    let line = scene.line.as_mut().context("a line")?;
    within("all connections", line.wait_comers(CONNECTIONS as usize)).await?;
    let mut users = JoinSet::new();
    for seed in 0..12 {
        let port = proxies[0].remote;
        users.spawn(traffic::bulk_echo(port, 64 << 10, seed));
    }
    while let Some(user) = users.join_next().await {
        user?.with_context(|| scene.outputs())?;
    }
    ensure!(scene.frpc.count("login to server success") == 1, "the control was lost\n{}", scene.outputs());
    Ok(())
}
