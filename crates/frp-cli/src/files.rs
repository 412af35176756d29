//! The files of a directory and of those below it.

use std::fs;
use std::path::Path;

/// Directories deeper than this are left out; symbolic links to directories are not followed at all.
const MAX_DEPTH: usize = 64;

/// Paths of all that is no directory below `root`, in the order of their names, each beginning with `root` as it was
/// written. What cannot be read has no files. A `root` that is a file is the only one.
///
/// Relative paths start from `base_dir`.
pub(crate) fn below(root: &str, base_dir: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(root, base_dir, 0, &mut files);
    files
}

fn collect(path: &str, base_dir: &Path, depth: usize, files: &mut Vec<String>) {
    let Ok(metadata) = fs::symlink_metadata(base_dir.join(path)) else { return };
    if !metadata.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let Ok(entries) = fs::read_dir(base_dir.join(path)) else { return };
    if depth == MAX_DEPTH {
        return;
    }
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        collect(&join(path, &name), base_dir, depth + 1, files);
    }
}

/// As Go's `filepath.Join` does it for a path that is written without needless dots: `./d/` and `a` make `d/a`.
fn join(directory: &str, name: &str) -> String {
    let clean = directory.trim_start_matches("./").trim_end_matches('/');
    match clean {
        "" if directory.starts_with('/') => format!("/{name}"),
        "" | "." => name.to_owned(),
        _ => format!("{clean}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_order_and_with_the_path_as_written() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["d/sub/b.toml", "d/a.toml", "d/z", "d/sub/deep/x"] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let expected = ["d/a.toml", "d/sub/b.toml", "d/sub/deep/x", "d/z"];
        for root in ["d", "./d", "d/"] {
            assert_eq!(below(root, directory.path()), expected, "{root}");
        }
        assert_eq!(below("d/a.toml", directory.path()), ["d/a.toml"]);
        assert!(below("nowhere", directory.path()).is_empty());
        let absolute = directory.path().join("d");
        assert_eq!(below(absolute.to_str().unwrap(), Path::new("")).len(), 4);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_directory_is_an_entry_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("d")).unwrap();
        std::os::unix::fs::symlink(".", directory.path().join("d/loop")).unwrap();
        assert_eq!(below("d", directory.path()), ["d/loop"]);
    }
}
