//! A model check of what handles and driver share: with [loom](https://docs.rs/loom), the real [`Session`], [`MuxStream`]
//! and [`Driver`] run in every order of steps, up to a number of preemptions. A step is what one thread does between two
//! uses of the session's lock, the transport, a waker, or tokio's `Notify` and `Semaphore`, which are taken to be right.
//!
//! ```sh
//! RUSTFLAGS="--cfg frp_loom" cargo test -p frp-mux --target-dir target/loom model
//! ```
//!
//! Each model ends in every order, or loom reports a deadlock: nobody sleeps for good, though the clock stands still and no
//! deadline helps. And what was written is what is read, to the last byte. The models of `handles` are tried in every order
//! there is, those of `moves` and `ends`, where the driver runs, in some thousands; `LOOM_MAX_PREEMPTIONS=3` and
//! `LOOM_MAX_PERMUTATIONS=1000000` go further than the run of every day does.
//!
//! # Whether it would notice
//!
//! Each of these faults was planted, made at least one model fail, and was taken out again; try a change to the
//! lock side in the same way.
//!
//! - `Driver::sleep` gives the lock back between looking for work and leaving its waker, or does not look.
//! - `Driver::sleep` says that the transport is blocked when it is not.
//! - `Shared::unlock` wakes the driver only when there is something to send, also where it must look at a deadline.
//! - `Shared::end` does not wake the streams, or does not close the semaphore of those who open.
//! - `Session::accept` begins to listen for arrivals after it has looked for one.
//! - `MuxStream::poll_fill` looks at the end of the session before it takes the lock for reading.
//!
//! One that was no plant: a driver that was closed shut the transport down while streams still had something to send,
//! because what it had gathered before had just gone out.

mod ends;
mod handles;
mod moves;
pub(crate) mod sync;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread::JoinHandle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use self::sync::block_on;
use self::wire::{Peer, Wire, wire};
use crate::frame::{Flags, Header, Kind};
use crate::{Config, Driver, MuxStream, Session, SessionEnd};

/// Orders that are tried of one model with each number of preemptions, at most.
const PERMUTATIONS: usize = 7_000;

/// Runs `model` in every order with one preemption, then with two, each as far as [`PERMUTATIONS`] go: the search goes
/// deep first, and would not come far with many.
fn check(model: impl Fn() + Send + Sync + 'static) {
    check_some(PERMUTATIONS, model);
}

/// Like [`check`], with a limit of its own.
fn check_some(permutations: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    for preemptions in 1..=2 {
        let model = Arc::clone(&model);
        explore(Some(preemptions), permutations, move || model());
    }
}

/// Runs `model` in every order.
fn check_all(model: impl Fn() + Send + Sync + 'static) {
    explore(None, usize::MAX, model);
}

fn explore(preemptions: Option<usize>, permutations: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_threads = 5;
    builder.max_branches = 20_000;
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.max_permutations.get_or_insert(permutations);
    // So often it looks at the bound above.
    builder.checkpoint_interval = 100;
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} orders with {preemptions:?} preemptions", orders.load(Ordering::Relaxed));
}

/// Starts a thread that runs `future`.
fn go<F: Future>(future: F) -> JoinHandle<F::Output>
where
    F: Send + 'static,
    F::Output: Send + 'static,
{
    let thread = loom::thread::Builder::new().stack_size(0x8000);
    thread.spawn(move || block_on(future)).unwrap()
}

/// No pings, and so little room that a few bytes fill it.
fn config() -> Config {
    Config { keepalive_interval: None, send_queue: 3, ..Config::default() }
}

/// A session whose driver has not started.
fn session(is_client: bool, capacity: usize, config: Config) -> (Session, Driver<Wire>, Peer) {
    let (near, far) = wire(capacity);
    let (session, driver) =
        if is_client { Session::client(near, config) } else { Session::server(near, config) };
    (session, driver, Peer(far))
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Writes `data` and shuts down.
async fn write_all(stream: &mut MuxStream, data: &[u8]) {
    stream.write_all(data).await.unwrap();
    stream.shutdown().await.unwrap();
}
