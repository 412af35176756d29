//! Which controls there are, by run id, and which client ids are online. Upstream `server/control.go`,
//! `ControlManager`, and `server/registry/registry.go`.
//!
//! A login goes through three steps, because it may replace a control of the same run id that still has proxies
//! to close: [`Registry::add`] makes it the current one and stops the old one, [`Registration::activate`] claims
//! the client id once the old one is gone, [`Registration::start`] opens it for work connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frp_auth::Identity;
use frp_proto::wire::{Framing, WireVersion};
use tokio_util::sync::CancellationToken;
use tracing::{Span, info};

use super::work_pool::{PutError, WorkConn, WorkPool};
use crate::ids::RunId;

/// What the rest of the server knows of a control.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) run_id: RunId,
    pub(crate) client: Client,
    /// What later messages must prove, where they must.
    pub(crate) identity: Identity,
    pub(crate) pool: Arc<WorkPool>,
    /// How messages look in the payload of its work and visitor connections.
    pub(crate) payload_framing: Framing,
    /// What its control stream speaks.
    pub(crate) wire: WireVersion,
    /// Ends the control. A child of the server's own token.
    pub(crate) stop: CancellationToken,
    /// Cancelled when the control's proxies are closed and its ports are free again.
    pub(crate) finished: CancellationToken,
    /// Span that gives the control's lines their run id.
    pub(crate) span: Span,
}

/// Who logged in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub(crate) user: String,
    /// A name that the client keeps over restarts; empty when it has none.
    pub(crate) client_id: String,
}

/// Why a login cannot go on. The texts reach clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RegistryError {
    #[error("control manager is closed")]
    Closed,
    #[error("control was replaced during login")]
    Replaced,
    #[error("client_id [{client_id}] for user [{user}] is already online")]
    AlreadyOnline { client_id: String, user: String },
}

/// Why a stream that names a run id is refused. The texts reach clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LookupError {
    #[error("no client control found for run id [{0}]")]
    None(String),
    #[error("client control for run id [{0}] is no longer current")]
    Replaced(RunId),
    #[error("client control for run id [{0}] is not running")]
    Closing(RunId),
}

/// All controls of the server. The lock is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    closed: bool,
    last_id: u64,
    controls: HashMap<RunId, Entry>,
    /// Client ids in use, and by which run id.
    online: HashMap<Client, RunId>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    handle: Arc<Handle>,
    running: bool,
    /// The client id that this run id holds; a replacement inherits it.
    holds: Option<Client>,
    /// What this control waits for before it may claim anything.
    predecessors: Vec<CancellationToken>,
}

impl Registry {
    /// Makes the control the current one of its run id and stops the one before it.
    ///
    /// # Errors
    /// When the server is closing.
    pub(crate) fn add(self: &Arc<Self>, handle: Handle) -> Result<Registration, RegistryError> {
        let handle = Arc::new(handle);
        let mut table = self.lock();
        if table.closed {
            return Err(RegistryError::Closed);
        }
        table.last_id += 1;
        let id = table.last_id;
        let mut entry =
            Entry { id, handle: Arc::clone(&handle), running: false, holds: None, predecessors: Vec::new() };
        if let Some(old) = table.controls.remove(&handle.run_id) {
            old.handle.stop.cancel();
            old.handle.span.in_scope(|| info!("replaced by client [{}] (control ID {id})", handle.run_id));
            entry.holds = old.holds;
            entry.predecessors = old.predecessors;
            entry.predecessors.retain(|finished| !finished.is_cancelled());
            entry.predecessors.push(old.handle.finished.clone());
        }
        let predecessors = entry.predecessors.clone();
        table.controls.insert(handle.run_id.clone(), entry);
        Ok(Registration { registry: Arc::clone(self), handle, id, predecessors })
    }

    /// The running control of a run id.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn running(&self, run_id: &str) -> Result<Arc<Handle>, LookupError> {
        let table = self.lock();
        let is_running = |entry: &&Entry| entry.running && !table.closed && !entry.handle.stop.is_cancelled();
        let entry = table.controls.get(run_id).filter(is_running);
        entry.map(|entry| Arc::clone(&entry.handle)).ok_or_else(|| LookupError::None(run_id.to_owned()))
    }

    /// Gives a work connection to a control that was found before, if it is still the current one.
    ///
    /// # Errors
    /// When it is not, or when its pool takes no more; the connection comes back.
    pub(crate) fn put_work_conn(
        &self,
        control: &Arc<Handle>,
        conn: WorkConn,
    ) -> Result<(), (PutWorkConnError, Box<WorkConn>)> {
        let table = self.lock();
        let current = table.controls.get(&control.run_id);
        if !current.is_some_and(|entry| entry.running && Arc::ptr_eq(&entry.handle, control)) {
            return Err((LookupError::Replaced(control.run_id.clone()).into(), Box::new(conn)));
        }
        control.pool.put(conn).map_err(|(error, conn)| match error {
            PutError::Full => (PutWorkConnError::Full(error), conn),
            PutError::Closed => (LookupError::Closing(control.run_id.clone()).into(), conn),
        })
    }

    /// Refuses every further login.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a work connection did not reach a pool. The texts reach clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PutWorkConnError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Full(PutError),
}

/// A control's place in the registry, held by its login and then by the control itself. Dropping it takes the
/// control out and lets a replacement go on, so drop it last.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    handle: Arc<Handle>,
    id: u64,
    predecessors: Vec<CancellationToken>,
}

impl Registration {
    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Waits until the controls that this one replaces have closed their proxies.
    ///
    /// # Errors
    /// When this one was replaced meanwhile.
    pub(crate) async fn handed_over(&self) -> Result<(), RegistryError> {
        for finished in &self.predecessors {
            tokio::select! {
                biased;
                () = self.handle.stop.cancelled() => return Err(RegistryError::Replaced),
                () = finished.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Claims the client id.
    ///
    /// # Errors
    /// When another run id has it, or this control was replaced.
    pub(crate) fn activate(&self) -> Result<(), RegistryError> {
        let mut table = self.registry.lock();
        let Table { closed, controls, online, .. } = &mut *table;
        let run_id = &self.handle.run_id;
        let Some(entry) = controls.get_mut(run_id).filter(|entry| !*closed && entry.id == self.id) else {
            return Err(RegistryError::Replaced);
        };
        let client = &self.handle.client;
        let wanted = (!client.client_id.is_empty()).then(|| client.clone());
        if wanted.as_ref().and_then(|client| online.get(client)).is_some_and(|holder| holder != run_id) {
            let Client { user, client_id } = client.clone();
            return Err(RegistryError::AlreadyOnline { client_id, user });
        }
        if let Some(old) = entry.holds.take() {
            online.remove(&old);
        }
        if let Some(client) = wanted {
            online.insert(client.clone(), run_id.clone());
            entry.holds = Some(client);
        }
        Ok(())
    }

    /// Opens the control for work connections and visitors.
    ///
    /// # Errors
    /// When this control was replaced.
    pub(crate) fn start(&self) -> Result<(), RegistryError> {
        let mut table = self.registry.lock();
        let closed = table.closed;
        let entry = table.controls.get_mut(&self.handle.run_id);
        let entry = entry.filter(|entry| !closed && entry.id == self.id).ok_or(RegistryError::Replaced)?;
        entry.running = true;
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.registry.lock();
        if table.controls.get(&self.handle.run_id).is_some_and(|entry| entry.id == self.id)
            && let Some(entry) = table.controls.remove(&self.handle.run_id)
            && let Some(client) = entry.holds
        {
            table.online.remove(&client);
        }
        drop(table);
        self.handle.stop.cancel();
        self.handle.pool.close();
        self.handle.finished.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use frp_stream::Stream;

    use super::super::outbound::Outbound;
    use super::*;

    fn handle(run_id: &str, user: &str, client_id: &str) -> Handle {
        let stop = CancellationToken::new();
        let (outbound, _) = Outbound::new(stop.clone());
        Handle {
            run_id: RunId::from_login(run_id),
            client: Client { user: user.to_owned(), client_id: client_id.to_owned() },
            identity: Identity::default(),
            pool: WorkPool::new(1, Duration::from_secs(1), outbound, Span::none()),
            payload_framing: Framing::V1,
            wire: WireVersion::V1,
            stop,
            finished: CancellationToken::new(),
            span: Span::none(),
        }
    }

    fn work_conn() -> WorkConn {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let stream = Stream::boxed(tokio::io::duplex(1).0);
        WorkConn { stream, wire: WireVersion::V1, peer: nowhere, local: nowhere }
    }

    fn running(registry: &Arc<Registry>, handle: Handle) -> Registration {
        let registration = registry.add(handle).unwrap();
        registration.activate().unwrap();
        registration.start().unwrap();
        registration
    }

    #[tokio::test]
    async fn a_control_is_found_from_its_start_to_its_end() {
        let registry = Arc::<Registry>::default();
        let registration = registry.add(handle("r", "", "")).unwrap();
        let refusal = registry.running("r").unwrap_err();
        assert_eq!(refusal.to_string(), "no client control found for run id [r]");
        registration.start().unwrap();
        assert!(registry.running("r").is_ok());
        drop(registration);
        assert!(registry.running("r").is_err());
    }

    #[tokio::test]
    async fn a_replacement_waits_for_the_old_control_to_finish() {
        let registry = Arc::<Registry>::default();
        let old = running(&registry, handle("r", "", ""));
        let new = registry.add(handle("r", "", "")).unwrap();
        assert!(old.handle.stop.is_cancelled());
        assert!(registry.running("r").is_err(), "nobody is running during the change");
        let waits = tokio::time::timeout(Duration::ZERO, new.handed_over()).await;
        assert!(waits.is_err());
        drop(old);
        new.handed_over().await.unwrap();
        new.activate().unwrap();
        new.start().unwrap();
        assert!(Arc::ptr_eq(&registry.running("r").unwrap(), new.handle()));
    }

    #[tokio::test]
    async fn a_replaced_login_fails_and_its_successor_still_waits_for_the_first() {
        let registry = Arc::<Registry>::default();
        let first = running(&registry, handle("r", "", ""));
        let second = registry.add(handle("r", "", "")).unwrap();
        let third = registry.add(handle("r", "", "")).unwrap();
        let error = second.handed_over().await.unwrap_err();
        assert_eq!(error.to_string(), "control was replaced during login");
        assert_eq!(second.activate().unwrap_err(), RegistryError::Replaced);
        assert_eq!(second.start().unwrap_err(), RegistryError::Replaced);
        drop(second);
        assert!(tokio::time::timeout(Duration::ZERO, third.handed_over()).await.is_err());
        drop(first);
        third.handed_over().await.unwrap();
    }

    #[tokio::test]
    async fn work_connections_reach_the_current_control_only() {
        let registry = Arc::<Registry>::default();
        let old = running(&registry, handle("r", "", ""));
        let found = registry.running("r").unwrap();
        registry.put_work_conn(&found, work_conn()).unwrap();
        let _new = registry.add(handle("r", "", "")).unwrap();
        let (error, _) = registry.put_work_conn(&found, work_conn()).unwrap_err();
        assert_eq!(error.to_string(), "client control for run id [r] is no longer current");
        drop(old);
    }

    #[tokio::test]
    async fn a_client_id_is_online_once_per_user() {
        let registry = Arc::<Registry>::default();
        let first = running(&registry, handle("a", "u", "c"));
        let _other_user = running(&registry, handle("b", "v", "c"));
        let second = registry.add(handle("d", "u", "c")).unwrap();
        let error = second.activate().unwrap_err();
        assert_eq!(error.to_string(), "client_id [c] for user [u] is already online");
        drop(second);
        drop(first);
        running(&registry, handle("d", "u", "c"));
    }

    #[tokio::test]
    async fn the_same_run_id_keeps_or_changes_its_client_id() {
        let registry = Arc::<Registry>::default();
        let old = running(&registry, handle("r", "u", "c"));
        let same = registry.add(handle("r", "u", "c")).unwrap();
        drop(old);
        same.activate().unwrap();
        let changed = registry.add(handle("r", "u", "other")).unwrap();
        changed.activate().unwrap();
        running(&registry, handle("x", "u", "c"));
    }

    #[tokio::test]
    async fn a_closed_registry_takes_nobody() {
        let registry = Arc::<Registry>::default();
        registry.close();
        let error = registry.add(handle("r", "", "")).unwrap_err();
        assert_eq!(error.to_string(), "control manager is closed");
    }
}
