//! The keys of an issuer: fetched with the first token, and again when one comes that none of them has signed.
//!
//! Anybody can send such a token. The issuer is therefore asked by one at a time, no more often than every
//! [`REFETCH_INTERVAL`], and whoever came meanwhile shares the answer. Upstream asks for each of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::http::{Http, HttpError};
use crate::jws::{Key, Token};

/// The least time between two questions for an issuer's keys. A good token waits so long at most, after they have changed.
pub const REFETCH_INTERVAL: Duration = Duration::from_secs(5);

/// Keys that are taken from one answer. A token that names none is tried with each.
const MAX_KEYS: usize = 100;

/// Why there are no keys. Shows nothing of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// No answer.
    #[error("oidc: get keys failed {0}")]
    Http(#[from] HttpError),
    /// Another answer than 200.
    #[error("oidc: get keys failed: {0}")]
    Status(String),
    /// No set of keys.
    #[error("oidc: failed to decode keys: {0}")]
    Json(&'static str),
}

/// See the module.
pub(crate) struct Keys {
    source: Arc<Source>,
    /// Held by whoever waits for a question, which is a task of its own: it goes on when who began it is sent away, as
    /// anybody is who takes too long.
    asking: tokio::sync::Mutex<JoinSet<()>>,
}

struct Source {
    http: Http,
    url: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Arc<[Key]>,
    /// Questions that have been answered, or not, so far.
    rounds: u64,
    /// What came of the last one.
    failure: Option<KeysError>,
    asked: Option<Instant>,
}

impl Keys {
    pub(crate) fn new(http: Http, url: String) -> Self {
        Self {
            source: Arc::new(Source { http, url, state: Mutex::default() }),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What the token says, if the issuer has signed it; none if not.
    pub(crate) async fn payload<'a>(&self, token: &'a Token<'_>) -> Result<Option<&'a [u8]>, KeysError> {
        let (keys, rounds) = {
            let state = self.source.state();
            (Arc::clone(&state.keys), state.rounds)
        };
        if let Some(payload) = signed_by_any(token, &keys) {
            return Ok(Some(payload));
        }
        drop(keys);
        Ok(signed_by_any(token, &self.refetched(rounds).await?))
    }

    /// The keys after another question than the first `seen` ones.
    async fn refetched(&self, seen: u64) -> Result<Arc<[Key]>, KeysError> {
        let mut asking = self.asking.lock().await;
        // Those that nobody has waited for to the end.
        while asking.try_join_next().is_some() {}
        let earliest = {
            let state = self.source.state();
            if state.rounds != seen {
                return state.outcome();
            }
            state.asked.map(|asked| asked + REFETCH_INTERVAL)
        };
        if asking.is_empty() {
            if let Some(earliest) = earliest {
                sleep_until(earliest).await;
            }
            let source = Arc::clone(&self.source);
            source.state().asked = Some(Instant::now());
            asking.spawn(async move { source.ask().await });
        }
        let _ = asking.join_next().await;
        self.source.state().outcome()
    }
}

impl Source {
    /// One question. Has the deadline of the HTTP client.
    async fn ask(&self) {
        let fetched = self.fetch().await;
        let mut state = self.state();
        state.rounds += 1;
        match fetched {
            Ok(keys) => {
                state.keys = keys;
                state.failure = None;
            }
            // Those that were good stay so.
            Err(error) => state.failure = Some(error),
        }
    }

    async fn fetch(&self) -> Result<Arc<[Key]>, KeysError> {
        let answer = self.http.get(&self.url).await?;
        if answer.status != 200 {
            return Err(KeysError::Status(answer.status_text()));
        }
        read_set(&answer.body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn outcome(&self) -> Result<Arc<[Key]>, KeysError> {
        self.failure.clone().map_or_else(|| Ok(Arc::clone(&self.keys)), Err)
    }
}

/// The keys of a set (RFC 7517, section 5) that we know how to use.
pub(crate) fn read_set(body: &[u8]) -> Result<Arc<[Key]>, KeysError> {
    let set: Value = serde_json::from_slice(body).map_err(|_| KeysError::Json("invalid JSON"))?;
    let keys = match set.get("keys") {
        Some(Value::Array(keys)) => keys.as_slice(),
        None | Some(Value::Null) if set.is_object() => &[],
        _ => return Err(KeysError::Json("no set of keys")),
    };
    Ok(keys.iter().filter_map(Key::read).take(MAX_KEYS).collect())
}

pub(crate) fn signed_by_any<'a>(token: &'a Token<'_>, keys: &[Key]) -> Option<&'a [u8]> {
    let named = keys.iter().filter(|key| token.key_id.is_empty() || token.key_id == key.id);
    named.into_iter().find_map(|key| token.payload_signed_by(key))
}
