//! Sections `[range:name]`: one proxy for each number of their port lists.

use frp_template::number_range;

use crate::load::LoadError;
use crate::raw::ini::Ini;

const PREFIX: &str = "range:";

/// Proxies that the ranges of a file may make, all together. Upstream does not limit them.
const MAX_PROXIES: usize = 200_000;

pub(super) fn is_range(section: &str) -> bool {
    section.starts_with(PREFIX)
}

/// Adds the section `name_0` for the first numbers of `[range:name]`, `name_1` for the second ones, and so on. They
/// have its keys as written, and replace those of a section that is called so already.
///
/// # Errors
/// Port lists that are missing, malformed, not of one length, or too long.
pub(super) fn expand(ini: &mut Ini) -> Result<(), LoadError> {
    let names: Vec<String> = ini
        .sections()
        .iter()
        .map(|section| section.name().to_owned())
        .filter(|name| is_range(name))
        .collect();
    let mut room = MAX_PROXIES;
    for name in names {
        let made = expand_one(ini, &name, room).map_err(|error| {
            LoadError::new(format!("failed to render template for proxy {name}: {error}"))
        })?;
        room = room.saturating_sub(made);
    }
    Ok(())
}

fn expand_one(ini: &mut Ini, name: &str, room: usize) -> Result<usize, String> {
    let local = ini.value(name, "local_port").unwrap_or_default();
    let remote = ini.value(name, "remote_port").unwrap_or_default();
    if local.is_empty() || remote.is_empty() {
        return Err("local_port or remote_port is empty".to_owned());
    }
    let local = number_range::parse(&local).map_err(|error| error.to_string())?;
    let remote = number_range::parse(&remote).map_err(|error| error.to_string())?;
    if local.len() != remote.len() {
        return Err("local ports number should be same with remote ports number".to_owned());
    }
    if local.len() > room {
        return Err(format!("range number is invalid, more than {MAX_PROXIES} numbers"));
    }
    let keys: Vec<(String, String)> = ini
        .section(name)
        .map(|section| section.keys().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        .unwrap_or_default();
    let prefix = name.strip_prefix(PREFIX).unwrap_or(name).trim();
    for (index, (local, remote)) in local.iter().zip(&remote).enumerate() {
        let Some(section) = ini.section_mut(&format!("{prefix}_{index}")) else {
            continue;
        };
        for (key, value) in &keys {
            section.set(key, value);
        }
        section.set("local_port", &local.to_string());
        section.set("remote_port", &remote.to_string());
    }
    Ok(local.len())
}
