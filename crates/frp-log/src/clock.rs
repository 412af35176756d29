//! Local time, replaceable in tests.

use chrono::{DateTime, FixedOffset, Local, Utc};

/// Where the log gets its time from.
pub(crate) trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// An instant as the wall clock of this place shows it (`TZ` included).
    fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset>;
}

/// The system's clock and time zone.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        at.with_timezone(&Local).fixed_offset()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Clock;
    use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
    use std::sync::Mutex;

    /// A clock that stands still until it is moved, in a zone of a fixed offset.
    pub(crate) struct ManualClock {
        now: Mutex<DateTime<Utc>>,
        zone: FixedOffset,
    }

    impl ManualClock {
        /// `local` is written as `2026-11-22T23:59:59.500+05:30`.
        pub(crate) fn at(local: &str) -> Self {
            let at = DateTime::parse_from_rfc3339(local).unwrap();
            Self { now: Mutex::new(at.to_utc()), zone: *at.offset() }
        }

        pub(crate) fn advance(&self, by: TimeDelta) {
            *self.now.lock().unwrap() += by;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> DateTime<Utc> {
            *self.now.lock().unwrap()
        }

        fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
            at.with_timezone(&self.zone)
        }
    }
}
