//! Resident memory: what only the start of the program needed is given back, what its buffers need stays.
//!
//! Reading a command line, a configuration and certificates, and the first handshake, take several times the code that
//! serving takes; the system keeps all of it mapped. It is clean memory, which the system could take itself, but does so
//! only when it is short.

use std::sync::Once;

/// To be called when a program begins: memory for buffers that come and go stays with it, up to a few MiB in
/// each arena of the allocator. Does nothing
/// elsewhere than on Linux with glibc.
pub fn prepare() {
    #[cfg(target_os = "linux")]
    frp_stream::sys::keep_freed_memory();
}

/// What a program has behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// It is ready to serve: listeners are bound, or the server has let it in.
    Ready,
    /// Its first proxy is up, so that also the first handshake and the first messages are over.
    InUse,
}

/// Gives back what was only needed until now; once for each milestone of the process, since a process may hold
/// thousands of clients. Takes less than a millisecond. Does nothing elsewhere than on Linux.
pub fn passed(milestone: Milestone) {
    static READY: Once = Once::new();
    static IN_USE: Once = Once::new();
    let once = match milestone {
        Milestone::Ready => &READY,
        Milestone::InUse => &IN_USE,
    };
    once.call_once(|| {
        #[cfg(target_os = "linux")]
        frp_stream::sys::release_what_only_the_start_needed();
    });
}
