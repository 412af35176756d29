//! One line as bytes (upstream: `fatedier/golib` v0.8.1, package `log`, files `log.go`, `format.go`,
//! `output_console.go`).

use crate::options::Level;
use chrono::{DateTime, Datelike, FixedOffset, Timelike};
use std::fmt::Write;

/// Starts a line: time, level letter and caller, each followed by a blank.
pub(crate) fn header(line: &mut String, at: DateTime<FixedOffset>, level: Level, caller: (&str, u32)) {
    // Nanoseconds run to 1_999_999_999 during a leap second; the original never shows more than 999 ms.
    let milliseconds = (at.nanosecond() / 1_000_000).min(999);
    let (file, number) = caller;
    // Writing to a `String` cannot fail.
    let _ = write!(
        line,
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{milliseconds:03} [{}] [{}:{number}] ",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        level.letter(),
        short_path(file),
    );
}

/// The last directory and the file name; a directory `src` gives way to the crate's, since in Rust it says nothing.
fn short_path(file: &str) -> ShortPath<'_> {
    let mut parts = file.rsplit(['/', '\\']);
    let name = parts.next().unwrap_or(file);
    let directory = parts.find(|part| *part != "src" && !part.is_empty());
    ShortPath { directory, name }
}

struct ShortPath<'a> {
    directory: Option<&'a str>,
    name: &'a str,
}

impl std::fmt::Display for ShortPath<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(directory) = self.directory {
            write!(formatter, "{directory}/")?;
        }
        formatter.write_str(self.name)
    }
}

/// Appends text and escapes control characters on the way (all but the tab), so that a name or message chosen by a
/// peer can neither forge a line nor move a terminal's cursor. The original writes them as they are.
pub(crate) struct Escaped<'a>(pub(crate) &'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if !text.contains(needs_escape) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            if needs_escape(character) {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

fn needs_escape(character: char) -> bool {
    character.is_control() && character != '\t'
}

/// What the original's console puts before a line of this level; what follows the line is [`COLOUR_END`].
pub(crate) fn colour_start(level: Level) -> &'static str {
    match level {
        Level::Trace => "",
        Level::Debug => "\x1b[1;36m",
        Level::Info => "\x1b[1;34m",
        Level::Warn => "\x1b[1;33m",
        Level::Error => "\x1b[1;31m",
    }
}

/// Ends the colour of a line; stands after the line break, as in the original.
pub(crate) const COLOUR_END: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(at: &str, level: Level, file: &str) -> String {
        let mut line = String::new();
        header(&mut line, DateTime::parse_from_rfc3339(at).unwrap(), level, (file, 7));
        line
    }

    #[test]
    fn the_header_has_local_time_letter_and_caller() {
        let at = "2026-01-02T03:04:05.006+01:00";
        assert_eq!(
            header_of(at, Level::Info, "crates/frps/src/server.rs"),
            "2026-01-02 03:04:05.006 [I] [frps/server.rs:7] "
        );
        assert_eq!(
            header_of(at, Level::Trace, "crates/frps/src/control/mod.rs"),
            "2026-01-02 03:04:05.006 [T] [control/mod.rs:7] "
        );
        assert_eq!(
            header_of(at, Level::Error, r"crates\frpc\src\lib.rs"),
            "2026-01-02 03:04:05.006 [E] [frpc/lib.rs:7] "
        );
        assert_eq!(header_of(at, Level::Warn, "build.rs"), "2026-01-02 03:04:05.006 [W] [build.rs:7] ");
    }

    #[test]
    fn a_leap_second_keeps_three_digits() {
        assert_eq!(
            header_of("2016-12-31T23:59:60.500Z", Level::Debug, "a/b.rs"),
            "2016-12-31 23:59:59.999 [D] [a/b.rs:7] "
        );
    }

    #[test]
    fn control_characters_are_escaped_and_other_text_is_kept() {
        let mut line = String::new();
        write!(Escaped(&mut line), "a\n\x1b[2J\tö\u{9b}\x7f").unwrap();
        assert_eq!(line, "a\\n\\u{1b}[2J\tö\\u{9b}\\u{7f}");
    }
}
