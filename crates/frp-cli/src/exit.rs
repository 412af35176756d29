//! An end of the program that the command line alone decides.

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
