//! The logger of the process: made once, set anew at any time. (The file is named so that its events count as ours.)

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::path::Path;

use frp_log::{Level, LogOptions};
use tracing::{debug, info};

fn to(path: &Path, level: Level) -> LogOptions {
    LogOptions { to: path.to_str().unwrap().to_owned(), level, ..LogOptions::default() }
}

fn messages(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.rsplit("] ").next().unwrap().to_owned()).collect()
}

// One test, because there is one logger.
#[test]
fn the_last_options_hold_and_the_last_guard_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first.log"), directory.path().join("second.log"));
    info!("before there is a log");
    let guard = frp_log::init(&to(&first, Level::Info)).unwrap();
    info!("one");
    debug!("not at this level");
    let other = frp_log::init(&to(&second, Level::Debug)).unwrap();
    debug!("two");
    drop(guard);
    info!("three");
    drop(other);
    assert_eq!(messages(&first), ["one"]);
    assert_eq!(messages(&second), ["two", "three"]);

    // The log works on without guards.
    info!("four");
    assert!(frp_log::flush(std::time::Duration::from_secs(20)));
    assert_eq!(messages(&second), ["two", "three", "four"]);

    // A panic is a line, and the process goes on.
    let panicked = std::thread::spawn(|| panic!("of a test")).join();
    assert!(panicked.is_err());
    assert!(frp_log::flush(std::time::Duration::from_secs(20)));
    let last = messages(&second).pop().unwrap();
    assert!(last.starts_with("panic at ") && last.ends_with(": of a test"), "{last}");
}
