//! What the programs do with a file before they start: load, check, and say what upstream says, in its order.

use crate::check::{self, Circumstances, UnsafeFeatures};
use crate::client::ClientConfig;
use crate::feature::FeatureGates;
use crate::load::{LoadError, LoadOptions, LoadedClient, load_client, load_server, select};
use crate::proxy::ProxyConfig;
use crate::server::ServerConfig;
use crate::store::{self, Store};
use crate::visitor::VisitorConfig;

/// What both programs print when their file is INI.
pub const LEGACY_WARNING: &str = "WARNING: ini format is deprecated and the support will be removed in the future, \
    please use yaml/json/toml format instead!";

/// A client that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedClient {
    /// The common keys, completed.
    pub common: ClientConfig,
    /// The proxies to run, by name and completed.
    pub proxies: Vec<ProxyConfig>,
    /// The visitors to run, by name and completed.
    pub visitors: Vec<VisitorConfig>,
}

/// Loads and checks a file of frps. The lines to print on stdout before anything else are added to `lines`; they are
/// due even when an error follows.
///
/// # Errors
/// The file is at fault, or cannot be read; print the text and exit with 1.
pub fn prepare_server(
    path: &str,
    options: &LoadOptions,
    allowed: &UnsafeFeatures,
    lines: &mut Vec<String>,
) -> Result<ServerConfig, LoadError> {
    let loaded = load_server(path, options)?;
    if loaded.legacy {
        lines.push(LEGACY_WARNING.to_owned());
    }
    check::server(&loaded.config, allowed).map_err(|error| LoadError::new(error.to_string()))?;
    Ok(loaded.config)
}

/// Loads and checks a file of frpc together with its store: first start and reload alike. The lines to print on
/// stdout before anything else are added to `lines`; they are due even when an error follows.
///
/// # Errors
/// The files are at fault, or cannot be read; print the text and exit with 1.
pub fn prepare_client(
    path: &str,
    options: &LoadOptions,
    allowed: &UnsafeFeatures,
    lines: &mut Vec<String>,
) -> Result<PreparedClient, LoadError> {
    let LoadedClient { common, proxies, visitors, legacy, notices } = load_client(path, options)?;
    lines.extend(notices);
    if legacy {
        lines.push(LEGACY_WARNING.to_owned());
    }
    let gates =
        FeatureGates::new(&common.feature_gates).map_err(|error| LoadError::new(error.to_string()))?;
    // An unnamed entry of the file is found before the store is opened.
    let (proxies, visitors) = Store::default()
        .merge(proxies, visitors)
        .map_err(|error| LoadError::new(format!("failed to set config source: {error}")))?;
    let store = if common.store.path.is_empty() {
        Store::default()
    } else {
        Store::load(&store::path(&common.store.path, path), &options.base_dir)
            .map_err(|error| LoadError::new(format!("failed to create store source: {error}")))?
    };
    let (proxies, visitors) = store
        .merge(proxies, visitors)
        .map_err(|error| LoadError::new(format!("failed to load config from sources: {error}")))?;
    let (proxies, visitors) = select(&common, proxies, visitors);
    let circumstances = Circumstances { allowed, gates: &gates, base_dir: &options.base_dir };
    let (warnings, outcome) = check::client(&common, &proxies, &visitors, circumstances);
    if !warnings.is_empty() {
        lines.push(format!("WARNING: {}", warnings.join("\n")));
    }
    outcome.map_err(|error| LoadError::new(error.to_string()))?;
    Ok(PreparedClient { common, proxies, visitors })
}
