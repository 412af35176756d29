//! Alters each key of the annotated samples: what is misspelt or of the wrong type is refused, by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::path::{Path, PathBuf};

use frp_config::{LoadOptions, Program, UnsafeFeatures, Verdict, verify};

/// Keys under which users choose the names.
const FREE: [&str; 5] = ["metadatas", "annotations", "set", "featureGates", "additionalEndpointParams"];

/// A line of a sample that sets a key.
struct Assignment<'t> {
    line: usize,
    /// The key with its dots, after those of the table that it stands in.
    path: Vec<&'t str>,
    key: &'t str,
    value: &'t str,
}

fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let mut table = Vec::new();
    let mut found = Vec::new();
    for (line, content) in text.lines().enumerate() {
        if let Some(header) = content.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).split('.').collect();
        } else if let Some((key, value)) = content.split_once(" = ")
            && !content.starts_with(['#', ' ', '{'])
            // What goes on over further lines cannot be replaced in one.
            && value != "["
        {
            let path = table.iter().copied().chain(key.split('.')).collect();
            found.push(Assignment { line, path, key, value });
        }
    }
    found
}

fn with_line(text: &str, line: usize, content: &str) -> String {
    let lines = text.lines().enumerate().map(|(at, old)| if at == line { content } else { old });
    lines.collect::<Vec<_>>().join("\n")
}

fn verdict(program: Program, folder: &Path, text: &str) -> Verdict {
    std::fs::write(folder.join("altered.toml"), text).unwrap();
    let options =
        LoadOptions { strict: true, environment: [].into_iter().collect(), base_dir: folder.to_owned() };
    verify(program, "altered.toml", &options, &UnsafeFeatures::default())
}

#[test]
fn every_key_of_the_samples() {
    let conf = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conf");
    let folder = tempfile::tempdir().unwrap();
    for (program, name) in [(Program::Server, "frps_full.toml"), (Program::Client, "frpc_full.toml")] {
        let text = std::fs::read_to_string(conf.join(name)).unwrap();
        let assignments = assignments(&text);
        assert!(assignments.len() > 50, "{name}");
        for Assignment { line, path, key, value } in assignments {
            let [.., parent, last] = [&[""][..], &path].concat()[..] else { panic!("{key}") };
            let free = FREE.contains(&parent);

            let misspelt =
                verdict(program, folder.path(), &with_line(&text, line, &format!("{key}Q = {value}")));
            let complaint = format!("unknown field \"{last}Q\"");
            // Without its type, an entry is refused for that.
            let tag = last == "type" && ["proxies", "visitors", "plugin"].contains(&parent);
            assert_eq!(misspelt.stdout.contains(&complaint), !free && !tag, "{key}: {}", misspelt.stdout);

            let other = if value.starts_with('"') { "5" } else { "\"x\"" };
            let mistyped =
                verdict(program, folder.path(), &with_line(&text, line, &format!("{key} = {other}")));
            let named = mistyped.stdout.contains("cannot unmarshal")
                && mistyped.stdout.contains(if free { parent } else { last });
            assert!(mistyped.exit == 1 && named, "{key}: {}", mistyped.stdout);
        }
    }
}
