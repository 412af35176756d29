//! Lock, wake-ups and clock of a session: the system's and tokio's, and in the model check those of `model::sync`,
//! which every interleaving can be tried with.

#[cfg(all(test, frp_loom))]
pub(crate) use crate::model::sync::{
    Instant, Mutex, MutexGuard, Notify, PoisonError, Semaphore, Sleep, sleep_until,
};
#[cfg(not(all(test, frp_loom)))]
pub(crate) use {
    std::sync::{Mutex, MutexGuard, PoisonError},
    tokio::sync::{Notify, Semaphore},
    tokio::time::{Instant, Sleep, sleep_until},
};
