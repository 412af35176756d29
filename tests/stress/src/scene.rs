//! What a scene measures, and how it is printed.

use std::time::Duration;

use anyhow::Result;

/// What one scene measured, within its bounds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Peak growth of the server's resident memory, in bytes.
    pub(crate) frps: Option<u64>,
    /// Peak growth of the client's.
    pub(crate) frpc: Option<u64>,
    /// How long a legitimate client, or the one that was cut off, took to carry a byte.
    pub(crate) client: Option<Duration>,
    /// What the server logged about it.
    pub(crate) log: String,
}

/// Prints a row and notes a failure.
pub(crate) fn report(name: &'static str, result: Result<Outcome>, failed: &mut Vec<&'static str>) {
    match result {
        Ok(outcome) => {
            let mib = |bytes: Option<u64>| {
                bytes.map_or_else(
                    || "-".to_owned(),
                    |bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)),
                )
            };
            let seconds =
                outcome.client.map_or_else(|| "-".to_owned(), |wait| format!("{:.2}", wait.as_secs_f64()));
            println!(
                "{name:<34} {:>9} {:>9} {seconds:>9}  {}",
                mib(outcome.frps),
                mib(outcome.frpc),
                outcome.log.chars().take(110).collect::<String>()
            );
        }
        Err(error) => {
            println!("{name:<34} FAILED: {error:#}");
            failed.push(name);
        }
    }
}
