//! Every transport over bad lines: not one byte is lost or changed where datagrams are lost, overtake each other and come
//! twice, nor where a line is slow and stalls; and after a black hole it serves again. The lines are seeded
//! (`frp_test_support::impairment`); names are as in `transports`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::impairment::{Conditions, Stall};
use frp_test_support::service::Service;
use frp_test_support::way::{Carried, Outcome, Pair, Plan, Scene, Way, serves_within};
use frp_test_support::{traffic, within};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

/// All cells may run at once: their lines are slow, and most of their time is waiting.
const AT_ONCE: usize = 10;
/// Bytes each way of each of two transfers at once, one plain and one with layers.
const BULK: u64 = 1 << 20;
/// How long the line is a hole in the midst of a slow transfer. It is a condition of the line, as its rate is: longer than
/// senders wait before they send again, and shorter than any keepalive is patient.
const SHORT_HOLE: Duration = Duration::from_millis(500);
/// A transport serves again within this time of a black hole's end.
const RECOVERY: Duration = Duration::from_secs(40);

/// What a line does to a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// Datagrams are lost, overtake each other, come twice.
    Lossy,
    /// Delay, a bottleneck with a short queue, stalls, and in the midst of it all a short black hole.
    Slow,
    /// A black hole that lasts until the client has given its connection up.
    Hole,
    /// A black hole that lasts until both have given the connection up and the client has tried in vain to make another,
    /// with keepalives as they are when nothing is configured, which is why it takes about a minute.
    LongHole,
}

impl Bad {
    const ALL: [Self; 4] = [Self::Lossy, Self::Slow, Self::Hole, Self::LongHole];

    fn name(self) -> &'static str {
        match self {
            Self::Lossy => "lossy",
            Self::Slow => "slow",
            Self::Hole => "hole",
            Self::LongHole => "long-hole",
        }
    }

    fn happens_to(self, way: Way) -> bool {
        self != Self::Lossy || way.transport.datagrams()
    }

    fn conditions(self) -> Conditions {
        let usual = Conditions { delay: Duration::from_millis(5), queue: 1 << 20, ..Conditions::default() };
        match self {
            Self::Lossy => Conditions {
                rate: Some(100_000_000),
                loss: 0.02,
                duplication: 0.02,
                reordering: 0.03,
                ..usual
            },
            Self::Slow => Conditions {
                delay: Duration::from_millis(25),
                rate: Some(40_000_000),
                queue: 128 << 10,
                stall: Some(Stall { every: Duration::from_millis(700), length: Duration::from_millis(150) }),
                ..usual
            },
            Self::Hole | Self::LongHole => usual,
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let mut trials = Vec::new();
    for pair in Pair::all() {
        for bad in Bad::ALL {
            for way in Way::usual().into_iter().filter(|&way| bad.happens_to(way)) {
                trials.push(trial(bad, &pair, way));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(bad: Bad, pair: &Pair, way: Way) -> Trial {
    let pair = pair.clone();
    let name = format!("{}/{way}/{}", pair.name(), bad.name());
    let trial = Trial::ignorable_test(name, move || {
        if let Err(reason) = pair.present() {
            return Ok(Completion::ignored_with(reason));
        }
        match pair.outcome(way) {
            Outcome::Serves => {}
            Outcome::Refused(reason) | Outcome::Unsupported(reason) => {
                return Ok(Completion::ignored_with(reason));
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(survives(bad, &pair, way));
        done.map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}")))
    });
    trial.with_ignored_flag(bad == Bad::LongHole)
}

async fn survives(bad: Bad, pair: &Pair, way: Way) -> Result<()> {
    let (echo, udp) = (Service::echo().await?, Service::udp_echo().await?);
    let proxies = [
        Carried::new("tcp", echo.port()),
        Carried::layered("tcp", echo.port()),
        Carried::new("udp", udp.port()),
    ];
    let mut plan = Plan::new(way, pair, &proxies);
    plan.line = Some(bad.conditions());
    plan.brisk = bad == Bad::Hole;
    let mut scene = plan.start().await?;
    scene.ready(1).await?;
    let done = match bad {
        Bad::Lossy => lossy(&scene, &proxies).await,
        Bad::Slow => slow(&scene, &proxies).await,
        Bad::Hole | Bad::LongHole => hole(&mut scene, &proxies, bad, pair.gives_dials_up(way)).await,
    };
    done.with_context(|| scene.outputs())
}

/// Noise through both proxies at once, each way at once, every byte of it checked; and datagrams.
async fn carries(proxies: &[Carried; 3]) -> Result<()> {
    let [plain, layered, udp] = proxies.each_ref().map(|proxy| proxy.remote);
    let mut users = JoinSet::new();
    users.spawn(traffic::bulk_echo(plain, BULK, 1));
    users.spawn(traffic::bulk_echo(layered, BULK, 2));
    users.spawn(async move { traffic::udp_echo(udp, &[0x5a; 1200]).await });
    while let Some(user) = users.join_next().await {
        user??;
    }
    Ok(())
}

async fn lossy(scene: &Scene, proxies: &[Carried; 3]) -> Result<()> {
    carries(proxies).await?;
    let statistics = scene.line.as_ref().context("a line")?.statistics();
    for counts in [statistics.there, statistics.back] {
        ensure!(counts.lost > 0 && counts.duplicated > 0 && counts.reordered > 0, "{counts:?}");
    }
    ensure!(scene.frpc.count("login to server success") == 1, "the session was lost");
    Ok(())
}

async fn slow(scene: &Scene, proxies: &[Carried; 3]) -> Result<()> {
    let line = scene.line.as_ref().context("a line")?;
    let short_hole = async {
        within("half of it", async {
            let mut pause = interval(Duration::from_millis(10));
            while line.statistics().there.bytes < BULK {
                pause.tick().await;
            }
        })
        .await?;
        line.black_hole(true);
        sleep(SHORT_HOLE).await;
        line.black_hole(false);
        Ok(())
    };
    let (carried, holed) = tokio::join!(carries(proxies), short_hole);
    carried.and(holed)?;
    ensure!(scene.frpc.count("login to server success") == 1, "the session was lost");
    Ok(())
}

async fn hole(scene: &mut Scene, proxies: &[Carried; 3], bad: Bad, gives_dials_up: bool) -> Result<()> {
    /// Of old releases, too, which "reconnect", and say nothing of the first time.
    const TRIES: &str = "connect to server...";
    carries(proxies).await.context("before")?;
    let before = scene.frpc.count(TRIES);
    let line = scene.line.as_ref().context("a line")?;
    line.black_hole(true);
    scene.frpc.lines(TRIES, before + 1).await.context("give the connection up")?;
    if bad == Bad::LongHole {
        scene.frps.line("client exit success").await.context("notice that the client is gone")?;
        if gives_dials_up {
            scene.frpc.lines(TRIES, before + 2).await.context("try in vain")?;
        }
    }
    line.black_hole(false);
    serves_within(proxies[0].remote, RECOVERY).await?;
    carries(proxies).await.context("after")
}
