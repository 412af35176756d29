//! Fuzz targets: one per parser, each a plain function over bytes that panics when something is wrong.
//!
//! Two drivers run them: the `smoke` binary on a stable compiler, with seeded random mutations of the seeds,
//! and libFuzzer through the files of `fuzz_targets/`. See `README.md`.
//!
//! | module | crate |
//! | --- | --- |
//! | [`proto`] | `frp-proto` |
//!
//! To add a target: write its function in the module of its crate, list it there, and give it a file in
//! `fuzz_targets/` and a `[[bin]]` in `Cargo.toml`.

#![forbid(unsafe_code)]

pub mod mutate;
pub mod proto;
pub mod seeds;

/// One parser under attack.
pub struct Target {
    /// Its name, as on the command line and in `fuzz_targets/`.
    pub name: &'static str,
    /// Feeds the parser; panics if it answers wrongly.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets of all crates.
#[must_use]
pub fn targets() -> Vec<Target> {
    proto::targets()
}
