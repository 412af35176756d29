//! An end of the program that the command line alone decides.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long to wait for a stdout that nobody reads. Nobody has asked the program to end quickly here, so this is
/// longer than the wait after a signal.
const PRINT_TIMEOUT: Duration = Duration::from_secs(2);

/// What to print, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Text for stdout, with its line breaks.
    pub stdout: String,
    /// Text for stderr, with its line breaks.
    pub stderr: String,
    /// 0 or 1.
    pub code: u8,
}

impl Exit {
    /// A text that was asked for: help, a version, a verdict. Exit code 0.
    pub(crate) fn answer(stdout: String) -> Self {
        Self { stdout, ..Self::default() }
    }

    /// A failure after the command line was understood: the bare message on stdout, as the original has it. Exit
    /// code 1.
    #[must_use]
    pub fn failure(message: impl std::fmt::Display) -> Self {
        Self { stdout: format!("{message}\n"), stderr: String::new(), code: 1 }
    }

    /// A command line that is not understood. Exit code 1.
    pub(crate) fn misuse(stderr: String) -> Self {
        Self { stdout: String::new(), stderr, code: 1 }
    }

    /// Prints both texts and gives the exit code. Text for stdout takes its turn behind log lines, and a stalled
    /// stdout costs it: nothing here waits for longer than two seconds.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        frp_log::print(&self.stdout);
        frp_log::flush(PRINT_TIMEOUT);
        // Where stderr is closed there is nobody to tell.
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        ExitCode::from(self.code)
    }

    /// Puts text before what goes to stdout.
    #[must_use]
    pub(crate) fn after(mut self, stdout: &str) -> Self {
        self.stdout.insert_str(0, stdout);
        self
    }
}

/// Each with its line break.
pub(crate) fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
