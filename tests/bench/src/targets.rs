//! What we want to reach, and whether a run reached it.

use crate::line::{Line, RATE};
use crate::mode::{Mode, Table};
use crate::results::Results;
use crate::row::Row;
use crate::subject::Id;

/// A bound for some rows in some modes.
#[derive(Debug)]
pub(crate) struct Target {
    modes: &'static [Mode],
    rows: Rows,
    bound: Bound,
}

/// The rows of a target.
#[derive(Debug, Clone, Copy)]
enum Rows {
    These(&'static [Row]),
    /// Bulk over every line with this round trip.
    Lines(u32),
}

impl Rows {
    fn list(self) -> Vec<Row> {
        match self {
            Self::These(rows) => rows.to_vec(),
            Self::Lines(round_trip) => Line::ALL
                .into_iter()
                .filter(|line| line.round_trip == round_trip)
                .flat_map(|line| [Row::LineUp(line), Row::LineDown(line)])
                .collect(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    /// At least so many times the figure of someone.
    AtLeast(f64, Id),
    /// At most so many times the figure of someone.
    AtMost(f64, Id),
    /// At most this figure.
    Below(f64),
}

/// A target's outcome in one mode and row.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) mode: Mode,
    pub(crate) row: Row,
    pub(crate) wanted: String,
    pub(crate) got: String,
    pub(crate) met: &'static str,
}

const BULK: &[Row] = &[Row::BulkUp, Row::BulkDown, Row::BulkEight];
const BULK_CPU: &[Row] = &[Row::CpuUp, Row::CpuDown, Row::CpuEight];

/// All of them.
const ALL: &[Target] = &[
    target(&[Mode::Plain], BULK, Bound::AtLeast(1.0, Id::Haproxy)),
    target(&[Mode::Plain], BULK_CPU, Bound::AtMost(1.0, Id::Haproxy)),
    target(&[Mode::Plain], BULK, Bound::AtLeast(1.0, Id::HaproxySplice)),
    target(&[Mode::Plain], BULK_CPU, Bound::AtMost(1.0, Id::HaproxySplice)),
    target(&[Mode::Plain], &[Row::Requests], Bound::AtLeast(1.05, Id::Rathole)),
    target(&[Mode::Plain], &[Row::RequestP99], Bound::AtMost(1.0, Id::Rathole)),
    target(&[Mode::Plain], &[Row::Connections], Bound::AtLeast(1.0, Id::Haproxy)),
    target(&[Mode::Plain], &[Row::Connections], Bound::AtLeast(1.0, Id::HaproxySplice)),
    target(&[Mode::Mux], BULK, Bound::AtLeast(2.0, Id::Original)),
    target(&[Mode::Mux], BULK_CPU, Bound::AtMost(0.5, Id::Original)),
    target(&[Mode::Default], BULK, Bound::AtLeast(2.5, Id::Original)),
    target(&[Mode::Default], BULK_CPU, Bound::AtMost(0.4, Id::Original)),
    target(&[Mode::Encrypted], BULK, Bound::AtLeast(3.0, Id::Original)),
    target(&[Mode::Encrypted], BULK_CPU, Bound::AtMost(0.33, Id::Original)),
    target(&[Mode::Mux, Mode::Encrypted], &[Row::Requests], Bound::AtLeast(1.8, Id::Original)),
    target(&[Mode::Mux, Mode::Default], &[Row::BesideP99], Bound::AtMost(0.5, Id::Original)),
    target(&[Mode::Default], &[Row::Requests], Bound::AtLeast(1.7, Id::Original)),
    target(
        &[Mode::Mux, Mode::Default, Mode::Encrypted],
        &[Row::Connections],
        Bound::AtLeast(3.0, Id::Original),
    ),
    target(&[Mode::Default], &[Row::Datagrams], Bound::AtLeast(3.0, Id::Original)),
    target(&[Mode::Default], &[Row::DatagramLoss], Bound::Below(0.1)),
    target(&[Mode::Plain, Mode::Mux], &[Row::IdleConnection], Bound::Below(6.5)),
    target(&[Mode::Default], &[Row::IdleConnection], Bound::Below(8.0)),
    target(&[Mode::Encrypted], &[Row::IdleConnection], Bound::Below(12.0)),
    target(&[Mode::Default], &[Row::VhostRequests], Bound::AtLeast(5.0, Id::Original)),
    target(&[Mode::Default], &[Row::VhostConnections], Bound::AtLeast(3.0, Id::Original)),
    target(&[Mode::Default], &[Row::HandshakeCpu], Bound::AtMost(0.33, Id::Original)),
    target(LOAD, &[Row::IdleMemory], Bound::AtMost(0.2, Id::Original)),
    target(&[Mode::Kcp, Mode::Quic], ONE_STREAM, Bound::AtLeast(2.0, Id::Original)),
    target(&[Mode::Websocket, Mode::V2], ONE_STREAM, Bound::AtLeast(2.5, Id::Original)),
    Target { modes: LINES, rows: Rows::Lines(20), bound: Bound::AtLeast(1.0, Id::Original) },
    Target { modes: LINES, rows: Rows::Lines(100), bound: Bound::AtLeast(1.5, Id::Original) },
    Target { modes: LINES, rows: Rows::Lines(300), bound: Bound::AtLeast(1.0, Id::Original) },
];

const LOAD: &[Mode] = &[Mode::Plain, Mode::Mux, Mode::Default, Mode::Encrypted];
const LINES: &[Mode] = &[Mode::Tcp, Mode::Websocket, Mode::Kcp, Mode::Quic];
const ONE_STREAM: &[Row] = &[Row::BulkUp, Row::BulkDown];

/// A line that carries this share of its rate is full: nobody can be faster, however slow the other is.
const FULL: f64 = 0.9;

const fn target(modes: &'static [Mode], rows: &'static [Row], bound: Bound) -> Target {
    Target { modes, rows: Rows::These(rows), bound }
}

/// The outcome of every target that the run has figures for, mode by mode.
pub(crate) fn outcomes(results: &Results) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = ALL
        .iter()
        .flat_map(|target| {
            target.modes.iter().flat_map(move |&mode| {
                let rows = target.rows.list().into_iter();
                rows.filter_map(move |row| outcome(results, mode, row, target.bound))
            })
        })
        .collect();
    outcomes.sort_by_key(|outcome| (outcome.mode, outcome.row));
    outcomes
}

fn outcome(results: &Results, mode: Mode, row: Row, bound: Bound) -> Option<Outcome> {
    let noise = 1.0 + results.noise(mode, row).unwrap_or_default();
    let (wanted, got, shortfall) = match bound {
        Bound::AtLeast(factor, id) => {
            let ratio = results.ratio(mode, row, id)?.median;
            (format!("≥ {factor} × {}", id.title()), format!("{ratio:.2} ×"), factor / ratio)
        }
        Bound::AtMost(factor, id) => {
            let ratio = results.ratio(mode, row, id)?.median;
            (format!("≤ {factor} × {}", id.title()), format!("{ratio:.2} ×"), ratio / factor)
        }
        Bound::Below(value) => {
            let got = results.median(mode, row, Id::Ours)?;
            (format!("≤ {value}"), row.format(got), got / value)
        }
    };
    let met = match shortfall {
        shortfall if shortfall <= 1.0 => "met",
        shortfall if shortfall <= noise => "met within the noise",
        _ if fills_the_line(results, mode, row) => "the line is full",
        _ => "missed",
    };
    Some(Outcome { mode, row, wanted, got, met })
}

/// What is wanted in a row, and whether it was reached, for the last column of a table. Only the table of transports has
/// one.
pub(crate) fn beside(results: &Results, mode: Mode, row: Row) -> Option<String> {
    let outcomes = if mode.table() == Table::Transports { outcomes(results) } else { Vec::new() };
    let outcome = outcomes.into_iter().find(|outcome| (outcome.mode, outcome.row) == (mode, row))?;
    Some(format!("{}: {}", outcome.wanted, outcome.met))
}

fn fills_the_line(results: &Results, mode: Mode, row: Row) -> bool {
    matches!(row, Row::LineUp(_) | Row::LineDown(_))
        && results.median(mode, row, Id::Ours).is_some_and(|rate| rate * 1e6 >= FULL * RATE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn met_nearly_met_and_missed() {
        for (ours, again, met) in
            [(21.0, 21.0, "met"), (19.0, 19.0, "missed"), (19.0, 17.0, "met within the noise")]
        {
            let mut results = Results::default();
            for (id, value) in [(Id::Ours, ours), (Id::Again, again), (Id::Haproxy, 20.0)] {
                results.add(Mode::Plain, Row::BulkUp, id, 0, value);
            }
            let outcomes = outcomes(&results);
            assert_eq!(outcomes.len(), 1, "only what was measured");
            assert_eq!(outcomes[0].met, met, "{ours} {again}");
        }
    }

    #[test]
    fn who_fills_the_line_cannot_be_faster() {
        let row = Row::LineUp(Line::ALL[3]);
        for (ours, theirs, met) in
            [(190.0, 185.0, "the line is full"), (60.0, 50.0, "missed"), (60.0, 30.0, "met")]
        {
            let mut results = Results::default();
            results.add(Mode::Quic, row, Id::Ours, 0, ours);
            results.add(Mode::Quic, row, Id::Original, 0, theirs);
            assert_eq!(outcomes(&results)[0].met, met);
            let beside = beside(&results, Mode::Quic, row).unwrap();
            assert_eq!(beside, format!("≥ 1.5 × original: {met}"));
        }
    }

    #[test]
    fn a_bound_that_is_a_figure() {
        let mut results = Results::default();
        results.add(Mode::Default, Row::IdleConnection, Id::Ours, 0, 9.0);
        let outcomes = outcomes(&results);
        assert_eq!((outcomes[0].met, outcomes[0].wanted.as_str()), ("missed", "≤ 8"));
    }
}
