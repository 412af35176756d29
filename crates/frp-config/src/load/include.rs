//! `includes`: further files with proxies and visitors.

use std::path::{Path, PathBuf};

use super::{LoadError, LoadOptions, absolute, format, os_error_text, read_error};
use crate::decode::ClientFile;

/// The folder of an include's pattern. It is taken as it is; only the last part of the path is a pattern.
pub(crate) fn directory(pattern: &str, base_dir: &Path) -> PathBuf {
    let folder = pattern.rfind('/').map_or(".", |at| pattern.get(..=at).unwrap_or_default());
    absolute(folder, base_dir)
}

/// The files that a pattern stands for, by name. Folders are left out, and a malformed pattern matches nothing.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn files(pattern: &str, base_dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let folder = directory(pattern, base_dir);
    let name_pattern = pattern.rsplit('/').next().unwrap_or_default();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names
        .into_iter()
        .filter(|name| matches(name_pattern, &name.to_string_lossy()))
        .map(|name| folder.join(name))
        .collect())
}

/// Loads the proxies and visitors of all includes of a TOML, YAML or JSON file, in the order of the patterns.
pub(super) fn load(patterns: &[String], options: &LoadOptions) -> Result<Vec<ClientFile>, LoadError> {
    let mut loaded = Vec::new();
    for pattern in patterns {
        let folder = directory(pattern, &options.base_dir);
        let found = files(pattern, &options.base_dir).map_err(|error| {
            // Upstream looks whether the folder is there before it opens and lists it.
            let operation = match error.kind() {
                std::io::ErrorKind::NotFound => "stat",
                std::io::ErrorKind::NotADirectory => "readdirent",
                _ => "open",
            };
            LoadError::new(format!("{operation} {}: {}", folder.display(), os_error_text(&error)))
        })?;
        for path in found {
            loaded.push(load_one(&path, options).map_err(|error| {
                LoadError::new(format!("load additional config from {} error: {error}", path.display()))
            })?);
        }
    }
    Ok(loaded)
}

fn load_one(path: &Path, options: &LoadOptions) -> Result<ClientFile, LoadError> {
    let text = path.display().to_string();
    let raw = std::fs::read(path).map_err(|error| LoadError::new(read_error(&text, &error)))?;
    format::client(&raw, &text, options)
}

/// Whether a file name matches a pattern of Go's `filepath.Match`: `*`, `?`, `[a-z]`, `[^a-z]` and `\` before any
/// character. A malformed pattern matches nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    matches_at(&pattern, &name)
}

fn matches_at(mut pattern: &[char], mut name: &[char]) -> bool {
    // Where to go on after the last star, should the rest not fit: one character further each time.
    let mut retry: Option<(&[char], &[char])> = None;
    loop {
        let step = match pattern {
            [] if name.is_empty() => return true,
            ['*', rest @ ..] => {
                retry = Some((rest, name));
                pattern = rest;
                continue;
            }
            [] => None,
            _ => name
                .split_first()
                .and_then(|(first, behind)| matches_one(pattern, *first).map(|rest| (rest, behind))),
        };
        match (step, retry) {
            (Some((rest, behind)), _) => (pattern, name) = (rest, behind),
            (None, Some((after_star, [_, behind @ ..]))) => {
                retry = Some((after_star, behind));
                (pattern, name) = (after_star, behind);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one character against the first item of a pattern and gives the rest of the pattern.
fn matches_one(pattern: &[char], character: char) -> Option<&[char]> {
    match pattern {
        ['?', rest @ ..] => Some(rest),
        ['[', class @ ..] => matches_class(class, character),
        ['\\', literal, rest @ ..] => (*literal == character).then_some(rest),
        ['\\'] => None,
        [literal, rest @ ..] => (*literal == character).then_some(rest),
        [] => None,
    }
}

fn matches_class(class: &[char], character: char) -> Option<&[char]> {
    let (negated, mut class) = match class {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut ranges = 0_usize;
    loop {
        if let [']', rest @ ..] = class
            && ranges > 0
        {
            return (found != negated).then_some(rest);
        }
        let (low, rest) = class_character(class)?;
        let (high, rest) = match rest {
            ['-', rest @ ..] => class_character(rest)?,
            rest => (low, rest),
        };
        found |= (low..=high).contains(&character);
        ranges += 1;
        class = rest;
    }
}

/// One bound of a range, possibly escaped.
fn class_character(class: &[char]) -> Option<(char, &[char])> {
    match class {
        ['-' | ']', ..] | [] | ['\\'] => None,
        ['\\', literal, rest @ ..] => Some((*literal, rest)),
        [literal, rest @ ..] => Some((*literal, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("*", ".hidden"),
            ("?.toml", "é.toml"),
            ("[a-c]x", "bx"),
            ("[^a-c]x", "dx"),
            (r"a\*b", "a*b"),
            ("*a*b*", "xxaxxbxx"),
            ("[\\]]", "]"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.toml", "a.tom"),
            ("[a-c]x", "dx"),
            ("[", "["),
            ("[]a]", "a"),
            ("a\\", "a\\"),
            ("a[", "a"),
            ("?", ""),
            ("[a-", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
