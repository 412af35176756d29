//! What a run prints: facts of the machine, one table per mode, and the targets. It is Markdown, aligned so that it
//! reads well on a terminal too.

mod facts;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use self::facts::{Facts, load_average};
use self::table::Table;
use crate::mode::{Mode, Table as Kind};
use crate::options::Options;
use crate::results::{Results, Verdict};
use crate::row::Row;
use crate::subject::{Id, Subject};
use crate::targets;

/// The heading that a results section begins with.
const HEADING: &str = "## Results";

/// The same of a run that measured transports alone, which has a section of its own.
const TRANSPORTS: &str = "## Results over transports";

/// The whole section.
pub(crate) fn render(facts: &Facts, options: &Options, subjects: &[Subject], results: &Results) -> String {
    let transports = options.modes.iter().all(|mode| mode.table() == Kind::Transports);
    let heading = if transports { TRANSPORTS } else { HEADING };
    let mut text = format!("{heading}\n\n{}\n", facts.render(options, subjects));
    for &mode in &options.modes {
        let table = of_mode(mode, options, subjects, results);
        if !table.is_empty() {
            text.push_str(&format!("### {}\n\n{}\n", mode.title(), table.render()));
        }
    }
    let mut reached = Table::new(&["mode", "row", "target", "measured", ""]);
    let outcomes = if options.smoke { Vec::new() } else { targets::outcomes(results) };
    for outcome in outcomes {
        let row = outcome.row.title().to_owned();
        reached.push(vec![
            outcome.mode.slug().to_owned(),
            row,
            outcome.wanted,
            outcome.got,
            outcome.met.to_owned(),
        ]);
    }
    if !reached.is_empty() {
        text.push_str(&format!("### Targets\n\n{}\n", reached.render()));
    }
    if !results.notes().is_empty() {
        text.push_str("### What went wrong\n\n");
        for note in results.notes() {
            text.push_str(&format!("- {}\n", note.replace('\n', " ")));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Puts the section into a file, in place of the one it has, or at its end.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn put_into(path: &Path, section: &str) -> Result<()> {
    let old = if path.exists() { fs::read_to_string(path)? } else { String::new() };
    fs::write(path, replaced(&old, section)).with_context(|| format!("write {}", path.display()))
}

/// `old` with `section` in place of the one with its heading, which ends where the next begins.
fn replaced(old: &str, section: &str) -> String {
    let heading = section.lines().next().unwrap_or_default();
    let begin = if old.starts_with(&format!("{heading}\n")) {
        Some(0)
    } else {
        old.find(&format!("\n{heading}\n")).map(|at| at + 1)
    };
    let (before, after) = old.split_at(begin.unwrap_or(old.len()));
    let after = after.get(1..).and_then(|rest| rest.find("\n## ").and_then(|at| rest.get(at + 1..)));
    let parts = [before.trim_end(), section.trim_end(), after.unwrap_or_default().trim_end()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}\n", parts.join("\n\n"))
}

fn of_mode(mode: Mode, options: &Options, subjects: &[Subject], results: &Results) -> Table {
    let field: Vec<Id> = subjects.iter().map(|subject| subject.id).filter(|id| id.runs_in(mode)).collect();
    let mut head = vec![""];
    head.extend(field.iter().map(|id| id.title()));
    let targets = mode.table() == Kind::Transports && !options.smoke;
    if targets {
        head.push("target");
    }
    let mut table = Table::new(&head);
    for &row in &options.rows {
        if field.iter().all(|&id| results.median(mode, row, id).is_none()) {
            continue;
        }
        let mut cells = vec![row.title().to_owned()];
        cells.extend(field.iter().map(|&id| cell(results, mode, row, id)));
        if targets {
            cells.push(targets::beside(results, mode, row).unwrap_or_default());
        }
        table.push(cells);
    }
    table
}

/// A median, with our ratio to it.
fn cell(results: &Results, mode: Mode, row: Row, id: Id) -> String {
    let Some(median) = results.median(mode, row, id) else { return "-".to_owned() };
    let figure = row.format(median);
    let Some(ratio) = results.ratio(mode, row, id) else { return figure };
    match id {
        Id::Ours => figure,
        Id::Again => format!("{figure} ({:.2}–{:.2})", ratio.least, ratio.greatest),
        Id::Direct => format!("{figure} ({:.2})", ratio.median),
        _ => {
            let mark = results.verdict(mode, row, id).map_or("", |verdict| match verdict {
                Verdict::Better => " +",
                Verdict::Even => " =",
                Verdict::Worse => " −",
            });
            format!("{figure} ({:.2}{mark})", ratio.median)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_takes_the_place_of_the_old_one() {
        let text = "# Performance\n\nMethod.\n\n## Results\n\nold\n";
        assert_eq!(replaced(text, "## Results\n\nnew\n"), "# Performance\n\nMethod.\n\n## Results\n\nnew\n");
        assert_eq!(replaced("# Performance\n", "## Results\n"), "# Performance\n\n## Results\n");
        assert_eq!(replaced("## Results\n\nold\n", "## Results\n"), "## Results\n");
        assert_eq!(replaced("", "## Results\n"), "## Results\n");
        let two = "# P\n\n## Results over transports\n\nold\n\n## Results\n\n### a\n";
        let mended = replaced(two, "## Results over transports\n\nnew\n");
        assert_eq!(mended, "# P\n\n## Results over transports\n\nnew\n\n## Results\n\n### a\n");
        assert_eq!(replaced(two, "## Results\n\nnew\n"), two.replace("### a", "new"));
    }

    #[test]
    fn a_row_that_we_lose_is_marked_and_kept() {
        let mut results = Results::default();
        for (id, value) in [(Id::Ours, 10.0), (Id::Again, 10.5), (Id::Haproxy, 20.0), (Id::Original, 5.0)] {
            results.add(Mode::Plain, Row::BulkUp, id, 0, value);
        }
        let cell = |id| cell(&results, Mode::Plain, Row::BulkUp, id);
        assert_eq!(cell(Id::Ours), "10.00");
        assert_eq!(cell(Id::Again), "10.50 (0.95–0.95)");
        assert_eq!(cell(Id::Haproxy), "20.00 (0.50 −)");
        assert_eq!(cell(Id::Original), "5.00 (2.00 +)");
        assert_eq!(cell(Id::Nginx), "-");
    }
}
