use std::fmt::Write as _;

use super::*;

fn values() -> Values {
    let envs = [("A", "aa"), ("B", "b c"), ("EMPTY", ""), ("N", "12"), ("Q", "x\"<&'é日\t")];
    Values { envs: envs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
}

fn error(text: &str) -> String {
    render(text, &values(), FunctionSet::V1).unwrap_err().to_string()
}

#[test]
fn output_and_errors_are_gos() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/template/cases.jsonl");
    let cases = std::fs::read_to_string(path).unwrap();
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = case["text"].as_str().unwrap();
        let functions = if case["legacy"] == true { FunctionSet::Legacy } else { FunctionSet::V1 };
        let rendered = render(text, &values(), functions).map_err(|error| error.to_string());
        let expected = match case["err"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(case["out"].as_str().unwrap_or_default().to_owned()),
        };
        assert_eq!(rendered, expected, "{text}");
    }
}

#[test]
fn every_cut_of_a_template_renders_or_fails() {
    let text = "{{- define `t` }}<{{ . }}>{{ end -}}\n{{ range $i, $v := parseNumberRangePair \"1-2\" `3-4` }}\
        {{ if and $i (eq $v.First 2) }}é{{ template \"t\" $v }}{{ else if printf \"%-5d|%[1]q\" $i }}{{ break }}\
        {{ else }}{{/* no */}}{{ end }}{{ end }}{{ with $x := index $.Envs \"A\" | html }}{{ slice $x 0 1 }}{{ end }}";
    assert!(render(text, &values(), FunctionSet::V1).is_ok());
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = render(&text[..end], &values(), FunctionSet::V1);
    }
}

#[test]
fn endless_work_ends_in_an_error() {
    let exceeded = "exceeded maximum amount of work and output";
    assert!(error("{{ range 9223372036854775807 }}{{ end }}").ends_with(exceeded));
    assert!(
        error("{{ $x := `0123456789` }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}").ends_with(exceeded)
    );
    assert!(
        error("{{ $n := parseNumberRange `1-1000000` }}{{ range 99 }}{{ $n }}{{ end }}").ends_with(exceeded)
    );
    let lists = "{{ $l := parseNumberRange `1-1000000` }}".repeat(20);
    assert!(error(&lists).ends_with(exceeded));
    assert!(error("{{ parseNumberRange `1-9000000000` }}").ends_with("more than 1000000 numbers"));
}

#[test]
fn long_precisions_are_filled_with_zeros() {
    let zeros = |count| "0".repeat(count);
    for (verb, value, expected) in [
        ("%.100000f", "1.5", format!("1.5{}", zeros(99_999))),
        ("%.100000e", "1.5", format!("1.5{}e+00", zeros(99_999))),
        ("%.100000g", "1.5", "1.5".to_owned()),
        ("%.100000U", "1", format!("U+{}1", zeros(99_999))),
        ("%.100000d", "1", format!("{}1", zeros(99_999))),
    ] {
        let text = format!("{{{{ printf \"{verb}\" {value} }}}}");
        assert!(render(&text, &values(), FunctionSet::V1) == Ok(expected), "{verb}");
    }
}

#[test]
fn depth_is_bounded() {
    assert_eq!(
        error("{{ define `t` }}{{ template `t` . }}{{ end }}{{ template `t` . }}"),
        "template: frp:1:28: executing \"t\" at <{{template \"t\" .}}>: exceeded maximum template depth (100)"
    );
    let nested = |open: &str, close: &str, count: usize| open.repeat(count) + "1" + &close.repeat(count);
    assert_eq!(
        error(&format!("{{{{ {} }}}}", nested("(", ")", 1000))),
        "template: frp:1: max expression depth exceeded"
    );
    assert_eq!(
        error(&nested("{{ if 1 }}", "{{ end }}", 1000)),
        "template: frp:1: max nesting depth exceeded"
    );
    // As deep as each may be, all together, on the small stack of a test thread.
    let deepest = format!("{{{{ {} }}}}{{{{ template `t` }}}}", nested("(", ")", limits::MAX_PARENTHESES));
    let body = nested("{{ if 1 }}", "{{ end }}", limits::MAX_NESTING - 1)
        .replace("}}1{{", &format!("}}}}{deepest}{{{{"));
    assert!(
        error(&format!("{{{{ define `t` }}}}{body}{{{{ end }}}}{{{{ template `t` }}}}"))
            .contains("maximum evaluation depth")
    );
}

#[test]
fn long_chains_are_not_deep() {
    let mut text = "{{ if false }}0".to_owned();
    for number in 0..5000 {
        let _ = write!(text, "{{{{ else if eq {number} 4999 }}}}{number}");
    }
    text += "{{ end }}";
    assert_eq!(render(&text, &values(), FunctionSet::V1).unwrap(), "4999");
}

#[test]
fn errors_and_debug_keep_the_environment_to_themselves() {
    let mut values = values();
    values.envs.insert("SECRET".to_owned(), "hush".to_owned());
    for text in ["{{ range . }}{{ end }}", "{{ eq .Envs .Envs }}", "{{ eq . .Envs }}"] {
        let error = render(text, &values, FunctionSet::V1).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
    assert!(!format!("{values:?}").contains("hush"));
}
