//! A rate limit by callsite, so that a peer cannot fill a disk with one kind of line.

use crate::options::Level;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing::Metadata;
use tracing::callsite::Identifier;

/// How many lines of one callsite pass: so many at once, and so many per second afterwards.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

/// Refusals and failures: enough to see what happens, too little to fill a disk.
const WARNINGS: Rate = Rate { burst: 200.0, per_second: 20.0 };
/// Lines of level info with the target [`crate::PEER`].
const PEER_LINES: Rate = Rate { burst: 1000.0, per_second: 100.0 };
/// Debug and trace lines: someone asked for them, so much more passes.
const DETAILS: Rate = Rate { burst: 2000.0, per_second: 200.0 };

fn rate_of(metadata: &Metadata<'_>) -> Option<Rate> {
    match Level::of(*metadata.level()) {
        Level::Trace | Level::Debug => Some(DETAILS),
        Level::Info if metadata.target() == crate::PEER => Some(PEER_LINES),
        Level::Info => None,
        Level::Warn | Level::Error => Some(WARNINGS),
    }
}

struct Bucket {
    tokens: f64,
    at: DateTime<Utc>,
    suppressed: u64,
}

/// Lines of one callsite that were left out.
pub(crate) struct Suppressed {
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) count: u64,
}

impl Suppressed {
    /// The text of the line that stands for those left out.
    pub(crate) fn text(&self) -> String {
        format!("suppressed {} similar lines", self.count)
    }
}

/// What to do with a line.
pub(crate) enum Verdict {
    /// Write it; before it the count of those left out, if any.
    Pass(Option<Suppressed>),
    /// Leave it out. `first`: no count was waiting to be told before.
    Suppress { first: bool },
}

/// The buckets of all callsites that are limited. Their number is that of the log statements in the program.
#[derive(Default)]
pub(crate) struct FloodLimit {
    buckets: Mutex<HashMap<Identifier, (&'static Metadata<'static>, Bucket)>>,
    /// Some bucket has a count to tell.
    pending: AtomicBool,
}

impl FloodLimit {
    pub(crate) fn check(&self, metadata: &'static Metadata<'static>, now: DateTime<Utc>) -> Verdict {
        let Some(rate) = rate_of(metadata) else { return Verdict::Pass(None) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, bucket) = buckets
            .entry(metadata.callsite())
            .or_insert_with(|| (metadata, Bucket { tokens: rate.burst, at: now, suppressed: 0 }));
        // A clock that was set back refills nothing, and counts from its new time on.
        let elapsed = (now - bucket.at).as_seconds_f64().max(0.0);
        bucket.tokens = (bucket.tokens + elapsed * rate.per_second).min(rate.burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            bucket.suppressed += 1;
            return Verdict::Suppress { first: !self.pending.swap(true, Ordering::Relaxed) };
        }
        bucket.tokens -= 1.0;
        let count = std::mem::take(&mut bucket.suppressed);
        Verdict::Pass((count > 0).then_some(Suppressed { metadata, count }))
    }

    /// Whether lines were left out that no count line has told of yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// The counts not told yet, which are told herewith.
    pub(crate) fn take_pending(&self) -> Vec<Suppressed> {
        if !self.pending.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .values_mut()
            .filter(|(_, bucket)| bucket.suppressed > 0)
            .map(|(metadata, bucket)| Suppressed { metadata, count: std::mem::take(&mut bucket.suppressed) })
            .collect()
    }
}
