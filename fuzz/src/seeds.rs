//! Inputs to start from, out of the recorded data of the tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder `tests/data/<topic>`.
#[must_use]
pub fn data(topic: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(topic)
}

/// The contents of all files below `folder` with this extension, in the order of their paths.
#[must_use]
pub fn files(folder: &Path, extension: &str) -> Vec<Vec<u8>> {
    let of_kind = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    paths(folder).iter().filter(|path| of_kind(path)).filter_map(|path| fs::read(path).ok()).collect()
}

/// All files below `folder`, in order.
#[must_use]
pub fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    collect(folder, &mut paths);
    paths.sort();
    paths
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
