//! Which proxies can be visited, and who is let in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use frp_config::Secret;
use frp_proto::crypto::{Key, key};
use frp_proto::digest::auth_key;
use frp_proto::msg::NewVisitorConn;
use frp_stream::layer::Layers;

use crate::ids::ProxyName;
use crate::proxy::Proxy;

/// Another proxy that can be visited has the name. The text reaches clients.
#[derive(Debug, thiserror::Error)]
#[error("custom listener for [{0}] is repeated")]
pub(crate) struct Repeated(ProxyName);

/// Why a visitor is not let in. The texts reach clients, in this order of checks.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("custom listener for [{0}] doesn't exist")]
    NoProxy(String),
    #[error("visitor connection of [{0}] auth failed")]
    WrongKey(String),
    #[error("visitor connection of [{name}] user [{user}] not allowed")]
    UserNotAllowed { name: String, user: String },
}

/// What a proxy asks of its visitors.
pub(crate) struct Terms {
    secret: Secret,
    /// Never empty; `*` is everyone.
    allow_users: Vec<String>,
    /// Of visitors that encrypt, derived for the first of them.
    key: OnceLock<Key>,
}

impl Terms {
    /// As configured: without `allow_users` only visitors of `owner`, the user of the proxy's client, are let in.
    pub(crate) fn new(secret: &Secret, allow_users: &[String], owner: &str) -> Self {
        let allow_users = if allow_users.is_empty() { vec![owner.to_owned()] } else { allow_users.to_vec() };
        Self { secret: secret.clone(), allow_users, key: OnceLock::new() }
    }

    /// Whether who signs this knows the secret. The timestamp may be of any age, as upstream has it.
    fn signed(&self, message: &NewVisitorConn) -> bool {
        let expected = auth_key(self.secret.expose().as_bytes(), message.timestamp);
        message.sign_key == expected
    }

    fn allows(&self, user: &str) -> bool {
        self.allow_users.iter().any(|allowed| allowed == user || allowed == "*")
    }

    /// The layers over a visitor's stream, as it asks for them.
    fn layers(&self, message: &NewVisitorConn) -> Layers {
        let key = || self.key.get_or_init(|| key::derive(self.secret.expose().as_bytes())).clone();
        Layers {
            encryption: message.use_encryption.then(key),
            compression: message.use_compression,
            limiter: None,
        }
    }
}

/// All proxies that can be visited, by name. The lock is never held across an await.
#[derive(Default)]
pub(crate) struct Visitors {
    doors: Mutex<HashMap<ProxyName, Arc<Visited>>>,
}

struct Visited {
    proxy: Arc<Proxy>,
    terms: Terms,
}

/// A visitor that is let in.
pub(super) struct Admitted {
    pub(super) proxy: Arc<Proxy>,
    /// Over the visitor's stream, from now on.
    pub(super) layers: Layers,
}

impl Visitors {
    /// Lets visitors of the proxy in until the door is dropped.
    ///
    /// # Errors
    /// When a proxy of that name is visited already.
    pub(crate) fn open(self: &Arc<Self>, proxy: &Arc<Proxy>, terms: Terms) -> Result<Door, Repeated> {
        let name = proxy.name.clone();
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.contains_key(&name) {
            return Err(Repeated(name));
        }
        doors.insert(name.clone(), Arc::new(Visited { proxy: Arc::clone(proxy), terms }));
        Ok(Door { visitors: Arc::clone(self), name })
    }

    /// Decides about a visitor of this user.
    pub(super) fn admit(&self, message: &NewVisitorConn, user: &str) -> Result<Admitted, Refusal> {
        let name = message.proxy_name.as_str();
        let found = self.doors.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let Some(visited) = found else { return Err(Refusal::NoProxy(name.to_owned())) };
        if !visited.terms.signed(message) {
            return Err(Refusal::WrongKey(name.to_owned()));
        }
        if !visited.terms.allows(user) {
            return Err(Refusal::UserNotAllowed { name: name.to_owned(), user: user.to_owned() });
        }
        Ok(Admitted { proxy: Arc::clone(&visited.proxy), layers: visited.terms.layers(message) })
    }
}

/// A proxy that can be visited. Visitors that are in stay when it is dropped.
pub(crate) struct Door {
    visitors: Arc<Visitors>,
    name: ProxyName,
}

impl Drop for Door {
    fn drop(&mut self) {
        let gone = self.visitors.doors.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        // Outside the lock: the last user of a proxy may be this.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(allow_users: &[&str]) -> Terms {
        let allow_users: Vec<_> = allow_users.iter().map(|&user| user.to_owned()).collect();
        Terms::new(&"abc".into(), &allow_users, "own")
    }

    /// As the original's client signs.
    fn signed(sign_key: &str, timestamp: i64) -> NewVisitorConn {
        NewVisitorConn { sign_key: sign_key.into(), timestamp, ..NewVisitorConn::default() }
    }

    #[test]
    fn the_secret_is_proved_by_a_key_of_any_age() {
        let terms = terms(&[]);
        assert!(terms.signed(&signed("22bd6333f840eeeee03ad14f75fd96ac", 1_700_000_000)));
        for (sign_key, timestamp) in [
            ("22bd6333f840eeeee03ad14f75fd96ac", 1_700_000_001),
            ("22BD6333F840EEEEE03AD14F75FD96AC", 1_700_000_000),
            ("22bd6333f840eeeee03ad14f75fd96a", 1_700_000_000),
            ("", 0),
        ] {
            assert!(!terms.signed(&signed(sign_key, timestamp)), "{sign_key} {timestamp}");
        }
    }

    #[test]
    fn the_own_user_is_allowed_when_no_other_is_named() {
        for (allowed, user, expected) in [
            (&[][..], "own", true),
            (&[], "eve", false),
            (&[], "", false),
            (&["eve"], "eve", true),
            (&["eve"], "own", false),
            (&["eve", "*"], "anyone", true),
            (&["*"], "", true),
        ] {
            assert_eq!(terms(allowed).allows(user), expected, "{allowed:?} {user}");
        }
        assert!(Terms::new(&"".into(), &[], "").allows(""));
    }

    #[test]
    fn a_visitor_chooses_the_layers_of_its_own_leg() {
        let terms = terms(&[]);
        let asked = NewVisitorConn { use_encryption: true, ..NewVisitorConn::default() };
        let layers = terms.layers(&asked);
        assert_eq!(layers.encryption.map(|key| *key.as_bytes()), Some(*key::derive(b"abc").as_bytes()));
        assert!(!layers.compression && layers.limiter.is_none());
        let layers = terms.layers(&NewVisitorConn { use_compression: true, ..NewVisitorConn::default() });
        assert!(layers.encryption.is_none() && layers.compression);
    }
}
