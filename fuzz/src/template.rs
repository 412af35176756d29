//! Targets for `frp-template`.

use frp_template::limits::MAX_WORK;
use frp_template::{FunctionSet, Values, render};

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![Target::new("template", template, texts).with_words(WORDS).with_memory(192)]
}

const WORDS: &[&str] = &[
    "{{ .Envs.A }}",
    "{{- ",
    " -}}",
    "{{ end }}",
    "{{ else }}",
    "{{ else if . }}",
    "{{ if ",
    "{{ with ",
    "{{ range ",
    "{{ range $i, $v := ",
    "{{ break }}",
    "{{ continue }}",
    "{{ define \"a\" }}",
    "{{ template \"a\" . }}",
    "{{ block \"b\" . }}",
    "{{ $x := ",
    "{{ $x = ",
    "{{/* ",
    " */}}",
    "parseNumberRange \"1-9\" ",
    "parseNumberRangePair \"1-9\" \"11-19\" ",
    "printf \"%v\" ",
    "%999999d",
    "%*.*[3]q",
    "print ",
    "index ",
    "slice ",
    "len ",
    "html ",
    "js ",
    "urlquery ",
    "and ",
    "or ",
    "not ",
    "eq 1 ",
    "lt 1.5 ",
    "call ",
    "| ",
    "(",
    ")",
    "`",
    "'x'",
    "\"\\xff\"",
    "0x1p-2",
    "1e400",
    "1i",
    "$",
    ".",
    "nil",
];

/// Templates that the original has rendered, and some that ask for much.
fn texts() -> Vec<Vec<u8>> {
    const HOSTILE: [&str; 9] = [
        "{{ range parseNumberRange \"1-1000000\" }}x{{ end }}",
        "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}",
        "{{ define \"a\" }}{{ template \"b\" . }}{{ template \"b\" . }}{{ end }}{{ define \"b\" }}xxxxxxxx{{ end }}\
         {{ template \"a\" . }}",
        "{{ $x := \"aaaaaaaa\" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}{{ $x }}",
        "{{ range 1000000 }}{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ end }}{{ end }}",
        "{{ printf \"%1000000d%1000000d\" 1 2 }}{{ printf \"%.1000000f\" 1e300 }}",
        "{{ printf \"%*d\" 10000000 1 }}{{ printf \"%-08.3[2]v\" 1 2.5 }}",
        "{{ html (js (urlquery \"<&'\\\"\\n\")) }}{{ index \"abc\" 1 }}{{ slice \"abc\" 1 2 }}",
        "{{ and 1 0 | or 2 | not }}{{ eq 1 2 3 1 }}{{ 0x1p-2 }}{{ 1_000 }}{{ 'x' }}{{ 1e1000 }}",
    ];
    let recorded = std::fs::read_to_string(seeds::data("template").join("cases.jsonl")).unwrap_or_default();
    let recorded = recorded.lines().filter_map(|line| {
        let case: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(case["text"].as_str()?.as_bytes().to_vec())
    });
    recorded.chain(HOSTILE.iter().map(|text| text.as_bytes().to_vec())).collect()
}

/// Any text, as a template of both kinds of files: an answer in bounded time and space.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let variables = [("A", "aa"), ("B", "b c"), ("EMPTY", ""), ("N", "12"), ("Q", "x\"<&'\u{e9}\u{65e5}\t")];
    let envs = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let values = Values { envs };
    for functions in [FunctionSet::V1, FunctionSet::Legacy] {
        match render(&text, &values, functions) {
            // What is not UTF-8 grows threefold when it is replaced.
            Ok(output) => {
                assert!(output.len() <= 3 * MAX_WORK + text.len());
                assert!(text.contains("{{") || output == text);
            }
            Err(error) => assert!(error.to_string().starts_with("template: frp:"), "{error}"),
        }
    }
}
