//! Targets for `frp-cli`.

use std::ffi::OsString;
use std::path::PathBuf;

use frp_cli::frpc::FrpcCommand;
use frp_cli::frps::FrpsCommand;
use frp_cli::{Exit, frpc, frps};
use frp_config::{Environment, LoadOptions};

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("cli_frps", cli_frps, || lines("frps")).with_words(WORDS).with_memory(16),
        Target::new("cli_frpc", cli_frpc, || lines("frpc")).with_words(WORDS).with_memory(16),
    ]
}

const WORDS: &[&str] = &[
    "\n--",
    "\n-",
    "\n--config=",
    "\n-c\n",
    "\n--help",
    "\nhelp\n",
    "\ncompletion\nbash",
    "\n__complete\n",
    "\nverify",
    "\ntcp",
    "\nhttp",
    "\nstcp\nvisitor",
    "\n--server_addr=",
    "\n--server-port\n",
    "\n-n=a",
    "\n--sd=a,\"b,c\"",
    "\n--bandwidth_limit=1MB",
    "\n--allow_ports=1-3,5",
    "\n--annotations=a=b,c=d",
    "\n--locations=/,/a",
    "=true",
    "=F",
    "=0x10",
    "=1h30m",
];

/// The command lines that the original was recorded with, a word a line.
fn lines(program: &str) -> Vec<Vec<u8>> {
    let recorded = std::fs::read(seeds::data("cli").join("cases.json")).unwrap_or_default();
    let recorded: serde_json::Value = serde_json::from_slice(&recorded).unwrap_or_default();
    let cases = recorded.as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = cases.iter().filter(|case| case["program"] == program);
    let words = ours.filter_map(|case| case["args"].as_array());
    words
        .map(|words| {
            words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join("\n").into_bytes()
        })
        .collect()
}

/// The lines as words behind the program's name.
fn words(program: &str, data: &[u8]) -> Vec<OsString> {
    let words = data.split(|byte| *byte == b'\n').map(|word| {
        #[cfg(unix)]
        return <OsString as std::os::unix::ffi::OsStringExt>::from_vec(word.to_vec());
        #[cfg(not(unix))]
        return String::from_utf8_lossy(word).into_owned().into();
    });
    std::iter::once(program.into()).chain(words).collect()
}

fn options() -> LoadOptions {
    LoadOptions { strict: true, environment: Environment::default(), base_dir: PathBuf::from("/nonexistent") }
}

/// An end says something, and in whole lines.
fn judge(exit: &Exit) {
    assert!(exit.code <= 1);
    assert!(!exit.stdout.is_empty() || !exit.stderr.is_empty());
    for text in [&exit.stdout, &exit.stderr] {
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    }
}

/// Any words behind `frps`. What flags alone describe is checked, no file is read.
pub fn cli_frps(data: &[u8]) {
    match frps::parse(words("frps", data)) {
        Err(exit) => judge(&exit),
        Ok(command @ FrpsCommand::RunFlags(..)) => {
            if let Err(exit) = command.prepare(&options()) {
                assert_eq!(exit.code, 1);
                judge(&exit);
            }
        }
        Ok(command) => drop(format!("{command:?}")),
    }
}

/// Any words behind `frpc`, likewise.
pub fn cli_frpc(data: &[u8]) {
    match frpc::parse(words("frpc", data)) {
        Err(exit) => judge(&exit),
        Ok(command @ (FrpcCommand::RunFlags(..) | FrpcCommand::NatHoleDiscover)) => {
            if let Err(exit) = command.prepare(&options()) {
                assert_eq!(exit.code, 1);
                judge(&exit);
            }
        }
        Ok(command) => drop(format!("{command:?}")),
    }
}
