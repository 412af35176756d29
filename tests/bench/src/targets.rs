//! What we want to reach, and whether a run reached it.

use crate::mode::Mode;
use crate::results::Results;
use crate::row::Row;
use crate::subject::Id;

/// A bound for some rows in some modes.
#[derive(Debug)]
pub(crate) struct Target {
    modes: &'static [Mode],
    rows: &'static [Row],
    bound: Bound,
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
    target(&Mode::ALL, &[Row::IdleMemory], Bound::AtMost(0.2, Id::Original)),
];

const fn target(modes: &'static [Mode], rows: &'static [Row], bound: Bound) -> Target {
    Target { modes, rows, bound }
}

/// The outcome of every target that the run has figures for, mode by mode.
pub(crate) fn outcomes(results: &Results) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = ALL
        .iter()
        .flat_map(|target| {
            target.modes.iter().flat_map(move |&mode| {
                target.rows.iter().filter_map(move |&row| outcome(results, mode, row, target.bound))
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
        _ => "missed",
    };
    Some(Outcome { mode, row, wanted, got, met })
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
    fn a_bound_that_is_a_figure() {
        let mut results = Results::default();
        results.add(Mode::Default, Row::IdleConnection, Id::Ours, 0, 9.0);
        let outcomes = outcomes(&results);
        assert_eq!((outcomes[0].met, outcomes[0].wanted.as_str()), ("missed", "≤ 8"));
    }
}
