//! Panics as log lines: one of them costs the connection it happened in, and must not go by unseen.

use std::panic;

/// From now on a panic of any thread is logged at level error with its place, in place of Rust's text on stderr.
pub(crate) fn log() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
        tracing::error!("panic at {place}: {text}");
    }));
}
