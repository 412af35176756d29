//! The commands of frpc (upstream `cmd/frpc/sub`).

use std::ffi::OsString;
use std::path::Path;

use frp_config::check::{self, Circumstances, UnsafeFeatures};
use frp_config::feature::FeatureGates;
use frp_config::run::{self, PreparedClient};
use frp_config::{
    ClientConfig, LoadOptions, Program, ProxyConfig, ProxyType, VisitorBase, VisitorConfig, VisitorType,
    load_client,
};

use crate::command::Command;
use crate::exit::{self, Exit};
use crate::flags::proxy::{self, ProxyArguments};
use crate::flags::root::{self, Globals};
use crate::flags::{admin, common, specs, visitor};
use crate::parse::{self, Parsed, Values};
use crate::{COMPATIBLE_VERSION, VERSION, files};

/// What the command line asks for.
#[derive(Debug)]
pub enum FrpcCommand {
    /// Run with this file.
    RunFile(Globals),
    /// Run one client for each file of a directory.
    RunDirectory(Globals),
    /// Run with one proxy or visitor from flags. Nothing is completed.
    RunFlags(Globals, Box<ClientConfig>, Entry),
    /// Check the file.
    Verify(Globals),
    /// `reload`, `status` or `stop`: talk to a running client whose configuration is this file.
    Admin(Globals, &'static str),
    /// `nathole discover`.
    NatHoleDiscover,
}

/// What a single-proxy command describes.
#[derive(Debug)]
pub enum Entry {
    /// `frpc <type>`
    Proxy(Box<ProxyConfig>),
    /// `frpc <type> visitor`
    Visitor(Box<VisitorConfig>),
}

/// A client that is ready to run: completed and checked.
#[derive(Debug)]
pub struct ClientRun {
    /// What to run.
    pub client: PreparedClient,
    /// Path of the file it comes from; `None` with flags.
    pub config_file: Option<String>,
    /// Warnings for stdout, to be printed before anything else; empty or whole lines.
    pub notices: String,
}

/// What there is to run.
#[derive(Debug)]
pub enum Runs {
    /// One client; when it fails, so does the program.
    One(Box<ClientRun>),
    /// One client for each file. A file that is refused, or whose client fails, gets the line of
    /// [`failed_in_directory`], and the exit code is 0 when all have ended.
    Directory(Vec<DirectoryEntry>),
}

/// A file of `--config_dir`.
#[derive(Debug)]
pub struct DirectoryEntry {
    /// Its path.
    pub path: String,
    /// What is in it; `None` if it is refused.
    pub run: Option<Box<ClientRun>>,
}

/// What is printed for a client of `--config_dir` that fails, and all that is.
#[must_use]
pub fn failed_in_directory(path: &str) -> String {
    format!("frpc service error for config file [{path}]\n")
}

/// Reads a command line, the program's name first.
///
/// # Errors
///
/// Everything that ends without looking at a configuration: mistakes, help, the version, completion scripts.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<FrpcCommand, Exit> {
    let root = tree();
    let Parsed { path, values } = parse::parse(&root, &crate::words(arguments))?;
    let mut globals = Globals::default();
    values.apply(&[root::FRPC], &mut globals);
    Ok(match path.names().as_slice() {
        [] if globals.version => return Err(Exit::answer(format!("{COMPATIBLE_VERSION}\n"))),
        [] if !globals.config_dir.is_empty() => FrpcCommand::RunDirectory(globals),
        ["verify"] => FrpcCommand::Verify(globals),
        [name @ ("reload" | "status" | "stop")] => FrpcCommand::Admin(globals, name),
        ["nathole", ..] => FrpcCommand::NatHoleDiscover,
        [kind, rest @ ..] => match entry(kind, rest, &values) {
            Some(entry) => FrpcCommand::RunFlags(globals, Box::new(common(&values)), entry),
            None => FrpcCommand::RunFile(globals),
        },
        [] => FrpcCommand::RunFile(globals),
    })
}

fn common(values: &Values) -> ClientConfig {
    let mut config = ClientConfig::default();
    values.apply(&[common::CONNECTION, common::IDENTITY], &mut config);
    config
}

fn entry(kind: &str, rest: &[&str], values: &Values) -> Option<Entry> {
    if rest.is_empty() {
        let kind = ProxyType::from_name(kind)?;
        let mut arguments = ProxyArguments::default();
        values.apply(&[proxy::LABELS, proxy::LOCAL], &mut arguments);
        values.apply(proxy::tables(kind), &mut arguments);
        return Some(Entry::Proxy(Box::new(arguments.into_config(kind))));
    }
    let mut config = VisitorConfig::new(VisitorType::from_name(kind)?);
    let mut base = VisitorBase::default();
    values.apply(&[visitor::TABLE], &mut base);
    *config.base_mut() = base;
    Some(Entry::Visitor(Box::new(config)))
}

impl FrpcCommand {
    /// Loads, completes and checks. The flag `--strict_config` replaces what `options` say of it.
    ///
    /// # Errors
    ///
    /// A configuration that is refused, and the verdict of `verify`.
    pub fn prepare(self, options: &LoadOptions) -> Result<Runs, Exit> {
        match self {
            Self::RunFile(globals) => {
                let path = globals.config.clone();
                from_file(path, globals, options).map(|run| Runs::One(Box::new(run)))
            }
            Self::RunDirectory(globals) => Ok(Runs::Directory(directory(&globals, options))),
            Self::RunFlags(globals, common, entry) => {
                from_flags(globals, *common, entry, options).map(|run| Runs::One(Box::new(run)))
            }
            Self::Verify(globals) => Err(globals.verify(Program::Client, options)),
            Self::Admin(globals, name) => Err(admin(&globals, name, options)),
            Self::NatHoleDiscover => Err(not_built("nathole discover")),
        }
    }
}

fn from_file(path: String, globals: Globals, options: &LoadOptions) -> Result<ClientRun, Exit> {
    refuse_no_path(&path)?;
    let options = globals.options(options);
    let allowed = UnsafeFeatures::allow(globals.allow_unsafe);
    let mut lines = Vec::new();
    let client = run::prepare_client(&path, &options, &allowed, &mut lines);
    let notices = exit::lines(&lines);
    let client = client.map_err(|error| Exit::failure(error).after(&notices))?;
    Ok(ClientRun { client, config_file: Some(path), notices })
}

/// `-c ""` names no file, and the folder that relative paths start from would be read in its place.
fn refuse_no_path(path: &str) -> Result<(), Exit> {
    if path.is_empty() { Err(Exit::failure("open : no such file or directory")) } else { Ok(()) }
}

/// The files of `--config_dir`: every one below it. A directory that cannot be read has none.
fn directory(globals: &Globals, options: &LoadOptions) -> Vec<DirectoryEntry> {
    files::below(&globals.config_dir, &options.base_dir)
        .into_iter()
        .map(|path| {
            let run = from_file(path.clone(), globals.clone(), options).ok().map(Box::new);
            DirectoryEntry { path, run }
        })
        .collect()
}

fn from_flags(
    globals: Globals,
    mut common: ClientConfig,
    entry: Entry,
    options: &LoadOptions,
) -> Result<ClientRun, Exit> {
    common.complete(&options.environment);
    let allowed = UnsafeFeatures::allow(globals.allow_unsafe);
    let gates = FeatureGates::default();
    let circumstances = Circumstances { allowed: &allowed, gates: &gates, base_dir: Path::new("") };
    // Warnings are dropped here, as upstream does.
    check::common(&common, circumstances).1.map_err(Exit::failure)?;
    let mut client = PreparedClient { common, proxies: Vec::new(), visitors: Vec::new() };
    match entry {
        Entry::Proxy(mut proxy) => {
            proxy.complete();
            proxy.check_for_client().map_err(Exit::failure)?;
            if proxy.kind() == ProxyType::Xtcp {
                return Err(not_built("xtcp"));
            }
            client.proxies.push(*proxy);
        }
        Entry::Visitor(mut visitor) => {
            visitor.complete();
            visitor.check().map_err(Exit::failure)?;
            if visitor.kind() == VisitorType::Xtcp {
                return Err(not_built("xtcp visitor"));
            }
            client.visitors.push(*visitor);
        }
    }
    Ok(ClientRun { client, config_file: None, notices: String::new() })
}

/// `reload`, `status` and `stop` go as far as the running client, which cannot be reached yet.
fn admin(globals: &Globals, name: &str, options: &LoadOptions) -> Exit {
    if let Err(exit) = refuse_no_path(&globals.config) {
        return exit;
    }
    match load_client(&globals.config, &globals.options(options)) {
        Err(error) => Exit::failure(error),
        Ok(loaded) if loaded.common.web_server.port <= 0 => {
            Exit::failure("web server port should be set if you want to use this feature")
        }
        Ok(_) => not_built(name),
    }
}

fn not_built(command: &str) -> Exit {
    Exit::failure(format!("the command frpc {command} is not supported yet by this version"))
}

/// The commands of frpc, in the order in which upstream's suggestions name them.
fn tree() -> Command {
    let admin = [
        ("reload", "Make the running client read its configuration again"),
        ("status", "Show the proxies of the running client"),
        ("stop", "End the running client"),
    ]
    .map(|(name, about)| Command { local: specs(admin::ADMIN).collect(), ..Command::new(name, about) });
    let nathole = Command {
        persistent: specs(admin::NAT_HOLE).collect(),
        commands: vec![Command::new("discover", "Find out what kind of NAT this machine is behind")],
        runnable: false,
        ..Command::new("nathole", "Find out about NATs")
    };
    let mut commands: Vec<_> = admin.into();
    commands.push(nathole);
    commands.extend(PROXY_TYPES.map(proxy_command));
    commands.push(Command::new("verify", "Check a configuration file without running it"));
    Command {
        long: format!("frpc {VERSION}: the client of frp, compatible with release {COMPATIBLE_VERSION}."),
        persistent: specs(root::FRPC).collect(),
        commands,
        ..Command::new("frpc", "The client of frp")
    }
    .with_help_and_completion()
}

/// In upstream's order, which suggestions show.
const PROXY_TYPES: [ProxyType; 8] = [
    ProxyType::Tcp,
    ProxyType::Udp,
    ProxyType::Tcpmux,
    ProxyType::Http,
    ProxyType::Https,
    ProxyType::Stcp,
    ProxyType::Sudp,
    ProxyType::Xtcp,
];

fn proxy_command(kind: ProxyType) -> Command {
    let own = specs(proxy::LABELS).chain(specs(proxy::LOCAL));
    let visitors = VisitorType::from_name(kind.as_str()).map(|kind| Command {
        local: specs(visitor::TABLE).collect(),
        ..Command::new("visitor", format!("Run a client with a single {kind} visitor from flags"))
    });
    Command {
        local: own.chain(proxy::tables(kind).iter().flat_map(|table| specs(table))).collect(),
        persistent: specs(common::CONNECTION).chain(specs(common::IDENTITY)).collect(),
        commands: visitors.into_iter().collect(),
        ..Command::new(kind.as_str(), format!("Run a client with a single {kind} proxy from flags"))
    }
}
