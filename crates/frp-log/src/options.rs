//! What the configuration says about the log, as plain values.

use std::fmt;
use std::str::FromStr;

/// How much is logged. The order is that of verbosity: a level includes those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Every step; letter `T`.
    Trace,
    /// Connections and heartbeats; letter `D`.
    Debug,
    /// The life of clients and proxies; letter `I`. The default.
    #[default]
    Info,
    /// Things refused or lost; letter `W`.
    Warn,
    /// Our own failures; letter `E`.
    Error,
}

impl Level {
    /// The letter between brackets in a line.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Trace => 'T',
            Self::Debug => 'D',
            Self::Info => 'I',
            Self::Warn => 'W',
            Self::Error => 'E',
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            _ => Self::Error,
        }
    }

    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// The word is none of `trace`, `debug`, `info`, `warn`, `error` (upper case counts as unknown).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid log level, optional values are [trace debug info warn error]")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(word: &str) -> Result<Self, UnknownLevel> {
        Ok(match word {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => return Err(UnknownLevel),
        })
    }
}

/// The `log.*` keys of both programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// `console` for stdout, else the path of a file (created 0600 at the first line, its directories 0755; what cannot
    /// be opened or written is silently dropped). Default `console`.
    pub to: String,
    /// Default info.
    pub level: Level,
    /// Rotated files older than this many days of 24 hours are deleted at the next rotation; 0 or less keeps all.
    /// Default 3.
    pub max_days: i64,
    /// Leaves out the colours of console lines. Colours do not depend on stdout being a terminal. Default false.
    pub disable_print_color: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { to: "console".to_owned(), level: Level::Info, max_days: 3, disable_print_color: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_written_by_the_configuration() {
        for word in ["trace", "debug", "info", "warn", "error"] {
            assert_eq!(word.parse::<Level>().unwrap().to_string(), word);
        }
        assert_eq!("INFO".parse::<Level>(), Err(UnknownLevel));
        assert!(Level::Trace < Level::Error);
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error] {
            assert_eq!(Level::from_number(level as u8), level);
        }
    }
}
