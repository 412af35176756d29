//! What routes lead to: one proxy, or the members of a group. Upstream `server/group/http.go`.
//!
//! Names of groups are one namespace over all clients. The first member fixes route, key and policy; the group and its
//! route exist until the last member leaves. Requests, not connections, go to the members in turn.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use frp_config::proxy::LoadBalancerConfig;
use frp_config::value::Secret;

use super::Policy;
use super::pool::{Pool, Sweeper};
use crate::proxy::Proxy;
use crate::vhost::{HostError, Query, Registration, Route, Router};

/// What a proxy brings along.
pub(crate) struct SiteTerms {
    pub(crate) route: Route,
    pub(crate) policy: Arc<Policy>,
}

/// All sites of the server. The lock is never held across an await; that of the router is taken after it.
#[derive(Default)]
pub(crate) struct Sites {
    router: Arc<Router<Arc<Site>>>,
    groups: Mutex<HashMap<String, Group>>,
    /// Looks after idle backend connections.
    pub(crate) sweeper: Arc<Sweeper>,
}

/// What one route leads to.
pub(super) struct Site {
    route: Route,
    pub(super) policy: Arc<Policy>,
    members: RwLock<Vec<Arc<Member>>>,
    turn: AtomicUsize,
}

/// A proxy in a site, with its idle backend connections.
pub(super) struct Member {
    pub(super) proxy: Arc<Proxy>,
    pub(super) pool: Arc<Pool>,
}

struct Group {
    key: Secret,
    site: Arc<Site>,
    _registration: Registration<Arc<Site>>,
}

impl Sites {
    /// Takes a route for `proxy` alone, or a place for it in the group that `balancer` names, until the place is
    /// dropped.
    ///
    /// # Errors
    /// When the route is taken or the group does not want the proxy.
    pub(crate) fn take(
        self: &Arc<Self>,
        proxy: &Arc<Proxy>,
        terms: SiteTerms,
        balancer: &LoadBalancerConfig,
    ) -> Result<SitePlace, HostError> {
        let member = Member { proxy: Arc::clone(proxy), pool: Pool::new(&self.sweeper) };
        let member = Arc::new(member);
        if balancer.group.is_empty() {
            let site = Arc::new(Site::new(terms));
            site.join(&member);
            let registration = self.register(&site)?;
            return Ok(SitePlace { sites: Arc::clone(self), site, member, registration: Some(registration) });
        }
        let mut groups = lock(&self.groups);
        let site = match groups.entry(balancer.group.clone()) {
            Entry::Occupied(group) => {
                group.get().check(&terms.route, &balancer.group_key)?;
                Arc::clone(&group.get().site)
            }
            Entry::Vacant(vacant) => {
                let site = Arc::new(Site::new(terms));
                let registration = self.register(&site)?;
                let key = balancer.group_key.clone();
                vacant.insert(Group { key, site: Arc::clone(&site), _registration: registration });
                site
            }
        };
        site.join(&member);
        drop(groups);
        Ok(SitePlace { sites: Arc::clone(self), site, member, registration: None })
    }

    /// Where a request leads.
    pub(super) fn find(&self, query: Query<'_>) -> Option<Arc<Site>> {
        self.router.find(query)
    }

    fn register(&self, site: &Arc<Site>) -> Result<Registration<Arc<Site>>, HostError> {
        Ok(self.router.register(site.route.clone(), Arc::clone(site))?)
    }
}

impl Group {
    fn check(&self, route: &Route, key: &Secret) -> Result<(), HostError> {
        if self.site.route != *route {
            return Err(HostError::OtherTerms);
        }
        if self.key != *key {
            return Err(HostError::WrongKey);
        }
        Ok(())
    }
}

impl Site {
    fn new(terms: SiteTerms) -> Self {
        Self {
            route: terms.route,
            policy: terms.policy,
            members: RwLock::default(),
            turn: AtomicUsize::new(0),
        }
    }

    fn join(&self, member: &Arc<Member>) {
        self.members.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(member));
    }

    /// Returns whether nobody is left.
    fn leave(&self, member: &Arc<Member>) -> bool {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.retain(|other| !Arc::ptr_eq(other, member));
        members.is_empty()
    }

    /// The member whose turn it is; `None` when the last one is just leaving.
    pub(super) fn next(&self) -> Option<Arc<Member>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        match members.as_slice() {
            [one] => Some(Arc::clone(one)),
            [] => None,
            many => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                many.get(turn % many.len()).cloned()
            }
        }
    }
}

/// A proxy's place. Dropping it gives the route back, or leaves the group, and closes idle backend connections;
/// requests under way are finished.
pub(crate) struct SitePlace {
    sites: Arc<Sites>,
    site: Arc<Site>,
    member: Arc<Member>,
    /// `None` for a member of a group.
    registration: Option<Registration<Arc<Site>>>,
}

impl Drop for SitePlace {
    fn drop(&mut self) {
        if self.registration.take().is_some() {
            self.site.leave(&self.member);
        } else {
            let mut groups = lock(&self.sites.groups);
            if self.site.leave(&self.member) {
                groups.retain(|_, group| !Arc::ptr_eq(&group.site, &self.site));
            }
        }
        self.member.pool.close();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
