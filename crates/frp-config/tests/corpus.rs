//! Replays what the original makes of configuration files: exit code, output, and the completed structure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use frp_config::load::select;
use frp_config::run::{prepare_client, prepare_server};
use frp_config::value::BandwidthLimit;
use frp_config::{LoadOptions, Program, UnsafeFeatures, Value, Verdict, load_client, load_server, verify};
use serde_json::Value as Json;

/// What stands before the words of Go's TOML parser. Ours names the same line in other words.
const PARSER_TEXT: &str = "toml: ";

/// Cases that end while starting up, behind everything that this crate does: here they must pass.
const LATER: [&str; 2] = ["c-run-ts-file-missing", "s-run-ts-file-missing"];

struct Case {
    id: String,
    program: Program,
    file: String,
    verify: bool,
    options: LoadOptions,
    allowed: UnsafeFeatures,
    exit: u8,
    stdout: String,
    expect: Option<Json>,
}

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/config").canonicalize().unwrap()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

impl Case {
    fn read(json: &Json) -> Self {
        let base_dir = data().join("files");
        let file = json["file"].as_str().unwrap_or_default().to_owned();
        let fill = |text: &str| text.replace("{FILE}", &file).replace("{DIR}", base_dir.to_str().unwrap());
        let mut case = Self {
            id: text(&json["id"]),
            program: if json["program"] == "frps" { Program::Server } else { Program::Client },
            file: String::new(),
            verify: false,
            options: LoadOptions {
                strict: true,
                environment: json["env"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect(),
                base_dir: base_dir.clone(),
            },
            allowed: UnsafeFeatures::default(),
            exit: u8::try_from(json["exit"].as_u64().unwrap()).unwrap(),
            stdout: fill(json["stdout"].as_str().unwrap()),
            expect: json.get("expect").cloned(),
        };
        let mut words = json["args"].as_array().unwrap().iter().map(|word| fill(word.as_str().unwrap()));
        while let Some(word) = words.next() {
            match word.as_str() {
                "verify" => case.verify = true,
                "-c" => case.file = words.next().unwrap(),
                "--strict_config=true" => {}
                "--strict_config=false" => case.options.strict = false,
                "--allow-unsafe" => case.allowed = UnsafeFeatures::allow(words.next()),
                other => panic!("{}: argument {other}", case.id),
            }
        }
        case
    }

    fn run(&self) -> Verdict {
        if self.verify {
            return verify(self.program, &self.file, &self.options, &self.allowed);
        }
        let mut lines = Vec::new();
        let outcome = match self.program {
            Program::Server => {
                prepare_server(&self.file, &self.options, &self.allowed, &mut lines).map(|_| ())
            }
            Program::Client => {
                prepare_client(&self.file, &self.options, &self.allowed, &mut lines).map(|_| ())
            }
        };
        let exit = u8::from(outcome.is_err());
        lines.extend(outcome.err().map(|error| error.to_string()));
        Verdict { stdout: lines.iter().map(|line| format!("{line}\n")).collect(), exit }
    }

    /// The completed structure in the form of `expect`, if the file loads.
    fn structure(&self) -> Option<Json> {
        match self.program {
            Program::Server => {
                let loaded = load_server(&self.file, &self.options).ok()?;
                Some(serde_json::json!({ "legacy": loaded.legacy, "server": json(&loaded.config.tree()) }))
            }
            Program::Client => {
                let loaded = load_client(&self.file, &self.options).ok()?;
                let (proxies, visitors) = select(&loaded.common, loaded.proxies, loaded.visitors);
                Some(serde_json::json!({
                    "legacy": loaded.legacy,
                    "common": json(&loaded.common.tree()),
                    "proxies": proxies.iter().map(|proxy| json(&proxy.tree())).collect::<Vec<_>>(),
                    "visitors": visitors.iter().map(|visitor| json(&visitor.tree())).collect::<Vec<_>>(),
                }))
            }
        }
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Number(text) => Json::from(text.parse::<i64>().unwrap()),
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Object(entries) => Json::Object(
            entries
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) if key == "bandwidthLimit" => {
                        let bytes = BandwidthLimit::parse(text).unwrap().bytes();
                        (key.clone(), serde_json::json!({ "text": text, "bytes": bytes }))
                    }
                    value => (key.clone(), json(value)),
                })
                .collect(),
        ),
    }
}

/// The recorded structure, with two changes that are everywhere. A proxy of an INI file without a type is tcp here,
/// where the original leaves that to the server. And since the original's order of such proxies is undefined and
/// recorded by name, `by_name` sorts both sides.
fn comparable(mut structure: Json) -> Json {
    let legacy = structure["legacy"] == true;
    for list in ["proxies", "visitors"] {
        let Some(entries) = structure.get_mut(list).and_then(Json::as_array_mut) else { continue };
        for entry in entries.iter_mut().filter(|entry| entry["type"] == "") {
            entry["type"] = "tcp".into();
        }
        if legacy {
            entries.sort_by_key(|entry| entry["name"].to_string());
        }
    }
    structure
}

/// The first place where two structures differ, for the reader.
fn difference(path: &str, ours: &Json, theirs: &Json) -> Option<String> {
    let missing = Json::String("(missing)".to_owned());
    match (ours, theirs) {
        (Json::Object(left), Json::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (left, right) = (left.get(key).unwrap_or(&missing), right.get(key).unwrap_or(&missing));
                difference(&format!("{path}.{key}"), left, right)
            })
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| difference(&format!("{path}[{index}]"), left, right)),
        _ if ours == theirs => None,
        _ => Some(format!("{path}: ours {ours}, theirs {theirs}")),
    }
}

/// The line that the parser's text names.
fn line(text: &str) -> Option<u64> {
    let behind = text.split("line ").nth(1)?;
    behind.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Whether a text that ends in the parser's words agrees: all that stands before them, and the line if it names one.
fn loosely_equal(ours: &str, theirs: &str) -> bool {
    let at = theirs.find(PARSER_TEXT).unwrap() + PARSER_TEXT.len();
    ours.get(..at) == theirs.get(..at) && (line(theirs).is_none() || line(ours) == line(theirs))
}

/// What differs on purpose, by case.
fn differences() -> BTreeMap<String, String> {
    let list = std::fs::read_to_string(data().join("differences.txt")).unwrap();
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (case, reason) = line.split_once(": ").expect("a reason");
            let (id, what) = case.split_once(' ').expect("what differs");
            assert!(!reason.is_empty() && ["text", "expect", "all"].contains(&what), "{line}");
            (id.to_owned(), what.to_owned())
        })
        .collect()
}

#[test]
fn recorded_cases() {
    let cases: Json =
        serde_json::from_str(&std::fs::read_to_string(data().join("cases.json")).unwrap()).unwrap();
    let mut different = differences();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for json in cases.as_array().unwrap() {
        let case = Case::read(json);
        let differs = different.remove(&case.id).unwrap_or_default();
        let ours = case.run();
        let mut note = |what: &str, text: String| failures.push(format!("{} [{what}]\n  {text}", case.id));

        if LATER.contains(&case.id.as_str()) {
            assert_eq!(ours.exit, 0, "{}", case.id);
            *counts.entry("ends later").or_default() += 1;
            continue;
        }
        if ours.exit != case.exit && differs != "all" {
            note(
                "exit",
                format!("ours {} {:?}, theirs {} {:?}", ours.exit, ours.stdout, case.exit, case.stdout),
            );
        }
        let (class, same) = if case.stdout.contains(PARSER_TEXT) {
            ("parser texts", loosely_equal(&ours.stdout, &case.stdout))
        } else {
            ("exact texts", ours.stdout == case.stdout)
        };
        match (same, differs.as_str()) {
            (true, "" | "expect") => *counts.entry(class).or_default() += 1,
            (false, "text" | "all") => *counts.entry("different on purpose").or_default() += 1,
            (true, _) => note("differences.txt", "answered as the original does".to_owned()),
            (false, _) if ours.exit == case.exit => {
                note(class, format!("ours   {:?}\n  theirs {:?}", ours.stdout, case.stdout));
            }
            (false, _) => {}
        }
        if let Some(expect) = case.expect.clone() {
            let found = case.structure().map_or_else(
                || Some("not loaded".to_owned()),
                |ours| difference("", &comparable(ours), &comparable(expect)),
            );
            match (found, differs.as_str()) {
                (None, "expect") => note("differences.txt", "loaded as the original does".to_owned()),
                (None, _) => *counts.entry("structures").or_default() += 1,
                (Some(_), "expect" | "all") => *counts.entry("different on purpose").or_default() += 1,
                (Some(found), _) if ours.exit == case.exit => note("structure", found),
                (Some(_), _) => {}
            }
        }
    }
    println!("{} cases: {counts:?}", cases.as_array().unwrap().len());
    for id in different.keys() {
        failures.push(format!("{id} [differences.txt] no such case"));
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Bytes that mean something to one of the parsers.
const DAMAGE: &[u8] = b"\"'[]{}=:#\n\\\xff&*%-";

/// Damaged files are refused or read, and never panic or hang: each recorded file is cut and altered.
#[test]
fn damaged_files() {
    let folder = data().join("files");
    let scratch = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        strict: true,
        environment: [].into_iter().collect(),
        base_dir: scratch.path().to_owned(),
    };
    // A fixed sequence, so that a failure comes again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound.max(1)).unwrap()).unwrap()
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.len() > 4096 {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let program = if name.starts_with('s') { Program::Server } else { Program::Client };
        for round in 0..3 {
            let mut damaged = bytes.clone();
            match round % 3 {
                0 => damaged.truncate(random(bytes.len())),
                1 => damaged.insert(random(bytes.len()), DAMAGE[random(DAMAGE.len())]),
                _ => {
                    let at = random(bytes.len());
                    damaged.drain(at..(at + 1 + random(4)).min(bytes.len()));
                }
            }
            std::fs::write(scratch.path().join(name), &damaged).unwrap();
            let verdict = verify(program, name, &options, &UnsafeFeatures::default());
            assert!(verdict.stdout.ends_with('\n') && verdict.exit <= 1);
        }
    }
}
