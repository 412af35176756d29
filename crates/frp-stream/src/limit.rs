//! The bandwidth limit of a proxy: one token bucket for all its connections and both directions.
//!
//! Upstream `pkg/util/limit` over `golang.org/x/time/rate`: rate and burst are the same number of
//! bytes, the bucket starts full, a read is paid for after it happened and before it is handed on,
//! a write before it happens. Waiting is first come, first served by the time of asking.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The bucket holds what one second brings, because the burst equals the rate.
const BUCKET: Duration = Duration::from_secs(1);

/// Smallest and largest piece in which a limited stream moves bytes. The small one is upstream's
/// copy buffer; larger pieces at high rates save system calls and still come 64 times a second.
const MIN_PIECE: u64 = 16 * 1024;
const MAX_PIECE: u64 = 64 * 1024;
const PIECES_PER_SECOND: u64 = 64;

/// A token bucket of bytes, shared (in an `Arc`) by all connections of a proxy and both directions.
#[derive(Debug)]
pub struct RateLimiter {
    bytes_per_second: u64,
    /// When the bucket will be full again if nothing more is taken. All of its state: what is in the
    /// bucket at a time `t` is `rate × (1 s − (full_at − t))`, below zero while somebody waits.
    full_at: Mutex<Instant>,
}

impl RateLimiter {
    /// A full bucket of `bytes_per_second` bytes that gains as many per second.
    ///
    /// A limit of 0 means "no limit" in a configuration and must not get here; it is taken as 1.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), full_at: Mutex::new(Instant::now()) }
    }

    /// The rate, and with it the burst, in bytes (per second).
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// The most bytes that a limited stream moves at once.
    pub(crate) fn piece(&self) -> usize {
        let piece = (self.bytes_per_second / PIECES_PER_SECOND).clamp(MIN_PIECE, MAX_PIECE);
        usize::try_from(piece.min(self.bytes_per_second)).unwrap_or(usize::MAX)
    }

    /// Takes `bytes` tokens and says when they are there: `None` for now. They are taken either way;
    /// who does not use them gives them back with [`RateLimiter::refund`].
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        *full_at = (*full_at).max(now) + self.cost(bytes);
        // Not `full_at - BUCKET`: an instant before the clock's origin may not exist.
        let wait = full_at.saturating_duration_since(now + BUCKET);
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Gives back tokens that were reserved and not used.
    pub(crate) fn refund(&self, bytes: usize) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = full_at.checked_sub(self.cost(bytes)) {
            *full_at = earlier;
        }
    }

    /// The time in which the bucket gains `bytes`, rounded up to a nanosecond.
    fn cost(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.bytes_per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn burst_then_exact_rate() {
        let limiter = RateLimiter::new(1000);
        assert_eq!(limiter.reserve(1000), None);
        let start = Instant::now();
        assert_eq!(limiter.reserve(500), Some(start + Duration::from_millis(500)));
        // Who comes later waits behind.
        assert_eq!(limiter.reserve(1), Some(start + Duration::from_millis(501)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_never_holds_more_than_one_second() {
        let limiter = RateLimiter::new(1000);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(limiter.reserve(1000), None);
        assert!(limiter.reserve(1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn refunded_tokens_are_there_for_the_next() {
        let limiter = RateLimiter::new(1000);
        assert_eq!(limiter.reserve(1000), None);
        assert!(limiter.reserve(700).is_some());
        limiter.refund(700);
        advance(Duration::from_millis(100)).await;
        assert_eq!(limiter.reserve(100), None);
    }

    #[tokio::test(start_paused = true)]
    async fn extreme_numbers_do_not_overflow() {
        assert_eq!(RateLimiter::new(u64::MAX).reserve(usize::MAX / 2), None);
        let slow = RateLimiter::new(0);
        assert_eq!(slow.bytes_per_second(), 1);
        assert!(slow.reserve(1 << 30).is_some());
    }

    #[test]
    fn pieces_never_exceed_the_burst() {
        let piece = |rate| RateLimiter::new(rate).piece();
        assert_eq!(piece(1000), 1000);
        assert_eq!(piece(100 * 1024), 16 * 1024);
        assert_eq!(piece(2 << 20), 32 * 1024);
        assert_eq!(piece(1 << 40), 64 * 1024);
    }
}
