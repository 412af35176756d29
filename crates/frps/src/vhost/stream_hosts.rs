//! The proxies and groups of https and of tcpmux, by route. Upstream `pkg/util/vhost/vhost.go`,
//! `server/group/{https,tcpmux}.go`.
//!
//! Names of groups are one namespace over all clients, one for https and one for tcpmux. The first member fixes route,
//! credentials and key; the group and its route exist until the last member leaves. Users go to the members in strict
//! rotation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frp_config::proxy::LoadBalancerConfig;
use frp_config::value::Secret;

use super::{Conflict, Query, Registration, Route, Router};
use crate::group::Rotation;
use crate::proxy::Proxy;

/// Why a proxy cannot have a domain. The texts reach clients; upstream `server/group/group.go`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("group params invalid")]
    OtherTerms,
    #[error("group auth failed")]
    WrongKey,
}

/// What a proxy asks for, and members of a group must agree on to the letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostTerms {
    pub(crate) route: Route,
    /// `httpUser`; nobody is asked for credentials when it is empty.
    pub(crate) http_user: String,
    /// `httpPassword`.
    pub(crate) http_password: Secret,
}

/// The hosts of one kind. The lock is never held across an await; the router's is taken after it.
#[derive(Default)]
pub(crate) struct StreamHosts {
    router: Arc<Router<Arc<Host>>>,
    groups: Mutex<HashMap<String, Group>>,
}

/// What a route leads to.
pub(crate) struct Host {
    terms: HostTerms,
    proxies: Proxies,
}

enum Proxies {
    One(Arc<Proxy>),
    Group(Mutex<Rotation<Arc<Proxy>>>),
}

struct Group {
    key: Secret,
    host: Arc<Host>,
    _registration: Registration<Arc<Host>>,
}

impl StreamHosts {
    /// Takes a route for `proxy` alone, or a place for it in the group that `balancer` names, until the place is
    /// dropped.
    ///
    /// # Errors
    /// When the route is taken or the group does not want the proxy.
    pub(crate) fn take(
        self: &Arc<Self>,
        proxy: &Arc<Proxy>,
        terms: HostTerms,
        balancer: &LoadBalancerConfig,
    ) -> Result<HostPlace, HostError> {
        if !balancer.group.is_empty() {
            return self.join(proxy, terms, balancer).map(HostPlace::Group);
        }
        let host = Host { terms, proxies: Proxies::One(Arc::clone(proxy)) };
        self.register(Arc::new(host)).map(HostPlace::Own)
    }

    /// Where a request leads.
    pub(super) fn find(&self, query: Query<'_>) -> Option<Arc<Host>> {
        self.router.find(query)
    }

    fn register(&self, host: Arc<Host>) -> Result<Registration<Arc<Host>>, HostError> {
        Ok(self.router.register(host.terms.route.clone(), host)?)
    }

    fn join(
        self: &Arc<Self>,
        proxy: &Arc<Proxy>,
        terms: HostTerms,
        balancer: &LoadBalancerConfig,
    ) -> Result<Member, HostError> {
        let mut groups = lock(&self.groups);
        let host = match groups.entry(balancer.group.clone()) {
            Entry::Occupied(group) => {
                group.get().check(&terms, &balancer.group_key)?;
                Arc::clone(&group.get().host)
            }
            Entry::Vacant(vacant) => {
                let host = Arc::new(Host { terms, proxies: Proxies::Group(Mutex::default()) });
                let registration = self.register(Arc::clone(&host))?;
                let group = Group {
                    key: balancer.group_key.clone(),
                    host: Arc::clone(&host),
                    _registration: registration,
                };
                vacant.insert(group);
                host
            }
        };
        let id = match &host.proxies {
            Proxies::Group(members) => lock(members).join(Arc::clone(proxy)),
            Proxies::One(_) => 0,
        };
        Ok(Member { hosts: Arc::clone(self), group: balancer.group.clone(), host, id })
    }

    fn leave(&self, member: &Member) {
        let mut groups = lock(&self.groups);
        let Proxies::Group(members) = &member.host.proxies else { return };
        let mut members = lock(members);
        members.leave(member.id);
        if members.is_empty() {
            groups.remove(&member.group);
        }
    }
}

impl Group {
    fn check(&self, terms: &HostTerms, key: &Secret) -> Result<(), HostError> {
        if self.host.terms != *terms {
            return Err(HostError::OtherTerms);
        }
        if self.key != *key {
            return Err(HostError::WrongKey);
        }
        Ok(())
    }
}

impl Host {
    /// What it was registered with.
    pub(super) fn terms(&self) -> &HostTerms {
        &self.terms
    }

    /// The proxy that serves the next user; `None` when the last one is just leaving.
    pub(super) fn next(&self) -> Option<Arc<Proxy>> {
        match &self.proxies {
            Proxies::One(proxy) => Some(Arc::clone(proxy)),
            Proxies::Group(members) => lock(members).next(),
        }
    }
}

/// A proxy's hold of a domain. Dropping it gives the domain up, or leaves the group.
#[must_use = "the domain goes with it"]
#[expect(dead_code, reason = "what the variants hold is there to be dropped")]
pub(crate) enum HostPlace {
    Own(Registration<Arc<Host>>),
    Group(Member),
}

impl HostPlace {
    /// What the log says when it is given up.
    pub(crate) fn closed(&self) -> &'static str {
        match self {
            Self::Own(_) => "listener closed",
            Self::Group(_) => "group listener closed",
        }
    }
}

/// A proxy's place in a group.
pub(crate) struct Member {
    hosts: Arc<StreamHosts>,
    group: String,
    host: Arc<Host>,
    id: u64,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hosts.leave(self);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
