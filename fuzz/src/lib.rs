//! Fuzz targets: one per parser, each a plain function over bytes that panics when something is wrong.
//!
//! Two drivers run them: the `smoke` binary on a stable compiler, with seeded random mutations of the seeds,
//! and libFuzzer through the files of `fuzz_targets/`. See `README.md`.
//!
//! | module | crate |
//! | --- | --- |
//! | [`proto`] | `frp-proto` |
//! | [`mux`] | `frp-mux` |
//! | [`stream`] | `frp-stream` |
//! | [`template`] | `frp-template` |
//! | [`config`] | `frp-config` |
//! | [`kcp`] | `frp-kcp` |
//! | [`net`] | `frp-net` |
//! | [`oidc`] | `frp-oidc` |
//! | [`http`] | `frp-http` |
//! | [`cli`] | `frp-cli` |
//!
//! To add a target: write its function in the module of its crate, list it there, and give it a file in
//! `fuzz_targets/` and a `[[bin]]` in `Cargo.toml`.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod http;
pub mod kcp;
pub mod mutate;
pub mod mux;
pub mod net;
pub mod oidc;
pub mod pieces;
pub mod proto;
pub mod seeds;
pub mod stream;
pub mod template;

/// One parser under attack.
pub struct Target {
    /// Its name, as on the command line and in `fuzz_targets/`.
    pub name: &'static str,
    /// Feeds the parser; panics if it answers wrongly.
    pub run: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something to this parser; a change may plant one.
    pub words: &'static [&'static str],
    /// What one input may make the parser hold at any time, in bytes.
    pub memory: usize,
}

impl Target {
    /// A target without words of its own, and with 8 MiB of memory.
    const fn new(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Self {
        Self { name, run, seeds, words: &[], memory: 8 << 20 }
    }

    /// The same with words.
    const fn with_words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// The same with so many MiB of memory.
    const fn with_memory(mut self, mebibytes: usize) -> Self {
        self.memory = mebibytes << 20;
        self
    }
}

/// All targets of all crates.
#[must_use]
pub fn targets() -> Vec<Target> {
    [
        proto::targets(),
        mux::targets(),
        stream::targets(),
        template::targets(),
        config::targets(),
        kcp::targets(),
        net::targets(),
        oidc::targets(),
        http::targets(),
        cli::targets(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// libFuzzer reaches every target, and each has something to start from.
    #[test]
    fn every_target_has_its_file_and_seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for target in super::targets() {
            let name = target.name;
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
            let file = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(file.contains(&format!("::{name}(data)")), "{name}");
            assert!(!(target.seeds)().is_empty(), "{name}");
        }
    }
}
