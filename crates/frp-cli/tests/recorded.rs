//! Replays the command lines that were recorded from the original (`tests/data/cli`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use frp_cli::Exit;
use frp_config::{Environment, LoadOptions};
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/cli")
}

fn read(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data().join(name)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    value[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// What a program does with these words as far as the command line decides; `Ok` says what would run.
fn run(program: &str, words: &[String]) -> Result<String, Exit> {
    let arguments = [program.to_owned()].into_iter().chain(words.iter().cloned()).map(OsString::from);
    let options =
        LoadOptions { strict: true, environment: Environment::default(), base_dir: data().join("files") };
    match program {
        "frps" => {
            let run = frp_cli::frps::parse(arguments)?.prepare(&options)?;
            Ok(format!("{run:?}"))
        }
        "frpc" => {
            let runs = frp_cli::frpc::parse(arguments)?.prepare(&options)?;
            Ok(format!("{runs:?}"))
        }
        other => panic!("{other}"),
    }
}

/// Replaces what the recording does not have word for word.
fn without_prose(mut exit: Exit) -> Exit {
    if let Some(at) = exit.stderr.find("Usage:\n") {
        let usage = exit.stderr[at..].trim_end();
        let ends = &exit.stderr[at + usage.len()..];
        exit.stderr = format!("{}{{USAGE}}{ends}", &exit.stderr[..at]);
    }
    if exit.stdout.contains("\nUsage:\n") {
        assert!(exit.stdout.ends_with('\n'));
        exit.stdout = "{HELP}\n".to_owned();
    }
    exit
}

/// Cases that are not answered here, each with its reason.
fn left_out(id: &str) -> Option<&'static str> {
    const STARTS: &str = "starts a client; the tests of whole programs have these lines";
    const XTCP: &str = "comes with xtcp";
    const ADMIN: &str = "comes with the admin interface";
    Some(match id {
        "frpc-no-login"
        | "frpc-no-login-legacy"
        | "frpc-tcp-refused"
        | "frpc-udp-refused"
        | "frpc-http-refused"
        | "frpc-https-refused"
        | "frpc-tcpmux-refused"
        | "frpc-stcp-refused"
        | "frpc-sudp-refused"
        | "frpc-stcp-visitor-refused"
        | "frpc-sudp-visitor-refused" => STARTS,
        "frpc-cfgdir-file" => "prints while it runs; the tests of whole programs have this line",
        "frpc-xtcp-refused" | "frpc-xtcp-visitor-refused" => XTCP,
        "frpc-reload-refused"
        | "frpc-reload-timeout-ok"
        | "frpc-reload-lenient"
        | "frpc-status-refused"
        | "frpc-status-timeout-ok"
        | "frpc-status-timeout-0"
        | "frpc-stop-refused"
        | "frpc-stop-timeout-ok" => ADMIN,
        "frpc-nathole-discover-badaddr"
        | "frpc-nathole-discover-localbad"
        | "frpc-nathole-discover-silent" => "comes with NAT traversal",
        _ => return None,
    })
}

#[test]
fn command_lines_end_as_recorded() {
    let mut wrong = Vec::new();
    for case in read("cases.json") {
        let id = text(&case, "id");
        if let Some(reason) = left_out(id) {
            println!("left out: {id}: {reason}");
            continue;
        }
        let expected = Exit {
            stdout: text(&case, "stdout").to_owned(),
            stderr: text(&case, "stderr").to_owned(),
            code: u8::try_from(case["exit"].as_i64().unwrap()).unwrap(),
        };
        let got = match run(text(&case, "program"), &strings(&case, "args")) {
            Err(exit) => without_prose(exit),
            // A directory without files: nothing runs, and nothing is printed.
            Ok(runs) if runs == "Directory([])" => Exit::default(),
            Ok(other) => {
                wrong.push(format!("{id}: would run {other}"));
                continue;
            }
        };
        if got != expected {
            wrong.push(format!("{id}:\n  got      {got:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A flag as a help text shows it: name, shorthand, type, default, scope.
type Shown = (String, String, String, String, String);

fn shown_flags(help: &str) -> Vec<Shown> {
    let mut scope = "";
    let mut flags = Vec::new();
    for line in help.lines() {
        match line {
            "Flags:" => scope = "own",
            "Global Flags:" => scope = "inherited",
            "" => scope = "",
            _ if scope.is_empty() => {}
            _ => {
                let (label, about) = line.split_at(line.find("   ").map_or(line.len(), |_| {
                    let start = line.find("--").unwrap();
                    start + line[start..].find("   ").unwrap()
                }));
                let (short, rest) = label.split_once("--").unwrap();
                let (name, kind) = rest.split_once(' ').unwrap_or((rest, "bool"));
                let default = about
                    .rsplit_once(" (default ")
                    .map(|(_, default)| default.strip_suffix(')').unwrap())
                    .unwrap_or_default();
                let short = short.trim().trim_start_matches('-').trim_end_matches(',');
                flags.push([name, short, kind, default, scope].map(str::to_owned).into());
            }
        }
    }
    flags
}

fn section<'a>(help: &'a str, title: &str) -> Vec<&'a str> {
    help.lines().skip_while(|line| *line != title).skip(1).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn commands_have_the_flags_that_were_recorded() {
    for command in read("flags.json") {
        let program = text(&command, "program");
        let words: Vec<String> = text(&command, "command").split_whitespace().map(str::to_owned).collect();
        let with = |more: &[&str]| -> Vec<String> {
            words.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect()
        };
        let exit = run(program, &with(&["--help"])).unwrap_err();
        assert_eq!(i64::from(exit.code), command["exit"].as_i64().unwrap(), "{words:?}");
        assert_eq!(exit.stderr, "");
        assert!(exit.stdout.contains("\nUsage:\n"));
        assert_eq!(run(program, &with(&["-h"])), Err(exit.clone()));
        let topic: Vec<_> = ["help".to_owned()].into_iter().chain(words.clone()).collect();
        assert_eq!(run(program, &topic), Err(exit.clone()));

        let usage: Vec<_> =
            section(&exit.stdout, "Usage:").iter().map(|line| line.trim().to_owned()).collect();
        assert_eq!(usage, strings(&command, "usage"));
        let commands: Vec<_> = section(&exit.stdout, "Available Commands:")
            .iter()
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect();
        assert_eq!(commands, strings(&command, "commands"));

        let recorded: Vec<Shown> = command["flags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|flag| {
                ["name", "shorthand", "type", "default", "scope"].map(|key| text(flag, key).to_owned()).into()
            })
            .collect();
        assert_eq!(shown_flags(&exit.stdout), recorded, "{words:?}");

        for flag in command["flags"].as_array().unwrap() {
            let name = format!("--{}", text(flag, "name"));
            let alone = run(program, &with(&[&name]));
            let asks =
                matches!(&alone, Err(exit) if exit.stderr.starts_with("Error: flag needs an argument: --"));
            assert_eq!(asks, flag["takes_value"].as_bool().unwrap(), "{words:?} {name}");
        }
    }
}

#[test]
fn own_version_stands_in_help() {
    for program in ["frps", "frpc"] {
        let help = run(program, &["--help".to_owned()]).unwrap_err().stdout;
        assert!(help.starts_with(&format!("{program} {}: ", frp_cli::VERSION)), "{help}");
    }
}

#[test]
fn completion_scripts_exist_for_four_shells() {
    for program in ["frps", "frpc"] {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            let exit = run(program, &["completion".to_owned(), shell.to_owned()]).unwrap_err();
            assert_eq!((exit.code, exit.stderr.as_str()), (0, ""));
            assert!(exit.stdout.contains("verify") && exit.stdout.contains("strict-config"));
        }
    }
}
