//! Which programs a run tests.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `FRP_SERVER` | `ours`, or a release of the original such as `v0.70.1` | `ours` |
//! | `FRP_CLIENT` | likewise | `ours` |
//! | `FRP_REF` | the folder of the releases: it holds `vX.Y.Z/frps` and `vX.Y.Z/frpc` | none; needed for a release |
//! | `FRP_BIN` | a folder that holds our own `frps` and `frpc` | built by cargo, with the profile of the tests |

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server.
    Frps,
    /// The client.
    Frpc,
}

impl Role {
    /// Its file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frps => "frps",
            Self::Frpc => "frpc",
        }
    }
}

/// Who made a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// This repository.
    Ours,
    /// The original, of that release (`v0.70.1`).
    Original(String),
}

impl Maker {
    /// The maker that the environment chose for `role`.
    #[must_use]
    pub fn from_env(role: Role) -> Self {
        let variable = match role {
            Role::Frps => "FRP_SERVER",
            Role::Frpc => "FRP_CLIENT",
        };
        match env::var(variable) {
            Err(_) => Self::Ours,
            Ok(ours) if ours.is_empty() || ours == "ours" => Self::Ours,
            // A word that is no release is found out when its program is not there.
            Ok(release) => Self::Original(release),
        }
    }

    /// The executable of `role`.
    ///
    /// # Errors
    /// Ours cannot be built, or `FRP_REF` does not hold the release.
    pub fn executable(&self, role: Role) -> Result<PathBuf> {
        match self {
            Self::Ours => ours(role),
            Self::Original(release) => {
                let folder =
                    env::var_os("FRP_REF").context("FRP_REF names no folder of the original's binaries")?;
                let path = PathBuf::from(folder).join(release).join(role.name());
                ensure!(path.is_file(), "{} is not there", path.display());
                Ok(path)
            }
        }
    }
}

/// The release that we follow.
pub const CURRENT: &str = "v0.70.1";

/// Whether the program of `role` in this run is of a release before [`CURRENT`], which says some things in other words.
#[must_use]
pub fn is_old(role: Role) -> bool {
    matches!(Maker::from_env(role), Maker::Original(release) if release != CURRENT)
}

/// Whether both sides of this run are ours.
#[must_use]
pub fn both_ours() -> bool {
    Maker::from_env(Role::Frps) == Maker::Ours && Maker::from_env(Role::Frpc) == Maker::Ours
}

/// Our program, built once for the test process with the profile the tests were built with.
fn ours(role: Role) -> Result<PathBuf> {
    if let Some(folder) = env::var_os("FRP_BIN") {
        return Ok(PathBuf::from(folder).join(role.name()));
    }
    static FOLDER: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let folder = folder.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(folder.join(role.name()))
}

/// `target/debug` or `target/release`, with both programs in it.
fn build() -> Result<PathBuf> {
    let this = env::current_exe().context("find this program")?;
    let mut folder = this.parent().context("a program lies in a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("tests lie in target/<profile>/deps")?;
    }
    let release = folder.file_name().is_some_and(|name| name == "release");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", "frps", "-p", "frpc"]);
    if release {
        cargo.arg("--release");
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    ensure!(cargo.status().context("run cargo build")?.success(), "cargo build failed");
    Ok(folder.to_owned())
}
