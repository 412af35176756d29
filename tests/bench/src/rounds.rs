//! The schedule: every round starts every subject, then takes them through each step one after another, so that what
//! is compared was measured within seconds. Each round begins with another subject.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::line::Line;
use crate::load::Tools;
use crate::mode::Mode;
use crate::options::Options;
use crate::ports;
use crate::results::Results;
use crate::service::Services;
use crate::step::{Bench, Phase, Step};
use crate::subject::{Id, Ready, Running, Subject};

/// Between two steps, for what the one before left on its way.
const PAUSE: Duration = Duration::from_millis(50);

/// All rounds of a run.
#[derive(Debug)]
pub(crate) struct Rounds<'a> {
    options: &'a Options,
    subjects: &'a [Subject],
    tools: &'a Tools,
    own_load: Tools,
    services: Services,
    /// Where an iperf3 server listens during a measurement, and nobody otherwise.
    iperf3: u16,
    results: Results,
}

impl<'a> Rounds<'a> {
    /// Starts the services.
    ///
    /// # Errors
    /// They cannot be started.
    pub(crate) fn new(options: &'a Options, subjects: &'a [Subject], tools: &'a Tools) -> Result<Self> {
        let (services, iperf3) = (Services::start()?, ports::free());
        let results = Results::default();
        Ok(Self { options, subjects, tools, own_load: Tools::default(), services, iperf3, results })
    }

    /// Measures everything. What fails is noted, and left out of the results.
    pub(crate) async fn run(mut self) -> Results {
        eprintln!("takes about {:.0} min", (self.estimate() / 60.0).ceil());
        for &mode in &self.options.modes {
            for round in 0..self.options.rounds {
                for phase in self.phases(mode) {
                    let mut field: Vec<&Subject> = self.field(mode, phase.ready).collect();
                    let first = round % field.len().max(1);
                    field.rotate_left(first);
                    self.phase(mode, round, &field, &phase).await;
                }
            }
        }
        self.results
    }

    /// Who is measured in a phase.
    fn field(&self, mode: Mode, ready: Ready) -> impl Iterator<Item = &'a Subject> + use<'a> {
        self.subjects.iter().filter(move |subject| subject.id.runs_in(mode) && subject.id.can(ready))
    }

    /// The phases of a mode with the steps that were chosen. A smoke run takes the shortest lines only.
    fn phases(&self, mode: Mode) -> Vec<Phase> {
        let short = |line: Line| line.round_trip == Line::ALL[0].round_trip;
        let mut phases = Phase::all(mode);
        phases.retain(|phase| !self.options.smoke || phase.line.is_none_or(short));
        for phase in &mut phases {
            phase.steps.retain(|step| step.rows().iter().any(|row| self.options.rows.contains(row)));
        }
        phases.retain(|phase| !phase.steps.is_empty());
        phases
    }

    /// How long one measurement of load takes.
    fn seconds(&self, line: Option<Line>) -> f64 {
        match line {
            Some(line) if !self.options.smoke => line.seconds(self.options.seconds),
            _ => self.options.seconds,
        }
    }

    /// How many seconds all rounds take, or a little less.
    fn estimate(&self) -> f64 {
        let phase = |mode: Mode, phase: Phase| {
            let takes = |step: &Step| match step {
                Step::Start | Step::Idle => 1.2,
                _ => 0.2 + self.seconds(phase.line),
            };
            // Over a line it takes some round trips to log in.
            let start = phase.line.map_or(0.0, |line| f64::from(line.round_trip) * 6e-3);
            let steps: f64 = phase.steps.iter().map(takes).sum();
            (start + steps) * self.field(mode, phase.ready).count() as f64
        };
        let modes = self.options.modes.iter();
        let round: f64 =
            modes.flat_map(|&mode| self.phases(mode).into_iter().map(move |of_it| phase(mode, of_it))).sum();
        round * self.options.rounds as f64
    }

    async fn phase(&mut self, mode: Mode, round: usize, field: &[&Subject], phase: &Phase) {
        self.iperf3 = ports::free();
        let mut tunnels: Vec<(Id, Running)> = Vec::with_capacity(field.len());
        for subject in field {
            let service = self.service(mode, subject.id, phase);
            let mut started = subject.start(mode, service, phase, &self.options.log).await;
            if started.is_err() {
                // A port that was free may have been taken before the program came to it.
                started = subject.start(mode, service, phase, &self.options.log).await;
            }
            match started {
                Ok(tunnel) => tunnels.push((subject.id, tunnel)),
                Err(error) => self.failed(mode, subject.id, &format!("{error:#}")),
            }
        }
        for &step in &phase.steps {
            for (id, tunnel) in &tunnels {
                sleep(PAUSE).await;
                self.measure(mode, round, *id, phase, step, tunnel).await;
            }
        }
    }

    async fn measure(
        &mut self,
        mode: Mode,
        round: usize,
        id: Id,
        phase: &Phase,
        step: Step,
        tunnel: &Running,
    ) {
        let bench = Bench {
            services: &self.services,
            tools: self.tools(mode, id, phase),
            service: self.service(mode, id, phase),
            seconds: self.seconds(phase.line),
            connections: self.options.connections,
        };
        match step.run(&bench, tunnel).await {
            Ok(figures) => {
                for (row, value) in
                    figures.rows.into_iter().filter(|(row, _)| self.options.rows.contains(row))
                {
                    let (title, figure) = (row.title(), row.format(value));
                    eprintln!(
                        "[{} {}/{}] {}: {title}: {figure}",
                        mode.slug(),
                        round + 1,
                        self.options.rounds,
                        id.title()
                    );
                    self.results.add(mode, row, id, round, value);
                }
                if figures.failed > 0 {
                    let what = step.rows().first().map_or("", |row| row.title());
                    self.results.note(format!(
                        "{}: {}: {what}: {} broke",
                        mode.slug(),
                        id.title(),
                        figures.failed
                    ));
                }
            }
            Err(error) => {
                let what = step.rows().first().map_or("", |row| row.title());
                self.failed(mode, id, &format!("{what}: {error:#}"));
            }
        }
    }

    /// The load for a subject. A smoke run tries the installed programs once and is quick with all others; over a line
    /// only our own knows when something has arrived.
    fn tools(&self, mode: Mode, id: Id, phase: &Phase) -> &Tools {
        let once = self.options.smoke && (mode, id) != (Mode::Plain, Id::Ours);
        if once || phase.line.is_some() { &self.own_load } else { self.tools }
    }

    /// The port that the subject's tunnel leads to.
    fn service(&self, mode: Mode, id: Id, phase: &Phase) -> u16 {
        match phase.ready {
            Ready::Answers | Ready::Serves => self.services.http,
            Ready::Handshakes => self.services.tls,
            Ready::Returns => self.services.datagrams,
            Ready::Listens if self.tools(mode, id, phase).iperf3.is_some() => self.iperf3,
            Ready::Listens => self.services.bulk,
        }
    }

    fn failed(&mut self, mode: Mode, id: Id, what: &str) {
        let note = format!("{}: {}: {what}", mode.slug(), id.title());
        eprintln!("FAILED {note}");
        self.results.fail(id, note);
    }
}
