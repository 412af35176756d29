//! The figures of a run, and what is made of them: medians, and ratios taken round by round.

use std::collections::BTreeMap;

use crate::mode::Mode;
use crate::row::Row;
use crate::subject::Id;

/// Every figure of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: BTreeMap<(Mode, Row, Id), BTreeMap<usize, f64>>,
    /// What went wrong, once per text.
    notes: Vec<String>,
    ours_failed: bool,
}

/// The ratios of our figure to someone's, one per round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// Ours beside a peer's, when the spread of ours against ours is allowed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Better,
    Even,
    Worse,
}

impl Results {
    pub(crate) fn add(&mut self, mode: Mode, row: Row, id: Id, round: usize, value: f64) {
        self.figures.entry((mode, row, id)).or_default().insert(round, value);
    }

    pub(crate) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Notes that a measurement could not be made.
    pub(crate) fn fail(&mut self, id: Id, note: String) {
        self.ours_failed |= matches!(id, Id::Ours | Id::Again);
        self.note(note);
    }

    /// Whether one of those was ours.
    pub(crate) fn ours_failed(&self) -> bool {
        self.ours_failed
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, mode: Mode, row: Row, id: Id) -> Option<f64> {
        median(self.figures.get(&(mode, row, id))?.values().copied().collect())
    }

    /// Our figure divided by that of `id`, over the rounds that have both.
    pub(crate) fn ratio(&self, mode: Mode, row: Row, id: Id) -> Option<Ratio> {
        let ours = self.figures.get(&(mode, row, Id::Ours))?;
        let theirs = self.figures.get(&(mode, row, id))?;
        let ratios = ours.iter().filter_map(|(round, ours)| {
            theirs.get(round).filter(|&&theirs| theirs > 0.0).map(|theirs| ours / theirs)
        });
        let ratios: Vec<f64> = ratios.collect();
        Some(Ratio {
            least: ratios.iter().copied().reduce(f64::min)?,
            greatest: ratios.iter().copied().reduce(f64::max)?,
            median: median(ratios)?,
        })
    }

    /// How far a ratio of ours to ours was from 1 in any round, if that was measured.
    pub(crate) fn noise(&self, mode: Mode, row: Row) -> Option<f64> {
        let ratio = self.ratio(mode, row, Id::Again)?;
        Some((ratio.greatest - 1.0).max(1.0 / ratio.least.max(f64::MIN_POSITIVE) - 1.0))
    }

    /// Ours beside that of `id`; none without a measure of the noise.
    pub(crate) fn verdict(&self, mode: Mode, row: Row, id: Id) -> Option<Verdict> {
        let ratio = self.ratio(mode, row, id)?.median;
        let gain = if row.more_is_better() { ratio } else { 1.0 / ratio };
        let noise = 1.0 + self.noise(mode, row)?;
        Some(match gain {
            gain if gain > noise => Verdict::Better,
            gain if gain < 1.0 / noise => Verdict::Worse,
            _ => Verdict::Even,
        })
    }

    /// Every figure as `mode,row,subject,round,value`, with a line of headings.
    pub(crate) fn csv(&self) -> String {
        let mut text = "mode,row,subject,round,value\n".to_owned();
        for ((mode, row, id), rounds) in &self.figures {
            for (round, value) in rounds {
                let (mode, row, id) = (mode.slug(), row.slug(), id.slug());
                text.push_str(&format!("{mode},{row},{id},{},{value}\n", round + 1));
            }
        }
        text
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(values.len() / 2 - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode::Plain;

    fn results(row: Row, figures: &[(Id, &[f64])]) -> Results {
        let mut results = Results::default();
        for (id, values) in figures {
            for (round, value) in values.iter().enumerate() {
                results.add(MODE, row, *id, round, *value);
            }
        }
        results
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine got slower from round to round; ours was twice as fast in each of them.
        let results =
            results(Row::Requests, &[(Id::Ours, &[80.0, 40.0, 20.0]), (Id::Original, &[40.0, 20.0, 10.0])]);
        let ratio = results.ratio(MODE, Row::Requests, Id::Original).unwrap();
        assert_eq!(ratio, Ratio { median: 2.0, least: 2.0, greatest: 2.0 });
    }

    #[test]
    fn a_round_that_failed_is_left_out() {
        let mut results = results(Row::Requests, &[(Id::Ours, &[1.0, 3.0])]);
        results.add(MODE, Row::Requests, Id::Bore, 1, 1.5);
        assert_eq!(results.ratio(MODE, Row::Requests, Id::Bore).unwrap().median, 2.0);
        assert_eq!(results.ratio(MODE, Row::Requests, Id::Nginx), None);
    }

    #[test]
    fn a_difference_within_the_noise_is_none() {
        let ours: (Id, &[f64]) = (Id::Ours, &[100.0, 110.0]);
        let again: (Id, &[f64]) = (Id::Again, &[110.0, 100.0]);
        for (row, theirs, verdict) in [
            (Row::Requests, 100.0, Verdict::Even),
            (Row::Requests, 50.0, Verdict::Better),
            (Row::Requests, 200.0, Verdict::Worse),
            (Row::CpuUp, 50.0, Verdict::Worse),
            (Row::CpuUp, 200.0, Verdict::Better),
        ] {
            let results = results(row, &[ours, again, (Id::Original, &[theirs, theirs])]);
            assert_eq!(results.verdict(MODE, row, Id::Original), Some(verdict), "{row:?} {theirs}");
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn every_figure_is_kept() {
        let results = results(Row::Start, &[(Id::Ours, &[1.5, 2.0])]);
        assert_eq!(
            results.csv(),
            "mode,row,subject,round,value\nplain,start,ours,1,1.5\nplain,start,ours,2,2\n"
        );
    }
}
