//! From a file to a model: find the format, render the template, read, complete (upstream `pkg/config/load.go`).
//!
//! Nothing here checks values: that is [`crate::check`], which the programs call on the completed model.

mod environment;
mod format;
pub(crate) mod include;
mod os_error;
mod select;

use std::path::{Path, PathBuf};

pub use environment::Environment;
pub(crate) use os_error::text as os_error_text;
pub use select::select;

use crate::client::ClientConfig;
use crate::decode::ClientFile;
use crate::legacy;
use crate::proxy::ProxyConfig;
use crate::server::ServerConfig;
use crate::visitor::VisitorConfig;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Refuse unknown keys: `--strict_config`, on by default. INI files ignore them either way.
    pub strict: bool,
    /// What templates and `transport.proxyURL` see.
    pub environment: Environment,
    /// The folder that relative paths start from: the process's current one, except in tests.
    pub base_dir: PathBuf,
}

impl LoadOptions {
    /// Options for this process: strict, with its environment and its current folder.
    #[must_use]
    pub fn from_process() -> Self {
        Self {
            strict: true,
            environment: Environment::from_process(),
            // Without a current folder, relative paths fail where they are used.
            base_dir: std::env::current_dir().unwrap_or_default(),
        }
    }
}

/// A configuration that could not be loaded. Displays as exactly the text that the programs print on stdout, without
/// the last newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// Lines that upstream prints while loading, before the error.
    notices: Vec<String>,
    text: String,
}

impl LoadError {
    /// An error with upstream's text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { notices: Vec::new(), text: text.into() }
    }

    /// The same error after lines that were due before it.
    pub(crate) fn after(mut self, notices: Vec<String>) -> Self {
        self.notices = notices;
        self
    }
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for notice in &self.notices {
            writeln!(f, "{notice}")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for LoadError {}

/// A completed configuration of frps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedServer {
    /// The configuration.
    pub config: ServerConfig,
    /// Whether it came from an INI file.
    pub legacy: bool,
}

/// A configuration of frpc: the common keys are completed; the proxies and visitors are all that the files name, in
/// their order and not completed. [`select`] makes of them what is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedClient {
    /// The common keys.
    pub common: ClientConfig,
    /// All proxies, those of includes last.
    pub proxies: Vec<ProxyConfig>,
    /// All visitors, those of includes last.
    pub visitors: Vec<VisitorConfig>,
    /// Whether they came from an INI file.
    pub legacy: bool,
    /// Lines that upstream prints while loading.
    pub notices: Vec<String>,
}

/// What an INI file of frpc says, converted and not completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LegacyClient {
    pub(crate) common: ClientConfig,
    pub(crate) proxies: Vec<ProxyConfig>,
    pub(crate) visitors: Vec<VisitorConfig>,
    /// Lines that upstream prints while loading.
    pub(crate) notices: Vec<String>,
}

/// Loads and completes a file of frps.
///
/// # Errors
/// The file is at fault, or cannot be read.
pub fn load_server(path: &str, options: &LoadOptions) -> Result<LoadedServer, LoadError> {
    let raw = read(path, options)?;
    let legacy = legacy::detect(&raw);
    let mut config = if legacy {
        legacy::load_server(&String::from_utf8_lossy(&raw), options)?
    } else {
        format::server(&raw, path, options)?
    };
    config.complete();
    Ok(LoadedServer { config, legacy })
}

/// Loads a file of frpc with its includes.
///
/// # Errors
/// The file or an include is at fault, or cannot be read.
pub fn load_client(path: &str, options: &LoadOptions) -> Result<LoadedClient, LoadError> {
    let raw = read(path, options)?;
    let mut loaded = if legacy::detect(&raw) {
        let LegacyClient { common, proxies, visitors, notices } =
            legacy::load_client(&String::from_utf8_lossy(&raw), options)?;
        LoadedClient { common, proxies, visitors, legacy: true, notices }
    } else {
        let ClientFile { common, mut proxies, mut visitors } = format::client(&raw, path, options)?;
        for file in include::load(&common.includes, options)? {
            proxies.extend(file.proxies);
            visitors.extend(file.visitors);
        }
        LoadedClient { common, proxies, visitors, legacy: false, notices: Vec::new() }
    };
    loaded.common.complete(&options.environment);
    no_duplicates("proxy", loaded.proxies.iter().map(ProxyConfig::name))?;
    no_duplicates("visitor", loaded.visitors.iter().map(VisitorConfig::name))?;
    Ok(loaded)
}

fn read(path: &str, options: &LoadOptions) -> Result<Vec<u8>, LoadError> {
    std::fs::read(options.base_dir.join(path)).map_err(|error| LoadError::new(read_error(path, &error)))
}

/// The text of a file that cannot be read, as Go words it.
pub(crate) fn read_error(path: &str, error: &std::io::Error) -> String {
    let operation = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
    format!("{operation} {path}: {}", os_error_text(error))
}

fn no_duplicates<'a>(kind: &str, names: impl Iterator<Item = &'a str>) -> Result<(), LoadError> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(LoadError::new(format!("{kind} name [{name}] is duplicated")));
        }
    }
    Ok(())
}

/// A file's extension in lower case, with its dot, as Go's `filepath.Ext` finds it.
fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').and_then(|at| name.get(at..)).unwrap_or_default().to_lowercase()
}

/// The absolute form of a path, without `.` and `..`.
pub(crate) fn absolute(path: &str, base_dir: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in base_dir.join(path).components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
