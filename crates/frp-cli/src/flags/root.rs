//! Flags of every command: where the configuration is and how it is read.

use frp_config::{LoadOptions, Program, UnsafeFeatures, verify};

use super::{Flag, Set};
use crate::exit::Exit;

/// What the flags of the root command say, on whichever command they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globals {
    /// Path of the configuration file. Default: none for frps, `./frpc.ini` for frpc.
    pub config: String,
    /// Refuse unknown keys. Default true.
    pub strict: bool,
    /// Names of the unsafe features that the configuration may use (`TokenSourceExec`).
    pub allow_unsafe: Vec<String>,
    /// frpc: run a client for each file of this directory. Empty: no directory.
    pub config_dir: String,
    /// Print the version and end.
    pub(crate) version: bool,
}

impl Globals {
    /// How to load by these flags.
    pub(crate) fn options(&self, options: &LoadOptions) -> LoadOptions {
        LoadOptions { strict: self.strict, ..options.clone() }
    }

    /// The command `verify`.
    pub(crate) fn verify(self, program: Program, options: &LoadOptions) -> Exit {
        let options = self.options(options);
        let allowed = UnsafeFeatures::allow(self.allow_unsafe);
        let verdict = verify(program, &self.config, &options, &allowed);
        Exit { stdout: verdict.stdout, stderr: String::new(), code: verdict.exit }
    }
}

pub(crate) const FRPS: &[Flag<Globals>] = &[
    Flag {
        name: "config",
        short: Some('c'),
        default: "",
        help: "configuration file; the flags that configure the server are ignored with it",
        set: Set::Text(|globals, value| globals.config = value),
    },
    VERSION,
    STRICT_CONFIG,
    ALLOW_UNSAFE,
];

pub(crate) const FRPC: &[Flag<Globals>] = &[
    Flag {
        name: "config",
        short: Some('c'),
        default: "./frpc.ini",
        help: "configuration file",
        set: Set::Text(|globals, value| globals.config = value),
    },
    Flag {
        name: "config-dir",
        short: None,
        default: "",
        help: "run one client for each file in this directory and those below it",
        set: Set::Text(|globals, value| globals.config_dir = value),
    },
    VERSION,
    STRICT_CONFIG,
    ALLOW_UNSAFE,
];

const VERSION: Flag<Globals> = Flag {
    name: "version",
    short: Some('v'),
    default: "",
    help: "print the version of frp that this program is compatible with",
    set: Set::Bool(|globals, value| globals.version = value),
};

const STRICT_CONFIG: Flag<Globals> = Flag {
    name: "strict-config",
    short: None,
    default: "true",
    help: "take unknown keys in the configuration for errors",
    set: Set::Bool(|globals, value| globals.strict = value),
};

const ALLOW_UNSAFE: Flag<Globals> = Flag {
    name: "allow-unsafe",
    short: None,
    default: "",
    help: "unsafe features that the configuration may use; there is one: TokenSourceExec",
    set: Set::List(|globals, value| globals.allow_unsafe = value),
};
