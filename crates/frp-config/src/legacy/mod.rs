//! INI files, turned into the current model (upstream `pkg/config/legacy`).
//!
//! Upstream reads INI into structs of its own and converts those; here the keys go straight into the model. The
//! peculiarities stay: a bad number or boolean is ignored, [`range`] sections multiply, some keys are taken as written
//! ([`reader`]), and a few defaults are set here rather than when the model is completed.

mod client;
mod plugin;
mod proxy;
mod range;
mod reader;
mod server;
mod visitor;

use crate::load::include;
use crate::load::{LegacyClient, LoadError, LoadOptions, os_error_text, read_error};
use crate::raw::ini::{Dialect, Ini};
use crate::server::ServerConfig;

/// The section of everything that is not about one proxy.
const COMMON: &str = "common";

/// Whether a file is INI: it parses as such, before its template is rendered, and has a section `common`.
pub(crate) fn detect(raw: &[u8]) -> bool {
    Ini::parse(&String::from_utf8_lossy(raw), Dialect::DETECT).is_ok_and(|ini| ini.section(COMMON).is_some())
}

/// Renders, reads and converts a file of frps. The result is not completed.
///
/// # Errors
/// The file is at fault.
pub(crate) fn load_server(text: &str, options: &LoadOptions) -> Result<ServerConfig, LoadError> {
    let ini = parse(&render(text, options)?)?;
    let Some(common) = ini.section(COMMON) else {
        return Err(LoadError::new("section \"common\" does not exist"));
    };
    Ok(server::read(&ini, common))
}

/// Renders, reads and converts a file of frpc with its includes. The result is not completed.
///
/// # Errors
/// The file or an include is at fault, or an include cannot be read.
pub(crate) fn load_client(text: &str, options: &LoadOptions) -> Result<LegacyClient, LoadError> {
    let mut text = render(text, options)?;
    let ini = parse(&text)?;
    let Some(common) = ini.section(COMMON) else {
        return Err(LoadError::new("invalid configuration file, not found [common] section"));
    };
    let common = client::read(&ini, common);
    let notices = client::check(&common, options)?;

    let mut load = || {
        text.push('\n');
        text.push_str(&includes(&common.includes, options)?);
        let mut ini = parse(&text)?;
        range::expand(&mut ini)?;
        entries(&ini, &common.start)
    };
    match load() {
        Ok((proxies, visitors)) => Ok(LegacyClient { common, proxies, visitors, notices }),
        Err(error) => Err(error.after(notices)),
    }
}

fn parse(text: &str) -> Result<Ini, LoadError> {
    Ini::parse(text, Dialect::LOAD).map_err(|error| LoadError::new(error.to_string()))
}

fn render(text: &str, options: &LoadOptions) -> Result<String, LoadError> {
    let values = frp_template::Values { envs: options.environment.variables().clone() };
    frp_template::render(text, &values, frp_template::FunctionSet::Legacy)
        .map_err(|error| LoadError::new(error.to_string()))
}

/// The rendered text of all includes. It is read as if it stood at the end of the main file.
fn includes(patterns: &[String], options: &LoadOptions) -> Result<String, LoadError> {
    let fail = |text: String| LoadError::new(format!("getIncludeContents error: {text}"));
    let mut contents = String::new();
    for pattern in patterns {
        let files = include::files(pattern, &options.base_dir).map_err(|error| {
            let folder = include::directory(pattern, &options.base_dir);
            fail(format!("open {}: {}", folder.display(), os_error_text(&error)))
        })?;
        for path in files {
            let name = path.display().to_string();
            let rendered = std::fs::read(&path)
                .map_err(|error| LoadError::new(read_error(&name, &error)))
                .and_then(|raw| render(&String::from_utf8_lossy(&raw), options))
                .map_err(|error| fail(format!("render extra config {name} error: {error}")))?;
            contents.push_str(&rendered);
            contents.push('\n');
        }
    }
    Ok(contents)
}

type Entries = (Vec<crate::proxy::ProxyConfig>, Vec<crate::visitor::VisitorConfig>);

/// The proxies and visitors of all sections that are to be started, by name: upstream has no order here.
fn entries(ini: &Ini, start: &[String]) -> Result<Entries, LoadError> {
    let start: std::collections::HashSet<&str> = start.iter().map(String::as_str).collect();
    let (mut proxies, mut visitors) = (Vec::new(), Vec::new());
    for section in ini.sections() {
        let name = section.name();
        let special = [crate::raw::ini::DEFAULT_SECTION, COMMON].contains(&name) || range::is_range(name);
        if special || !(start.is_empty() || start.contains(name)) {
            continue;
        }
        match ini.value(name, "role").unwrap_or_default().as_str() {
            "" | "server" => proxies
                .push(proxy::read(ini, section).map_err(|error| {
                    LoadError::new(format!("failed to parse proxy {name}, err: {error}"))
                })?),
            "visitor" => {
                visitors.push(visitor::read(ini, section).map_err(|error| {
                    LoadError::new(format!("failed to parse visitor {name}, err: {error}"))
                })?)
            }
            _ => return Err(LoadError::new(format!("proxy {name} role should be 'server' or 'visitor'"))),
        }
    }
    proxies.sort_by(|a, b| a.name().cmp(b.name()));
    visitors.sort_by(|a, b| a.name().cmp(b.name()));
    Ok((proxies, visitors))
}

#[cfg(test)]
mod tests;
