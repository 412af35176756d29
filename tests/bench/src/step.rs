//! One measurement of one tunnel.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::line::Line;
use crate::load::datagrams::{self, Delivery, Offer};
use crate::load::{
    Exchanges, Flow, Tools, Transfer, beside, bulk, connections, handshakes, idle, iperf3, requests, vhost,
    wrk,
};
use crate::mode::{Mode, Table};
use crate::row::Row;
use crate::service::Services;
use crate::subject::{Ready, Running};

/// What is done to a tunnel at once, and gives one or several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Idle,
    Requests,
    Beside,
    Connections,
    Bulk(Flow),
    VhostRequests,
    VhostConnections,
    Handshakes,
    Datagrams(Offer),
    /// Bulk over a bad line, one stream.
    Line(Line, Flow),
}

/// Steps that share a tunnel, in order.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) ready: Ready,
    /// What is between the programs of the tunnel.
    pub(crate) line: Option<Line>,
    pub(crate) steps: Vec<Step>,
}

impl Phase {
    /// All of a mode, in order.
    pub(crate) fn all(mode: Mode) -> Vec<Self> {
        let lines = Line::ALL.into_iter().map(|line| {
            let steps = [false, true].map(|down| Step::Line(line, Flow { down, streams: 1 }));
            (Ready::Listens, Some(line), steps.to_vec())
        });
        PHASES
            .into_iter()
            .map(|(ready, steps)| (ready, None, steps.to_vec()))
            .chain(lines)
            .map(|(ready, line, steps)| {
                let steps = steps.into_iter().filter(|step| step.taken_in(mode)).collect();
                Self { ready, line, steps }
            })
            .filter(|phase| !phase.steps.is_empty())
            .collect()
    }
}

/// Those without a bad line: memory is looked at while the programs are fresh, and bulk, virtual hosts and
/// datagrams get programs of their own.
const PHASES: [(Ready, &[Step]); 5] = [
    (Ready::Answers, &[Step::Start, Step::Idle, Step::Requests, Step::Beside, Step::Connections]),
    (
        Ready::Listens,
        &[
            Step::Bulk(Flow { down: false, streams: 1 }),
            Step::Bulk(Flow { down: true, streams: 1 }),
            Step::Bulk(Flow { down: false, streams: 8 }),
        ],
    ),
    (Ready::Serves, &[Step::VhostRequests, Step::VhostConnections]),
    (Ready::Handshakes, &[Step::Handshakes]),
    (Ready::Returns, &[Step::Datagrams(Offer::PerSecond(OFFERED)), Step::Datagrams(Offer::Flood)]),
];

/// Datagrams in a second that no tunnel should lose.
const OFFERED: u32 = 25_000;

/// What a step needs besides the tunnel.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) services: &'a Services,
    pub(crate) tools: &'a Tools,
    /// The port that the tunnel leads to.
    pub(crate) service: u16,
    pub(crate) seconds: f64,
    pub(crate) connections: usize,
}

/// What a step measured.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<(Row, f64)>,
    /// Exchanges that broke on the way.
    pub(crate) failed: u64,
}

impl Step {
    /// The rows that it gives.
    pub(crate) fn rows(self) -> Vec<Row> {
        let rows: &[Row] = match self {
            Self::Line(line, flow) => {
                return vec![if flow.down { Row::LineDown(line) } else { Row::LineUp(line) }];
            }
            Self::Start => &[Row::Start, Row::IdleMemory],
            Self::Idle => &[Row::IdleConnection],
            Self::Requests => &[Row::Requests, Row::RequestP50, Row::RequestP99, Row::RequestCpu],
            Self::Beside => &[Row::BesideP99],
            Self::Connections => &[Row::Connections, Row::ConnectionCpu],
            Self::Bulk(Flow { streams: 1, down: false }) => &[Row::BulkUp, Row::CpuUp],
            Self::Bulk(Flow { streams: 1, down: true }) => &[Row::BulkDown, Row::CpuDown],
            Self::Bulk(_) => &[Row::BulkEight, Row::CpuEight],
            Self::VhostRequests => {
                &[Row::VhostRequests, Row::VhostRequestP50, Row::VhostRequestP99, Row::VhostRequestCpu]
            }
            Self::VhostConnections => &[Row::VhostConnections, Row::VhostConnectionCpu],
            Self::Handshakes => &[Row::Handshakes, Row::HandshakeCpu],
            Self::Datagrams(Offer::Flood) => &[Row::Datagrams, Row::DatagramFloodP50],
            Self::Datagrams(Offer::PerSecond(_)) => {
                &[Row::DatagramLoss, Row::DatagramP50, Row::DatagramP99, Row::DatagramCpu]
            }
        };
        rows.to_vec()
    }

    /// Whether it is taken in `mode`: what virtual hosts cost is looked at in the default one, and of other transports
    /// than TCP what they carry.
    fn taken_in(self, mode: Mode) -> bool {
        match self {
            Self::Line(line, _) => line.taken_in(mode),
            Self::Requests | Self::Bulk(Flow { streams: 1, .. }) => true,
            Self::VhostRequests | Self::VhostConnections | Self::Handshakes => mode == Mode::Default,
            _ => mode.table() == Table::Load,
        }
    }

    /// Measures. A tunnel without programs has no CPU time, no memory and no start.
    ///
    /// # Errors
    /// The load did not get through, or a program has ended.
    pub(crate) async fn run(self, bench: &Bench<'_>, tunnel: &Running) -> Result<Figures> {
        match self {
            Self::Start => Ok(start(tunnel).await?),
            Self::Idle => Ok(idle_connections(bench, tunnel).await?),
            Self::Requests => {
                let before = tunnel.cpu()?;
                let done = match &bench.tools.wrk {
                    Some(wrk) => wrk::run(wrk, tunnel.public, None, bench.seconds).await?,
                    None => requests::run(tunnel.public, bench.seconds).await?,
                };
                let mut figures = self.exchanges(done, tunnel, tunnel.cpu()? - before);
                figures.rows.extend([(Row::RequestP50, done.p50), (Row::RequestP99, done.p99)]);
                Ok(figures)
            }
            Self::Beside => {
                let done = beside::run(tunnel.public, bench.connections, bench.seconds).await?;
                Ok(Figures { rows: vec![(Row::BesideP99, done.p99)], failed: done.failed })
            }
            Self::Connections => {
                let before = tunnel.cpu()?;
                let done = connections::run(tunnel.public, bench.seconds).await?;
                Ok(self.exchanges(done, tunnel, tunnel.cpu()? - before))
            }
            Self::Bulk(flow) => {
                let before = tunnel.cpu()?;
                let (service, public) = (bench.service, tunnel.public);
                let done = match &bench.tools.iperf3 {
                    Some(iperf3) => iperf3::run(iperf3, service, public, flow, bench.seconds).await?,
                    None => bulk::run(bench.services, public, flow, bench.seconds).await?,
                };
                Ok(self.transfer(done, tunnel, tunnel.cpu()? - before))
            }
            Self::Line(line, flow) => {
                let done = bulk::run(bench.services, tunnel.public, flow, bench.seconds).await?;
                bulk::drained(bench.services, Duration::from_millis(u64::from(line.round_trip))).await;
                let rate = done.bytes * 8.0 / done.seconds / 1e6;
                Ok(Figures { rows: self.rows().into_iter().map(|row| (row, rate)).collect(), failed: 0 })
            }
            Self::VhostRequests => {
                let before = tunnel.cpu()?;
                let done = match &bench.tools.wrk {
                    Some(wrk) => wrk::run(wrk, tunnel.public, Some(vhost::HOST), bench.seconds).await?,
                    None => vhost::requests(tunnel.public, bench.seconds).await?,
                };
                let mut figures = self.exchanges(done, tunnel, tunnel.cpu()? - before);
                figures.rows.extend([(Row::VhostRequestP50, done.p50), (Row::VhostRequestP99, done.p99)]);
                Ok(figures)
            }
            Self::VhostConnections => {
                let before = tunnel.cpu()?;
                let done = vhost::connections(tunnel.public, bench.seconds).await?;
                Ok(self.exchanges(done, tunnel, tunnel.cpu()? - before))
            }
            Self::Handshakes => {
                let before = tunnel.cpu()?;
                let done = handshakes::run(tunnel.public, bench.seconds).await?;
                Ok(self.exchanges(done, tunnel, tunnel.cpu()? - before))
            }
            Self::Datagrams(offer) => {
                let before = tunnel.cpu()?;
                let done = datagrams::run(tunnel.public, offer, bench.seconds).await?;
                Ok(self.delivery(done, tunnel, tunnel.cpu()? - before))
            }
        }
    }

    fn delivery(self, done: Delivery, tunnel: &Running, cpu: f64) -> Figures {
        let mut rows = match self {
            Self::Datagrams(Offer::Flood) => {
                vec![(Row::Datagrams, done.in_time / done.seconds), (Row::DatagramFloodP50, done.p50)]
            }
            _ => vec![
                (Row::DatagramLoss, (1.0 - done.returned / done.sent) * 100.0),
                (Row::DatagramP50, done.p50),
                (Row::DatagramP99, done.p99),
            ],
        };
        if tunnel.has_programs() && self != Self::Datagrams(Offer::Flood) {
            rows.push((Row::DatagramCpu, cpu / done.returned * 1e6));
        }
        Figures { rows, failed: 0 }
    }

    fn exchanges(self, done: Exchanges, tunnel: &Running, cpu: f64) -> Figures {
        let (rate, cost) = match self {
            Self::Requests => (Row::Requests, Row::RequestCpu),
            Self::VhostRequests => (Row::VhostRequests, Row::VhostRequestCpu),
            Self::VhostConnections => (Row::VhostConnections, Row::VhostConnectionCpu),
            Self::Handshakes => (Row::Handshakes, Row::HandshakeCpu),
            _ => (Row::Connections, Row::ConnectionCpu),
        };
        let mut rows = vec![(rate, done.count / done.seconds)];
        if tunnel.has_programs() {
            rows.push((cost, cpu / done.count * 1e6));
        }
        Figures { rows, failed: done.failed }
    }

    fn transfer(self, done: Transfer, tunnel: &Running, cpu: f64) -> Figures {
        let values = [done.bytes * 8.0 / done.seconds / 1e9, cpu / (done.bytes / 1e9)];
        let count = if tunnel.has_programs() { 2 } else { 1 };
        Figures { rows: self.rows().into_iter().zip(values).take(count).collect(), failed: 0 }
    }
}

async fn start(tunnel: &Running) -> Result<Figures> {
    let mut rows = Vec::new();
    if tunnel.has_programs() {
        rows.push((Row::Start, tunnel.took.as_secs_f64() * 1e3));
        rows.push((Row::IdleMemory, tunnel.settled_memory().await? as f64 / f64::from(1 << 20)));
    }
    Ok(Figures { rows, failed: 0 })
}

async fn idle_connections(bench: &Bench<'_>, tunnel: &Running) -> Result<Figures> {
    if !tunnel.has_programs() {
        return Ok(Figures::default());
    }
    let before = tunnel.settled_memory().await? as f64;
    let connections = idle::open(tunnel.public, bench.connections).await.context("open them")?;
    let growth = tunnel.settled_memory().await? as f64 - before;
    drop(connections);
    Ok(Figures { rows: vec![(Row::IdleConnection, growth / bench.connections as f64 / 1024.0)], failed: 0 })
}
