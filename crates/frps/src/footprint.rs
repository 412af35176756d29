//! What idle clients and users cost, so that nobody lets it grow without noticing: a server has thousands of them.

use crate::control::{Control, Queued};
use crate::{mux, user_conn};

/// Bytes of the future that a function makes of its arguments.
fn of<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn an_open_user_connection_is_small() {
    let bytes = of(|(proxy, user)| user_conn::serve(proxy, user));
    assert!(bytes <= 768, "{bytes} bytes");
}

#[test]
fn an_idle_mux_session_is_small() {
    let bytes =
        of(|(core, inbound, slot, config, deadline)| mux::serve(core, inbound, slot, config, deadline));
    assert!(bytes <= 1024, "{bytes} bytes");
}

#[test]
fn an_idle_control_is_small() {
    let bytes = of(|(control, channel, queued): (Control, _, _)| control.run(channel, queued));
    assert!(bytes <= 1280, "{bytes} bytes");
    assert!(size_of::<Queued>() <= 16, "a queue keeps room for 32 messages");
}
