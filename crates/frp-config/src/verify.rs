//! The `verify` command of both programs.

use crate::check::{self, Circumstances, UnsafeFeatures};
use crate::feature::FeatureGates;
use crate::load::{LoadError, LoadOptions, load_client, load_server, select};

/// Which program's file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// frps
    Server,
    /// frpc
    Client,
}

impl Program {
    /// The program's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "frps",
            Self::Client => "frpc",
        }
    }
}

/// What a command prints on stdout, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The text, with its last newline.
    pub stdout: String,
    /// 0 or 1.
    pub exit: u8,
}

/// Verifies a file: loads and checks it as the program would, and opens nothing else. Everything that upstream
/// accepts is accepted, whether it is built or not.
#[must_use]
pub fn verify(program: Program, path: &str, options: &LoadOptions, allowed: &UnsafeFeatures) -> Verdict {
    let name = program.name();
    if path.is_empty() {
        return Verdict { stdout: format!("{name}: the configuration file is not specified\n"), exit: 0 };
    }
    let mut stdout = String::new();
    let outcome = match program {
        Program::Server => server(path, options, allowed),
        Program::Client => client(path, options, allowed, &mut stdout),
    };
    let exit = match outcome {
        Ok(()) => {
            stdout.push_str(&format!("{name}: the configuration file {path} syntax is ok\n"));
            0
        }
        Err(error) => {
            stdout.push_str(&format!("{error}\n"));
            1
        }
    };
    Verdict { stdout, exit }
}

fn server(path: &str, options: &LoadOptions, allowed: &UnsafeFeatures) -> Result<(), LoadError> {
    let loaded = load_server(path, options)?;
    check::server(&loaded.config, allowed).map_err(|error| LoadError::new(error.to_string()))
}

fn client(
    path: &str,
    options: &LoadOptions,
    allowed: &UnsafeFeatures,
    stdout: &mut String,
) -> Result<(), LoadError> {
    let loaded = load_client(path, options)?;
    for notice in &loaded.notices {
        stdout.push_str(&format!("{notice}\n"));
    }
    let (proxies, visitors) = select(&loaded.common, loaded.proxies, loaded.visitors);
    // As with upstream, verifying switches no feature gate on.
    let gates = FeatureGates::default();
    let circumstances = Circumstances { allowed, gates: &gates, base_dir: &options.base_dir };
    let (warnings, outcome) = check::client(&loaded.common, &proxies, &visitors, circumstances);
    if !warnings.is_empty() {
        stdout.push_str(&format!("WARNING: {}\n", warnings.join("\n")));
    }
    outcome.map_err(|error| LoadError::new(error.to_string()))
}
