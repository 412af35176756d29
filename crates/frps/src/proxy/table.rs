//! The names of all proxies of this server, over all clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ProxyName;
use crate::traffic::Traffic;

/// Another proxy has the name. The text reaches clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("proxy [{0}] already exists")]
pub(crate) struct NameTaken(pub(crate) ProxyName);

/// See the module. The lock is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Table {
    proxies: Mutex<HashMap<ProxyName, Arc<Traffic>>>,
}

impl Table {
    /// Takes `name` for a proxy with these counters until the entry is dropped.
    ///
    /// # Errors
    /// When the name is taken.
    pub(crate) fn enter(
        self: &Arc<Self>,
        name: &ProxyName,
        traffic: &Arc<Traffic>,
    ) -> Result<Entry, NameTaken> {
        let mut proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        if proxies.contains_key(name) {
            return Err(NameTaken(name.clone()));
        }
        proxies.insert(name.clone(), Arc::clone(traffic));
        Ok(Entry { table: Arc::clone(self), name: name.clone() })
    }
}

/// A name in use.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<Table>,
    name: ProxyName,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.proxies.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_until_its_proxy_is_gone() {
        let table = Arc::<Table>::default();
        let traffic = Arc::default();
        let name = ProxyName::from("user.web");
        let entry = table.enter(&name, &traffic).unwrap();
        let refusal = table.enter(&name, &traffic).unwrap_err();
        assert_eq!(refusal.to_string(), "proxy [user.web] already exists");
        drop(entry);
        assert!(table.enter(&name, &traffic).is_ok());
    }
}
