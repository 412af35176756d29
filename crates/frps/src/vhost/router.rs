//! Which route a request takes. Upstream `pkg/util/vhost/router.go`.
//!
//! A route is registered for a domain (`a.test`, `*.a.test` or `*`, whatever the case), a location (the beginning of a
//! path; empty for all) and a user of basic authentication (empty for all). A request tries the domains that fit from
//! the most to the least special: its host, then with the leftmost labels replaced by `*`, as long as two labels are
//! left behind it, then `*`. For each it tries the routes of just its user, then those of all users; of these the one
//! with the longest location that the path begins with. What a domain has no location for goes on to the next.
//!
//! A lookup allocates nothing and holds a lock that only registrations write to.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The route is taken. The text reaches clients.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("router config conflict")]
pub(crate) struct Conflict;

/// What a route is registered for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Route {
    /// A domain in any case, `*.` in front of one, or `*`.
    pub(crate) domain: String,
    /// What a path begins with; empty for every path.
    pub(crate) location: String,
    /// `routeByHTTPUser`; empty for every user.
    pub(crate) user: String,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Query<'a> {
    /// Lower-cased, without port and without trailing dot; see [`super::domains::canonical_host`]. Empty when the
    /// request names none: then only `*` fits.
    pub(crate) host: &'a [u8],
    /// The decoded path; empty when there is none: then only an empty location fits.
    pub(crate) path: &'a [u8],
    /// The name of basic authentication; empty when there is none.
    pub(crate) user: &'a [u8],
}

/// The routes of one kind of virtual hosts, each with what it leads to.
#[derive(Debug)]
pub(crate) struct Router<T> {
    table: RwLock<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    /// By domain. That of wildcards is the key without `*.`, so that a host's own end finds it.
    exact: HashMap<Box<[u8]>, Domain<T>>,
    wildcard: HashMap<Box<[u8]>, Domain<T>>,
    any: Domain<T>,
    /// Length of the longest key of `wildcard` there ever was: a longer end of a host is not worth a look.
    longest_wildcard: usize,
}

/// The routes of one domain, by user.
#[derive(Debug)]
struct Domain<T> {
    of_all_users: Vec<Located<T>>,
    by_user: HashMap<Box<[u8]>, Vec<Located<T>>>,
}

/// In a list, the greatest location in the order of bytes comes first, so that of several that fit the longest does.
#[derive(Debug)]
struct Located<T> {
    location: Box<[u8]>,
    payload: T,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        let table = Table {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Domain::default(),
            longest_wildcard: 0,
        };
        Self { table: RwLock::new(table) }
    }
}

impl<T> Default for Domain<T> {
    fn default() -> Self {
        Self { of_all_users: Vec::new(), by_user: HashMap::new() }
    }
}

impl<T> Router<T> {
    /// Registers a route until the registration is dropped.
    ///
    /// # Errors
    /// When there is a route of this domain, location and user.
    pub(crate) fn register(self: &Arc<Self>, route: Route, payload: T) -> Result<Registration<T>, Conflict> {
        let domain = route.domain.to_lowercase();
        let mut table = self.write();
        let routes = table.domain_mut(domain.as_bytes()).routes_mut(route.user.as_bytes());
        let location = route.location.as_bytes();
        let Err(place) = routes.binary_search_by(|other| location.cmp(&other.location)) else {
            return Err(Conflict);
        };
        routes.insert(place, Located { location: location.into(), payload });
        drop(table);
        Ok(Registration { router: Arc::clone(self), route: Route { domain, ..route } })
    }

    /// What the route that `query` takes leads to.
    pub(crate) fn find(&self, query: Query<'_>) -> Option<T>
    where
        T: Clone,
    {
        self.read().find(query).cloned()
    }

    /// The locks are never held across an await, and nothing that is done under them can leave a table half changed.
    fn read(&self) -> RwLockReadGuard<'_, Table<T>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<T>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    fn find(&self, query: Query<'_>) -> Option<&T> {
        self.domain(query.host)
            .into_iter()
            .chain(self.wildcards(query.host))
            .chain([&self.any])
            .find_map(|domain| domain.find(query))
    }

    /// The domains with a wildcard that fit a host, the most special first.
    fn wildcards<'a>(&'a self, host: &[u8]) -> impl Iterator<Item = &'a Domain<T>> {
        let ends = std::iter::successors(after_label(host), |end| after_label(end));
        // One label behind the wildcard would be a whole top-level domain.
        ends.skip_while(|end| end.len() > self.longest_wildcard)
            .take_while(|end| end.contains(&b'.'))
            .filter_map(|end| self.wildcard.get(end))
    }

    /// The domain of exactly this name. Nothing stops a request from naming a wildcard.
    fn domain(&self, name: &[u8]) -> Option<&Domain<T>> {
        match name {
            b"*" => Some(&self.any),
            _ => match name.strip_prefix(b"*.") {
                Some(end) => self.wildcard.get(end),
                None => self.exact.get(name),
            },
        }
    }

    fn domain_mut(&mut self, name: &[u8]) -> &mut Domain<T> {
        match name {
            b"*" => &mut self.any,
            _ => match name.strip_prefix(b"*.") {
                Some(end) => {
                    self.longest_wildcard = self.longest_wildcard.max(end.len());
                    self.wildcard.entry(end.into()).or_default()
                }
                None => self.exact.entry(name.into()).or_default(),
            },
        }
    }

    fn remove(&mut self, route: &Route) -> Option<T> {
        let name = route.domain.as_bytes();
        let domain = self.domain_mut(name);
        let payload = domain.remove(route.user.as_bytes(), route.location.as_bytes());
        if domain.is_empty() {
            match name.strip_prefix(b"*.") {
                Some(end) => self.wildcard.remove(end),
                None => self.exact.remove(name),
            };
        }
        payload
    }
}

impl<T> Domain<T> {
    fn find(&self, query: Query<'_>) -> Option<&T> {
        let of_user = if query.user.is_empty() { None } else { self.by_user.get(query.user) };
        of_user
            .into_iter()
            .chain([&self.of_all_users])
            .find_map(|routes| routes.iter().find(|route| query.path.starts_with(&route.location)))
            .map(|route| &route.payload)
    }

    fn routes_mut(&mut self, user: &[u8]) -> &mut Vec<Located<T>> {
        if user.is_empty() { &mut self.of_all_users } else { self.by_user.entry(user.into()).or_default() }
    }

    fn remove(&mut self, user: &[u8], location: &[u8]) -> Option<T> {
        let routes = self.routes_mut(user);
        let place = routes.binary_search_by(|other| location.cmp(&other.location)).ok();
        let removed = place.map(|place| routes.remove(place).payload);
        if routes.is_empty() {
            self.by_user.remove(user);
        }
        removed
    }

    fn is_empty(&self) -> bool {
        self.of_all_users.is_empty() && self.by_user.is_empty()
    }
}

/// What is left of a host without its leftmost label.
fn after_label(host: &[u8]) -> Option<&[u8]> {
    let dot = host.iter().position(|byte| *byte == b'.')?;
    host.get(dot + 1..)
}

/// A route in the table. Dropping it takes the route out.
#[derive(Debug)]
#[must_use = "the route goes with it"]
pub(crate) struct Registration<T> {
    router: Arc<Router<T>>,
    route: Route,
}

impl<T> Drop for Registration<T> {
    fn drop(&mut self) {
        // Whatever the payload does when it goes, it does not do it under the lock.
        let removed = self.router.write().remove(&self.route);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(domain: &str, location: &str, user: &str) -> Route {
        Route { domain: domain.to_owned(), location: location.to_owned(), user: user.to_owned() }
    }

    fn router(routes: &[(&str, &str, &str)]) -> (Arc<Router<usize>>, Vec<Registration<usize>>) {
        let router = Arc::<Router<usize>>::default();
        let registered = routes
            .iter()
            .enumerate()
            .map(|(index, (domain, location, user))| {
                router.register(route(domain, location, user), index).unwrap()
            })
            .collect();
        (router, registered)
    }

    fn find(router: &Router<usize>, host: &str, path: &str, user: &str) -> Option<usize> {
        router.find(Query { host: host.as_bytes(), path: path.as_bytes(), user: user.as_bytes() })
    }

    #[test]
    fn the_most_special_domain_wins() {
        let (router, _kept) = router(&[
            ("a.x.test", "", ""),
            ("*.a.x.test", "", ""),
            ("*.X.test", "", ""),
            ("*.test", "", ""),
            ("B.Test", "", ""),
        ]);
        let cases = [
            ("a.x.test", Some(0)),
            ("b.a.x.test", Some(1)),
            ("c.b.a.x.test", Some(1)),
            ("b.x.test", Some(2)),
            ("c.b.x.test", Some(2)),
            ("b.test", Some(4)),
            // A wildcard never stands for the label before a top-level domain, nor for none.
            ("x.test", None),
            ("y.test", None),
            ("c.b.test", None),
            ("test", None),
            ("", None),
            ("a.x.test.", None),
            (".x.test", Some(2)),
            // What upstream finds by their own names.
            ("*.x.test", Some(2)),
            ("*.test", Some(3)),
            ("*", None),
        ];
        for (host, found) in cases {
            assert_eq!(find(&router, host, "/", ""), found, "{host}");
        }
    }

    #[test]
    fn the_catch_all_is_last() {
        let (router, _kept) = router(&[("*", "", ""), ("a.test", "/only", ""), ("*.b.test", "/only", "")]);
        assert_eq!(find(&router, "a.test", "/only/this", ""), Some(1));
        assert_eq!(find(&router, "a.test", "/", ""), Some(0));
        assert_eq!(find(&router, "c.b.test", "/", ""), Some(0));
        assert_eq!(find(&router, "", "", ""), Some(0));
        assert_eq!(find(&router, "*", "", ""), Some(0));
    }

    #[test]
    fn the_longest_location_wins() {
        let (router, _kept) = router(&[
            ("a.test", "", ""),
            ("a.test", "/", ""),
            ("a.test", "/foo", ""),
            ("a.test", "/foo/bar", ""),
            ("a.test", "/zed", ""),
        ]);
        let cases = [
            ("", Some(0)),
            ("*", Some(0)),
            ("/", Some(1)),
            ("/fo", Some(1)),
            ("/foo", Some(2)),
            ("/foobar", Some(2)),
            ("/foo/bar/x", Some(3)),
            ("/FOO", Some(1)),
            ("/zed", Some(4)),
        ];
        for (path, found) in cases {
            assert_eq!(find(&router, "a.test", path, ""), found, "{path}");
        }
    }

    #[test]
    fn a_host_without_a_fitting_location_goes_on_to_wildcards() {
        let (router, _kept) = router(&[("a.x.test", "/a", ""), ("*.x.test", "/b", ""), ("*", "/c", "")]);
        assert_eq!(find(&router, "a.x.test", "/a", ""), Some(0));
        assert_eq!(find(&router, "a.x.test", "/b", ""), Some(1));
        assert_eq!(find(&router, "a.x.test", "/c", ""), Some(2));
        assert_eq!(find(&router, "a.x.test", "/d", ""), None);
    }

    #[test]
    fn routes_of_just_this_user_come_before_those_of_all() {
        let (router, _kept) = router(&[
            ("a.x.test", "", "ann"),
            ("a.x.test", "/long", ""),
            ("*.x.test", "", "bob"),
            ("*.x.test", "", ""),
        ]);
        assert_eq!(find(&router, "a.x.test", "/long", "ann"), Some(0));
        assert_eq!(find(&router, "a.x.test", "/long", "bob"), Some(1));
        assert_eq!(find(&router, "a.x.test", "/", "bob"), Some(2));
        assert_eq!(find(&router, "a.x.test", "/", "eve"), Some(3));
        assert_eq!(find(&router, "a.x.test", "/", ""), Some(3));
        assert_eq!(find(&router, "a.x.test", "/", "Ann"), Some(3));
    }

    #[test]
    fn a_route_is_taken_until_its_registration_is_dropped() {
        let (router, kept) = router(&[("a.test", "/x", "u"), ("*", "", ""), ("*.b.test", "", "")]);
        for taken in [route("A.TEST", "/x", "u"), route("*", "", ""), route("*.B.test", "", "")] {
            assert_eq!(router.register(taken, 9).unwrap_err().to_string(), "router config conflict");
        }
        let other = router.register(route("a.test", "/x", ""), 9).unwrap();
        assert_eq!(find(&router, "a.test", "/x", "u"), Some(0));
        drop(kept);
        assert_eq!(find(&router, "a.test", "/x", "u"), Some(9));
        drop(other);
        let table = router.read();
        assert!(table.exact.is_empty() && table.wildcard.is_empty() && table.any.is_empty());
        drop(table);
        assert!(router.register(route("a.test", "/x", "u"), 0).is_ok());
    }

    #[test]
    fn a_host_of_a_million_labels_is_looked_up_at_once() {
        let (router, _kept) = router(&[("*.x.test", "", "")]);
        let host = "a.".repeat(1_000_000) + "x.test";
        assert_eq!(find(&router, &host, "", ""), Some(0));
    }
}
