//! The command lines of frps and frpc: from words to a checked configuration that is ready to run, or to the text that
//! is printed instead.
//!
//! Upstream's command lines are made with `spf13/cobra` and `spf13/pflag`, and scripts lean on their rules: `_` and `-`
//! are the same in flag names, booleans take no word of their own, errors go to stderr with the usage while failures of
//! the configuration go to stdout without. Flags are defined once, in the tables of `flags`; clap turns the plain
//! command line that those rules leave into values, and writes the completion scripts.
//!
//! What it must never do: start anything, open a socket, end the process, or print before it is told to
//! ([`Exit::print`]).
//!
//! # Map
//!
//! - [`frps`], [`frpc`]: the commands of each program; start here
//! - `files`: the files of a directory
//! - `flags`: the tables of flags and what each sets
//! - `command`: the tree of commands
//! - `parse`: words to commands and values: `find` (which command), `words` (which flags), `matches` (clap)
//! - `usage`: help texts
//! - `go`: numbers, truth values, durations, lists as Go reads them
//! - [`Exit`]: an end that the command line alone decides
#![forbid(unsafe_code)]

mod command;
mod exit;
mod files;
mod flags;
pub mod frpc;
pub mod frps;
mod go;
mod parse;
mod usage;

use std::ffi::OsString;

use frp_config::common::LogConfig;
use frp_log::LogOptions;

pub use exit::Exit;
pub use flags::root::Globals;

/// The release of the original that both programs behave like: `-v` prints exactly this, and each tells its peer.
pub const COMPATIBLE_VERSION: &str = "0.70.1";

/// The version of both programs; `--help` and the first log line show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The `log` keys of a checked configuration, as the log takes them.
#[must_use]
pub fn log_options(config: &LogConfig) -> LogOptions {
    LogOptions {
        to: config.to.clone(),
        // The check has refused all other words.
        level: config.level.parse().unwrap_or_default(),
        max_days: config.max_days,
        disable_print_color: config.disable_print_color,
    }
}

/// The words of a command line without the program's name. Bytes that are no UTF-8 become U+FFFD.
fn words(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    arguments.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}
