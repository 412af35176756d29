//! Targets for `frp-config`.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Once;

use frp_config::Value;
use frp_config::load::select;
use frp_config::value::{BandwidthLimit, ports};
use frp_config::{
    Environment, LoadOptions, Program, ProxyConfig, ServerConfig, UnsafeFeatures, fuzzing, load_client,
    load_server, run, unbuilt, verify,
};
use frp_proto::msg::{Message, MessageKind};
use frp_template::limits::MAX_RANGE_NUMBERS;
use frp_template::number_range;
use tempfile::TempDir;

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("config_toml", config_toml, || files("", &["toml"])).with_words(WORDS).with_memory(64),
        Target::new("config_yaml", config_yaml, yaml_files).with_words(WORDS).with_memory(64),
        Target::new("config_json", config_json, || files("", &["json"])).with_words(WORDS).with_memory(64),
        Target::new("config_ini", config_ini, ini_files).with_words(WORDS).with_memory(64),
        Target::new("config_server", config_server, || whole("s-")).with_words(WORDS).with_memory(256),
        Target::new("config_client", config_client, || whole("c-")).with_words(WORDS).with_memory(256),
        Target::new("config_new_proxy", config_new_proxy, new_proxies),
        Target::new("config_values", config_values, values).with_memory(32),
    ]
}

const WORDS: &[&str] = &[
    "[common]\n",
    "[[proxies]]\n",
    "[proxies.transport]\n",
    "[range:a]\n",
    "[DEFAULT]\n",
    "%(x)s",
    "name = \"a\"\n",
    "type = \"tcp\"\n",
    "localPort = 22\n",
    "remotePort = 6000-6010,6012\n",
    "proxies:\n- ",
    "  - name: a\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "? ",
    ": |+2\n",
    "!!binary ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "\t",
    "\"\"\"\n",
    "'''",
    "1_000",
    "0x1F",
    "1e400",
    "-.inf",
    "1979-05-27T07:32:00Z",
    "12:30:45",
    "{{ .Envs.A }}",
    "{{ range $v := parseNumberRange \"1-9\" }}",
    "{{ end }}",
    "includes = [\"./*.toml\"]\n",
    "start = [\"a\"]\n",
    "\u{feff}",
    "\\u0041",
    "\\U0001F600",
    "```",
    " ; x",
    "\\\n",
];

/// Files of the recorded configurations and our samples, by the start of their name and their extension.
fn named(start: &str, extensions: &[&str]) -> Vec<(String, Vec<u8>)> {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf");
    let mut found = Vec::new();
    for folder in [seeds::data("config/files"), conf] {
        for path in seeds::paths(&folder) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let sample = if start == "s-" { "frps" } else { "frpc" };
            if (name.starts_with(start) || name.starts_with(sample))
                && extensions.contains(&extension.as_str())
                && let Ok(content) = std::fs::read(&path)
                && content.len() <= 8192
            {
                found.push((extension, content));
            }
        }
    }
    found
}

fn files(start: &str, extensions: &[&str]) -> Vec<Vec<u8>> {
    named(start, extensions).into_iter().map(|(_, content)| content).collect()
}

fn yaml_files() -> Vec<Vec<u8>> {
    let mut all = files("", &["yaml", "yml"]);
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    let mut chain = String::from("a0: &a0 x\n");
    for level in 1..9 {
        let before = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(',')));
        let (open, close) = ("[".repeat(99), "]".repeat(99));
        chain.push_str(&format!("a{level}: &a{level} {open}*a{}{close}\n", level - 1));
    }
    all.extend([bomb.into_bytes(), chain.into_bytes()]);
    all.push(
        b"a: &a {p: 1}\nb: {<<: [*a, *a], ? q : r}\nc: !!str 1\nd: |+1\n  x\ne: >-\n  y\n...\n---\nz\n"
            .to_vec(),
    );
    all
}

fn ini_files() -> Vec<Vec<u8>> {
    let mut all = files("", &["ini"]);
    let mut doubling = String::from("[common]\na0 = xxxxxxxxxxxxxxxx\n");
    for level in 1..18 {
        doubling.push_str(&format!("a{level} = %(a{})s%(a{})s\n", level - 1, level - 1));
    }
    all.push(doubling.into_bytes());
    all.push(
        b"[common]\n[a]\nx = \"\"\"b\nc\"\"\"\n[a.b.c]\ny : `%(x)s`\nz = 1 \\\n 2 # c\n= 3\n[a.b]\nkey\n"
            .to_vec(),
    );
    all
}

/// Whole files; the first byte is the extension and whether the mode is strict.
fn whole(start: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (number, (extension, content)) in named(start, &EXTENSIONS).into_iter().enumerate() {
        let extension = EXTENSIONS.iter().position(|known| *known == extension).unwrap_or_default();
        let strict = if number % 3 == 0 { 0 } else { 0x80 };
        all.push([&[u8::try_from(extension).unwrap_or_default() | strict], &content[..]].concat());
    }
    all
}

const EXTENSIONS: [&str; 5] = ["toml", "yaml", "json", "ini", "yml"];

/// What a tree must be, wherever it comes from. Gives the number of its nodes and texts' bytes.
fn weigh(value: &Value, depth: usize) -> usize {
    assert!(depth <= 1100, "a tree too deep for those who walk it");
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(text) => {
            // Of a JSON number that is too large for a float, the other parser makes nothing.
            let parsed = text.parse::<f64>().is_ok_and(|float| float.is_infinite())
                || serde_json::from_str::<serde_json::Number>(text).is_ok();
            assert!(parsed, "number {text}");
            1 + text.len()
        }
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => 1 + items.iter().map(|item| weigh(item, depth + 1)).sum::<usize>(),
        Value::Object(entries) => {
            let weights = entries.iter().map(|(key, value)| 1 + key.len() + weigh(value, depth + 1));
            1 + weights.sum::<usize>()
        }
    }
}

/// A tree and an error text, judged.
fn judge(outcome: Result<Value, String>) -> Option<Value> {
    match outcome {
        Ok(value) => {
            weigh(&value, 0);
            let _ = format!("{value:?}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.is_empty());
            None
        }
    }
}

/// Any text as TOML.
pub fn config_toml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(value) = judge(fuzzing::toml(&text)) {
        assert!(matches!(value, Value::Object(_)));
    }
}

/// Lets the panic of the YAML parser that `frp-config` catches pass without a word; libFuzzer would end there.
fn expect_the_known_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.location().is_some_and(|at| at.file().contains("libyaml-safer")) {
                before(panic);
            }
        }));
    });
}

/// Any text as YAML, in both modes.
pub fn config_yaml(data: &[u8]) {
    expect_the_known_panic();
    let text = String::from_utf8_lossy(data);
    let strict = judge(fuzzing::yaml(&text, true));
    let lenient = judge(fuzzing::yaml(&text, false));
    assert_eq!(strict.is_some(), lenient.is_some());
}

/// Any text as JSON: what we read is what another parser reads.
pub fn config_json(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let first = judge(fuzzing::json_first(&text));
    let all = judge(fuzzing::json_all(&text));
    if let Some(all) = all {
        assert_eq!(first.as_ref(), Some(&all));
        let other: Result<serde_json::Value, _> = serde_json::from_str(&text);
        match other {
            Ok(other) => assert!(same(&all, &other), "{all:?} is not {other}"),
            // Lone surrogates become U+FFFD in Go, and it goes deeper.
            Err(error) => {
                let error = error.to_string();
                let known = ["surrogate", "hex escape", "recursion limit", "number out of range"];
                assert!(known.iter().any(|known| error.contains(known)), "{error}");
            }
        }
    } else if first.is_none() {
        let mut others = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        assert!(!matches!(others.next(), Some(Ok(_))), "another parser reads it");
    }
}

fn same(ours: &Value, other: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (ours, other) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(ours), Json::Bool(other)) => ours == other,
        (Value::Number(ours), Json::Number(other)) => {
            ours.parse::<f64>().ok() == other.to_string().parse::<f64>().ok()
        }
        (Value::String(ours), Json::String(other)) => ours == other,
        (Value::Array(ours), Json::Array(other)) => {
            ours.len() == other.len() && ours.iter().zip(other).all(|(ours, other)| same(ours, other))
        }
        (Value::Object(_), Json::Object(other)) => {
            // With a key twice, the last counts there.
            other.iter().all(|(key, other)| ours.get(key).is_some_and(|ours| same(ours, other)))
        }
        _ => false,
    }
}

/// Any text as INI, in both dialects, every reference resolved.
pub fn config_ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for detect in [true, false] {
        match fuzzing::ini(&text, detect) {
            Ok(sections) => {
                let names: BTreeSet<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(names.len(), sections.len());
                let keys: usize = sections.iter().map(|(_, keys)| keys.len()).sum();
                assert!(sections.len() + keys <= 2 + text.lines().count());
                let values = sections.iter().flat_map(|(_, keys)| keys).map(|(_, length)| *length);
                assert!(values.max().unwrap_or_default() <= (1 << 20) + text.len());
            }
            Err(error) => assert!(!error.is_empty()),
        }
    }
}

thread_local! {
    /// Where the file under test is written; gone with the thread.
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Writes the file that the input describes and hands its name on.
fn with_file(data: &[u8], check: impl Fn(&str, &LoadOptions)) {
    expect_the_known_panic();
    let Some((&kind, content)) = data.split_first() else { return };
    let name = format!("f.{}", EXTENSIONS[usize::from(kind & 0x7f) % EXTENSIONS.len()]);
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let Ok(folder) = tempfile::tempdir() else { panic!("no folder for temporary files") };
            folder
        });
        let file = folder.path().join(&name);
        assert!(std::fs::write(&file, content).is_ok(), "the folder for temporary files is full");
        let environment: Environment =
            [("A".to_owned(), "6000".to_owned()), ("B".to_owned(), "b c".to_owned())].into_iter().collect();
        let options =
            LoadOptions { strict: kind & 0x80 != 0, environment, base_dir: folder.path().to_owned() };
        check(&name, &options);
        let _ = std::fs::remove_file(&file);
    });
}

/// A whole file of frps: loaded, checked, verified.
pub fn config_server(data: &[u8]) {
    with_file(data, |file, options| {
        let allowed = UnsafeFeatures::default();
        let loaded = load_server(file, options);
        if let Ok(loaded) = &loaded {
            let mut again = loaded.config.clone();
            again.complete();
            assert_eq!(again, loaded.config, "completing twice");
            weigh(&loaded.config.tree(), 0);
            let _ = (unbuilt::server(&loaded.config), format!("{loaded:?}"));
        }
        let mut lines = Vec::new();
        let prepared = run::prepare_server(file, options, &allowed, &mut lines);
        assert!(prepared.is_err() || loaded.is_ok());
        let verdict = verify(Program::Server, file, options, &allowed);
        assert_eq!(verdict.exit == 0, prepared.is_ok());
        assert!(verdict.stdout.ends_with('\n'));
    });
}

/// A whole file of frpc: loaded, checked, verified, and its proxies told to a server.
pub fn config_client(data: &[u8]) {
    with_file(data, |file, options| {
        let allowed = UnsafeFeatures::default();
        let verdict = verify(Program::Client, file, options, &allowed);
        assert!(verdict.exit <= 1 && verdict.stdout.ends_with('\n'));
        let mut lines = Vec::new();
        let prepared = run::prepare_client(file, options, &allowed, &mut lines);
        let Ok(loaded) = load_client(file, options) else {
            assert!(prepared.is_err() && verdict.exit == 1);
            return;
        };
        let mut again = loaded.common.clone();
        again.complete(&options.environment);
        assert_eq!(again, loaded.common, "completing twice");
        weigh(&loaded.common.tree(), 0);
        let _ = (unbuilt::client(&loaded.common), format!("{loaded:?}"));
        let (proxies, visitors) = select(&loaded.common, loaded.proxies, loaded.visitors);
        let names: BTreeSet<&str> = proxies.iter().map(ProxyConfig::name).collect();
        assert_eq!(names.len(), proxies.len());
        for proxy in &proxies {
            tell(proxy);
        }
        for visitor in &visitors {
            let _ = (visitor.check(), unbuilt::visitor(visitor));
            weigh(&visitor.tree(), 0);
        }
    });
}

/// A proxy as the server gets to know it, and what the server makes of it.
fn tell(proxy: &ProxyConfig) {
    let message = proxy.to_message();
    let Ok(received) = ProxyConfig::from_message(&message) else { panic!("{} is unknown", proxy.kind()) };
    assert_eq!(received.kind(), proxy.kind());
    assert_eq!(received.to_message(), message);
    let _ = (
        proxy.check_for_client(),
        received.check_for_server(&ServerConfig::default()),
        unbuilt::proxy(proxy),
    );
    weigh(&proxy.tree(), 0);
}

/// Bodies of the message that asks a server for a proxy.
fn new_proxies() -> Vec<Vec<u8>> {
    const BODIES: [&str; 6] = [
        r#"{"proxy_name":"a","proxy_type":"tcp","remote_port":6000,"group":"g","group_key":"k"}"#,
        r#"{"proxy_name":"a","proxy_type":"udp","remote_port":-1,"bandwidth_limit":"1MB","bandwidth_limit_mode":"server"}"#,
        r#"{"proxy_name":"a","proxy_type":"http","custom_domains":["a.b","*.c"],"subdomain":"s","locations":["/"],"headers":{"x":"y"}}"#,
        r#"{"proxy_name":"a","proxy_type":"tcpmux","multiplexer":"httpconnect","route_by_http_user":"u","custom_domains":["a"]}"#,
        r#"{"proxy_name":"","proxy_type":"stcp","sk":"abc","allow_users":["*"],"use_encryption":true,"annotations":{"a/b":"c"}}"#,
        r#"{"proxy_name":"a","proxy_type":"xtcp","metas":{"k":"v"},"bandwidth_limit":"1e400KB","host_header_rewrite":"h"}"#,
    ];
    BODIES.iter().map(|body| body.as_bytes().to_vec()).collect()
}

/// What a client asks of a server: taken, judged, and told again as it came.
pub fn config_new_proxy(data: &[u8]) {
    let Ok(Message::NewProxy(message)) = Message::from_json(MessageKind::NewProxy, data) else { return };
    let Ok(proxy) = ProxyConfig::from_message(&message) else { return };
    tell(&proxy);
    let server = ServerConfig { sub_domain_host: "example.com".to_owned(), ..ServerConfig::default() };
    let _ = proxy.check_for_server(&server);
    assert_eq!(proxy.name(), message.proxy_name);
}

fn values() -> Vec<Vec<u8>> {
    const TEXTS: [&str; 22] = [
        "1.5MB",
        " 100KB ",
        "1e2KB",
        ".5MB",
        "5.KB",
        "-1KB",
        "1_000KB",
        "0x1p4KB",
        "0x1.8p-3MB",
        "infKB",
        "nanMB",
        "1e300MB",
        "1e400KB",
        "0x10KB",
        "1 MB",
        "2000-3000,3001",
        " 2000 - 3000 , +1 - 007",
        "1-2-3",
        "3-2",
        "1-1000000",
        "1-9223372036854775807",
        "9223372036854775808",
    ];
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Bandwidth limits and port lists: written and read again as the same, and read as templates read numbers.
pub fn config_values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(limit) = BandwidthLimit::parse(&text) {
        assert_eq!(limit.text(), text.trim());
        assert_eq!(BandwidthLimit::parse(limit.text()), Ok(limit));
    }
    if let (Ok(limit), Some(number)) = (BandwidthLimit::parse(&text), text.trim().strip_suffix("KB"))
        && let Some(expected) = plain_float(number)
    {
        let expected = expected * 1024.0;
        #[expect(clippy::cast_possible_truncation, reason = "compared where it fits")]
        let bytes = if expected.abs() < 9.0e18 { expected as i64 } else { i64::MIN };
        assert_eq!(limit.bytes(), bytes, "{text}");
    }
    if let Ok(list) = number_range::parse(&text) {
        assert!(!list.is_empty() && list.len() <= MAX_RANGE_NUMBERS);
        assert!(list.iter().all(|number| *number >= 0));
    }
    match (ports::parse_list(&text), number_range::parse(&text)) {
        (Ok(list), numbers) => {
            assert!(list.iter().all(|range| range.bounds().0 <= range.bounds().1));
            if let Ok(numbers) = numbers {
                let expanded = list.iter().flat_map(|range| range.bounds().0..=range.bounds().1);
                // 0 alone says "no single port".
                assert!(expanded.eq(numbers) || list.iter().any(|range| range.single == 0));
            }
            if list.iter().all(|range| range.single > 0 || range.end > 0) {
                assert_eq!(ports::parse_list(&ports::list_text(&list)), Ok(list));
            }
        }
        (Err(_), Ok(numbers)) => panic!("{numbers:?}"),
        (Err(_), Err(_)) => {}
    }
}

/// A number as others read it: decimal, or hexadecimal where that is exact.
fn plain_float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let Some(hex) = lower.strip_prefix("0x") else {
        let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'-' | b'+'));
        return if plain { text.parse().ok() } else { None };
    };
    let (mantissa, exponent) = hex.split_once('p')?;
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() < 900)?;
    let (digits, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [digits, behind].concat();
    let whole = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() <= 8)?;
    Some(f64::from(whole) * 2.0_f64.powi(exponent - 4 * i32::try_from(behind.len()).ok()?))
}
