//! The commands of frps (upstream `cmd/frps`).

use std::ffi::OsString;

use frp_config::check::{self, UnsafeFeatures};
use frp_config::{LoadOptions, Program, ServerConfig, run};

use crate::command::Command;
use crate::exit::{self, Exit};
use crate::flags::root::{self, Globals};
use crate::flags::{server, specs};
use crate::parse::{self, Parsed};
use crate::{COMPATIBLE_VERSION, VERSION};

/// What the command line asks for.
#[derive(Debug)]
pub enum FrpsCommand {
    /// Run with this file.
    RunFile(Globals),
    /// Run without a file, with what the flags say. Not completed.
    RunFlags(Globals, Box<ServerConfig>),
    /// Check the file.
    Verify(Globals),
}

/// A server that is ready to run: completed and checked.
#[derive(Debug)]
pub struct ServerRun {
    /// The configuration.
    pub config: Box<ServerConfig>,
    /// Path of the file it comes from; `None` with flags.
    pub config_file: Option<String>,
    /// Warnings for stdout, to be printed before anything else; empty or whole lines.
    pub notices: String,
}

/// Reads a command line, the program's name first.
///
/// # Errors
///
/// Everything that ends without looking at a configuration: mistakes, help, the version, completion scripts.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<FrpsCommand, Exit> {
    let root = tree();
    let Parsed { path, values } = parse::parse(&root, &crate::words(arguments))?;
    let mut globals = Globals::default();
    values.apply(&[root::FRPS], &mut globals);
    if path.names() == ["verify"] {
        return Ok(FrpsCommand::Verify(globals));
    }
    if globals.version {
        return Err(Exit::answer(format!("{COMPATIBLE_VERSION}\n")));
    }
    if !globals.config.is_empty() {
        return Ok(FrpsCommand::RunFile(globals));
    }
    let mut config = Box::<ServerConfig>::default();
    values.apply(&[server::TABLE], &mut config);
    Ok(FrpsCommand::RunFlags(globals, config))
}

impl FrpsCommand {
    /// Loads, completes and checks. The flag `--strict_config` replaces what `options` say of it.
    ///
    /// # Errors
    ///
    /// A configuration that is refused, and the verdict of `verify`.
    pub fn prepare(self, options: &LoadOptions) -> Result<ServerRun, Exit> {
        match self {
            Self::RunFile(globals) => {
                let options = globals.options(options);
                let allowed = UnsafeFeatures::allow(globals.allow_unsafe);
                let mut lines = Vec::new();
                let config = run::prepare_server(&globals.config, &options, &allowed, &mut lines);
                let notices = exit::lines(&lines);
                let config = config.map_err(|error| Exit::failure(error).after(&notices))?;
                Ok(ServerRun { config: Box::new(config), config_file: Some(globals.config), notices })
            }
            Self::RunFlags(globals, mut config) => {
                config.complete();
                let allowed = UnsafeFeatures::allow(globals.allow_unsafe);
                check::server(&config, &allowed).map_err(Exit::failure)?;
                Ok(ServerRun { config, config_file: None, notices: String::new() })
            }
            Self::Verify(globals) => Err(globals.verify(Program::Server, options)),
        }
    }
}

/// The commands of frps.
fn tree() -> Command {
    Command {
        long: format!("frps {VERSION}: the server of frp, compatible with release {COMPATIBLE_VERSION}."),
        persistent: specs(root::FRPS).chain(specs(server::TABLE)).collect(),
        commands: vec![Command::new("verify", "Check a configuration file without running it")],
        ..Command::new("frps", "The server of frp")
    }
    .with_help_and_completion()
}
