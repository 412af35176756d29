//! The log of both programs: `tracing` events written as lines in frp's layout, to stdout or to a daily rotated
//! file.
//!
//! ```text
//! 2026-11-22 09:30:00.123 [I] [frps/server.rs:42] [0123456789abcdef] [ssh] tcp proxy listen port [6000]
//! local time, milliseconds | level | caller        | prefixes from spans  | message
//! ```
//!
//! What it must never do: block or fail the caller (a stalled or closed stdout, a full disk, a missing directory
//! cost log lines, never service), grow without a bound, print a line break or an escape sequence that came from a
//! peer, or know anything of the configuration (options are plain values).
//!
//! # Prefixes
//!
//! Every span with a field named `run_id`, `proxy` or `visitor` adds `[value] ` to the lines inside it, outermost
//! span first. Create such spans with `info_span!` (or a higher level): they are recorded whatever the log level is.
//! A field declared as `tracing::field::Empty` and recorded later takes effect then; recording it again replaces it.
//!
//! # Floods
//!
//! Lines of one callsite are limited: warnings and errors, debug and trace, and those that are logged with the target
//! [`PEER`]. What was left out is counted in a line `suppressed <n> similar lines`. Other lines of level info are never
//! left out, because scripts wait for them.
//!
//! # Map
//!
//! - `options`: [`LogOptions`], [`Level`]
//! - `logger`: the pieces put together; the process-wide logger behind [`init()`], [`print()`], [`flush()`]
//! - `layer`: the `tracing` layer: level filter, prefixes, flood limit
//! - `prefix`: fields of spans and events to text
//! - `layout`: one line as bytes: time, level letter, caller, escaping, colours
//! - `flood`: the rate limit by callsite
//! - `queue`: the bounded queue between callers and the writer
//! - `writer`: the thread that owns the outputs
//! - `file`: the file target with rotation and retention
//! - `clock`: local time, replaceable in tests
//! - `panics`: panics as log lines
#![forbid(unsafe_code)]

mod clock;
mod file;
mod flood;
mod layer;
mod layout;
mod logger;
mod options;
mod panics;
mod prefix;
mod queue;
mod writer;

pub use logger::{DRAIN_TIMEOUT, InitError, LogGuard, flush, init, print};
pub use options::{Level, LogOptions, UnknownLevel};

/// Target for lines of level info whose rate a peer decides before it has proved who it is, such as refused
/// connections: they take part in the flood limit.
///
/// ```
/// tracing::info!(target: frp_log::PEER, "client login info: ip [{}]", "192.0.2.1:1234");
/// ```
pub const PEER: &str = "frp_log::peer";
