//! Groups of tcp proxies. Upstream `server/group/tcp.go`.
//!
//! Names of groups are one namespace over all clients. The first member fixes address, configured port and key; the
//! group exists until its last member leaves. Accepted users go to the members in strict rotation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frp_net::keepalive::Keepalive;
use frp_net::listen::{accept, bind_tcp};
use frp_proto::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::rotation::Rotation;
use crate::ids::ProxyName;
use crate::ports::{PortError, PortLease, Ports};
use crate::proxy::Proxy;

/// Why a proxy cannot join. The texts reach clients; upstream `server/group/group.go`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupError {
    #[error("group params invalid")]
    OtherAddress,
    #[error("group should have same remote port")]
    OtherPort,
    #[error("group auth failed")]
    WrongKey,
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a member brings along. All of it must equal what the first member brought.
pub(crate) struct Terms<'a> {
    pub(crate) group: &'a str,
    pub(crate) key: &'a Secret,
    pub(crate) address: &'a str,
    /// The port as configured, which may be 0.
    pub(crate) port: i64,
}

/// All tcp groups of the server. The locks are never held across an await; that of the map is taken first.
pub(crate) struct TcpGroups {
    ports: Arc<Ports>,
    /// Where the accept loops of groups run: a group may outlive the control of its first member.
    tasks: TaskTracker,
    stop: CancellationToken,
    groups: Mutex<HashMap<String, Arc<Group>>>,
}

struct Group {
    key: Secret,
    address: String,
    port: i64,
    real_port: u16,
    members: Mutex<Rotation<Arc<Proxy>>>,
    /// Ends the accept loop. A child of the server's token.
    stop: CancellationToken,
    /// Cancelled when the port is free again.
    closed: CancellationToken,
}

impl TcpGroups {
    pub(crate) fn new(ports: Arc<Ports>, tasks: TaskTracker, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { ports, tasks, stop, groups: Mutex::default() })
    }

    /// Joins the group, or opens it when there is none of that name.
    ///
    /// # Errors
    /// When the terms differ from the first member's, or the port cannot be had.
    pub(crate) fn join(
        self: &Arc<Self>,
        proxy: &Arc<Proxy>,
        terms: &Terms<'_>,
    ) -> Result<Membership, GroupError> {
        let mut groups = lock(&self.groups);
        let group = match groups.get(terms.group) {
            Some(group) => {
                group.check(terms)?;
                Arc::clone(group)
            }
            None => {
                let group = self.open(&proxy.name, terms)?;
                groups.insert(terms.group.to_owned(), Arc::clone(&group));
                group
            }
        };
        let id = lock(&group.members).join(Arc::clone(proxy));
        Ok(Membership { groups: Arc::clone(self), group, id })
    }

    fn open(&self, first: &ProxyName, terms: &Terms<'_>) -> Result<Arc<Group>, GroupError> {
        let (lease, listener) =
            self.ports.acquire(first, terms.port, |port| bind_tcp(terms.address, port))?;
        let group = Arc::new(Group {
            key: terms.key.clone(),
            address: terms.address.to_owned(),
            port: terms.port,
            real_port: lease.port(),
            members: Mutex::default(),
            stop: self.stop.child_token(),
            closed: CancellationToken::new(),
        });
        self.tasks.spawn(Arc::clone(&group).serve(listener, lease));
        Ok(group)
    }

    fn leave(&self, group: &Arc<Group>, id: u64) {
        let mut groups = lock(&self.groups);
        let mut members = lock(&group.members);
        members.leave(id);
        if members.is_empty() {
            group.stop.cancel();
            groups.retain(|_, other| !Arc::ptr_eq(other, group));
        }
    }
}

impl Group {
    fn check(&self, terms: &Terms<'_>) -> Result<(), GroupError> {
        if self.address != terms.address {
            return Err(GroupError::OtherAddress);
        }
        if self.port != terms.port {
            return Err(GroupError::OtherPort);
        }
        if self.key != *terms.key {
            return Err(GroupError::WrongKey);
        }
        Ok(())
    }

    /// The accept loop. Frees the port before it says that it has ended.
    async fn serve(self: Arc<Self>, listener: TcpListener, lease: PortLease) {
        let _closed = self.closed.clone().drop_guard();
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = accept(&listener, Keepalive::default()) => accepted,
            };
            // A user that comes while the last member leaves is closed like one that comes right after.
            if let Some(member) = lock(&self.members).next() {
                member.accept_user(stream, peer);
            }
        }
        drop(listener);
        drop(lease);
    }
}

/// A proxy's place in a group. Dropping it leaves the group.
pub(crate) struct Membership {
    groups: Arc<TcpGroups>,
    group: Arc<Group>,
    id: u64,
}

impl Membership {
    /// The port that the group listens on.
    pub(crate) fn port(&self) -> u16 {
        self.group.real_port
    }

    /// Leaves, and waits until the port is free if that was the last member.
    pub(crate) async fn leave(self) {
        let group = Arc::clone(&self.group);
        drop(self);
        if group.stop.is_cancelled() {
            group.closed.cancelled().await;
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.groups.leave(&self.group, self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
