//! frpc's store: proxies and visitors that the admin interface keeps in a file (upstream `pkg/config/source`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::decode::{self, RawValue};
use crate::load::read_error;
use crate::proxy::ProxyConfig;
use crate::raw::json;
use crate::table::{self, Walk, table};
use crate::visitor::VisitorConfig;

/// What the store holds, by name and not completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    /// Its proxies.
    pub proxies: BTreeMap<String, ProxyConfig>,
    /// Its visitors.
    pub visitors: BTreeMap<String, VisitorConfig>,
}

/// A store that cannot be used. Displays as upstream's text, without `failed to create store source: ` before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to load existing data: {0}")]
pub struct StoreError(String);

table! {
    /// The store's file.
    pub(crate) struct StoreDocument = "source.rawStoreData" {
        proxies: Vec<RawValue> = "proxies",
        visitors: Vec<RawValue> = "visitors",
    }
}

/// Where the store's file is: relative paths start from the folder of the configuration file.
#[must_use]
pub fn path(configured: &str, config_file: &str) -> PathBuf {
    let folder = Path::new(config_file).parent().unwrap_or_else(|| Path::new(""));
    folder.join(configured)
}

impl Store {
    /// Reads the store's file; a relative path starts from `base_dir`. A missing file is an empty store, and unknown
    /// keys are ignored.
    ///
    /// # Errors
    /// The file cannot be read, is no JSON, or holds an entry that is none.
    pub fn load(path: &Path, base_dir: &Path) -> Result<Self, StoreError> {
        match std::fs::read(base_dir.join(path)) {
            Ok(raw) => Self::read(&String::from_utf8_lossy(&raw)).map_err(StoreError),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(StoreError(read_error(&path.display().to_string(), &error))),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let value = json::parse_all(text).map_err(|error| format!("failed to parse JSON: {error}"))?;
        let mut document = StoreDocument::default();
        table::decode(&mut document, &value, Walk::default())
            .map_err(|error| format!("failed to parse JSON: {error}"))?;
        let mut store = Self::default();
        for (index, entry) in document.proxies.iter().enumerate() {
            let proxy = decode::proxy(&entry.0, false)
                .map_err(|error| format!("failed to decode proxy at index {index}: {error}"))?;
            store.proxies.insert(named("proxy", proxy.name())?, proxy);
        }
        for (index, entry) in document.visitors.iter().enumerate() {
            let visitor = decode::visitor(&entry.0, false)
                .map_err(|error| format!("failed to decode visitor at index {index}: {error}"))?;
            store.visitors.insert(named("visitor", visitor.name())?, visitor);
        }
        Ok(store)
    }

    /// The proxies and visitors of a file and of this store together, sorted by name; of two with the same name the
    /// store's counts.
    ///
    /// # Errors
    /// An entry of the file has no name.
    pub fn merge(
        self,
        proxies: Vec<ProxyConfig>,
        visitors: Vec<VisitorConfig>,
    ) -> Result<(Vec<ProxyConfig>, Vec<VisitorConfig>), UnnamedEntry> {
        let mut merged = Self::default();
        for proxy in proxies {
            merged.proxies.insert(named("proxy", proxy.name()).map_err(UnnamedEntry)?, proxy);
        }
        for visitor in visitors {
            merged.visitors.insert(named("visitor", visitor.name()).map_err(UnnamedEntry)?, visitor);
        }
        merged.proxies.extend(self.proxies);
        merged.visitors.extend(self.visitors);
        Ok((merged.proxies.into_values().collect(), merged.visitors.into_values().collect()))
    }
}

/// A proxy or visitor without a name, which verifying finds later and running finds here. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnnamedEntry(String);

fn named(kind: &str, name: &str) -> Result<String, String> {
    if name.is_empty() { Err(format!("{kind} name cannot be empty")) } else { Ok(name.to_owned()) }
}
