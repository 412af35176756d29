//! Where installed programs are found, and what they say of their version.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names a folder of peers' programs.
pub(crate) const FOLDER: &str = "FRP_BENCH_BIN";

/// Where distributions put servers, which `PATH` of an ordinary user may leave out.
const SYSTEM: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// The program of that name in [`FOLDER`], in `PATH`, or among the system's servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::var_os(FOLDER)
        .map(PathBuf::from)
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(SYSTEM.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// All that a program prints, on both outputs; empty when it cannot be run.
pub(crate) fn says(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The version that a program prints: the first word with a digit and a dot that is no address and no time.
pub(crate) fn version(program: &Path, arguments: &[&str]) -> String {
    first_version(&says(program, arguments)).unwrap_or_else(|| "of unknown version".to_owned())
}

fn first_version(text: &str) -> Option<String> {
    let word = text.split_whitespace().find(|word| {
        word.contains('.') && word.bytes().any(|byte| byte.is_ascii_digit()) && !word.contains(':')
    })?;
    Some(word.rsplit('/').next().unwrap_or(word).trim_end_matches(',').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_programs_print_them() {
        for (text, version) in [
            ("iperf 3.12 (cJSON 1.7.15)\nLinux host 6.1.0", "3.12"),
            ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer", "4.1.0-3+b2"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12-1+deb12u4"),
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("bore-cli 0.6.0", "0.6.0"),
            ("rathole \nBuild Timestamp:     2026-11-23T01:41:27.58Z\nBuild Version:       0.5.0", "0.5.0"),
            ("0.70.1", "0.70.1"),
        ] {
            assert_eq!(first_version(text).as_deref(), Some(version), "{text}");
        }
        assert_eq!(first_version("no version here"), None);
    }
}
