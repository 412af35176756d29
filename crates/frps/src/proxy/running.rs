//! A proxy that is served: its tasks, its places on shared ports, its name.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, warn};

use super::Proxy;
use super::table::Entry;
use crate::group::Membership;
use crate::vhost::HostPlace;
use crate::vhost::http::SitePlace;
use crate::visitor::{Door, Repeated, Terms};

/// A proxy that is served. Dropping it ends it; [`Running::close`] also waits until its port is free.
pub(crate) struct Running {
    pub(super) proxy: Arc<Proxy>,
    /// Ends the tasks below. A child of the control's token.
    pub(super) stop: CancellationToken,
    /// Accept loop, or the tasks of a udp proxy. Users are not among them.
    tasks: JoinSet<()>,
    /// Place in a group, which accepts for its members.
    pub(super) membership: Option<Membership>,
    /// Where visitors come in.
    door: Option<Door>,
    /// Its domains on a shared port.
    pub(super) hosts: Vec<HostPlace>,
    /// Its routes on the shared port of http.
    pub(super) sites: Vec<SitePlace>,
    ports: i64,
    /// Frees the name after everything else is gone.
    _entry: Entry,
}

impl Running {
    /// Serves nothing yet. `ports` count against `maxPortsPerClient`, `entry` keeps the name.
    pub(super) fn new(proxy: Arc<Proxy>, stop: CancellationToken, ports: i64, entry: Entry) -> Self {
        Self {
            proxy,
            stop,
            tasks: JoinSet::new(),
            membership: None,
            door: None,
            hosts: Vec::new(),
            sites: Vec::new(),
            ports,
            _entry: entry,
        }
    }

    /// Ports that count against `maxPortsPerClient`.
    pub(crate) fn ports(&self) -> i64 {
        self.ports
    }

    pub(crate) async fn close(mut self) {
        let span = self.proxy.span.clone();
        async {
            info!("proxy closing");
            self.stop.cancel();
            while self.tasks.join_next().await.is_some() {}
            self.sites.clear();
            for host in self.hosts.drain(..) {
                let closed = host.closed();
                drop(host);
                warn!("listener is closed: {closed}");
            }
            if let Some(membership) = self.membership.take() {
                membership.leave().await;
                warn!("listener is closed: group listener closed");
            }
            if self.door.take().is_some() {
                warn!("listener is closed: listener closed");
            }
        }
        .instrument(span)
        .await;
    }

    /// Lets visitors in until the proxy is closed.
    pub(super) fn let_visitors_in(&mut self, terms: Terms) -> Result<(), Repeated> {
        self.door = Some(self.proxy.core.visitors.open(&self.proxy, terms)?);
        Ok(())
    }

    /// Runs a task of the proxy until it ends or the proxy is closed.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.instrument(self.proxy.span.clone()));
    }
}
