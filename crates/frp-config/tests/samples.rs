//! The files in `conf/`: they load strictly and verify, and the annotated ones name every key there is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use frp_config::load::select;
use frp_config::{
    ClientConfig, ClientPlugin, LoadOptions, Program, ProxyConfig, ProxyType, ServerConfig, UnsafeFeatures,
    Value, VisitorConfig, VisitorType, load_client, load_server, verify,
};

fn conf() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

fn options() -> LoadOptions {
    LoadOptions { strict: true, environment: [].into_iter().collect(), base_dir: conf() }
}

const PLUGINS: [&str; 10] = [
    "http_proxy",
    "socks5",
    "static_file",
    "unix_domain_socket",
    "http2http",
    "http2https",
    "https2http",
    "https2https",
    "tls2raw",
    "virtual_net",
];

#[test]
fn all_verify() {
    for (program, name) in [
        (Program::Server, "frps.ini"),
        (Program::Server, "frps_full.ini"),
        (Program::Server, "frps_full.toml"),
        (Program::Client, "frpc.ini"),
        (Program::Client, "frpc_full.ini"),
        (Program::Client, "frpc_full.toml"),
    ] {
        let verdict = verify(program, name, &options(), &UnsafeFeatures::default());
        assert_eq!(verdict.exit, 0, "{name}: {}", verdict.stdout);
        let program = if program == Program::Server { "frps" } else { "frpc" };
        // A warning would confuse whoever starts from the sample.
        assert_eq!(verdict.stdout, format!("{program}: the configuration file {name} syntax is ok\n"));
    }
}

#[test]
fn those_of_every_type_verify() {
    for folder in std::fs::read_dir(conf().join("types")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let program = if path.ends_with("frps.toml") { Program::Server } else { Program::Client };
            let name = path.to_str().unwrap();
            let verdict = verify(program, name, &options(), &UnsafeFeatures::default());
            assert_eq!(verdict.exit, 0, "{name}: {}", verdict.stdout);
            assert!(verdict.stdout.ends_with("syntax is ok\n"), "{}", verdict.stdout);
        }
    }
}

#[test]
fn the_small_pair_fits_together() {
    let server = load_server("frps.ini", &options()).unwrap();
    let client = load_client("frpc.ini", &options()).unwrap();
    assert!(server.legacy && client.legacy);
    assert_eq!(client.common.server_port, server.config.bind_port);
    assert!(client.common.auth.token == server.config.auth.token && !server.config.auth.token.is_empty());
    let (proxies, _) = select(&client.common, client.proxies, client.visitors);
    assert_eq!(proxies.iter().map(ProxyConfig::kind).collect::<Vec<_>>(), [ProxyType::Udp, ProxyType::Tcp]);
    for proxy in &proxies {
        let (ProxyConfig::Tcp(frp_config::proxy::TcpProxy { remote_port, .. })
        | ProxyConfig::Udp(frp_config::proxy::UdpProxy { remote_port, .. })) = proxy
        else {
            panic!("{proxy:?}");
        };
        let allowed = |range: &frp_config::value::PortsRange| {
            let (first, last) = range.bounds();
            (first..=last).contains(remote_port)
        };
        assert!(server.config.allow_ports.iter().any(allowed), "{remote_port}");
    }
}

/// Where the keys of annotated files hold their defaults, completing an empty configuration gives the same.
#[test]
fn the_values_of_common_keys_are_the_defaults() {
    let mut server = ServerConfig::default();
    server.complete();
    let mut client = ClientConfig::default();
    client.complete(&options().environment);
    for name in ["frps_full.ini", "frps_full.toml"] {
        let mut sample = load_server(name, &options()).unwrap().config;
        assert_eq!(sample.allow_ports.len(), 2, "{name}");
        sample.allow_ports.clear();
        sample.auth.token = server.auth.token.clone();
        // The INI format has a default of its own here; the sample does not follow it.
        assert_eq!(sample, server, "{name}");
    }
    for name in ["frpc_full.ini", "frpc_full.toml"] {
        let mut sample = load_client(name, &options()).unwrap().common;
        assert_eq!(
            (sample.metadatas.len(), sample.auth.oidc.additional_endpoint_params.len()),
            (1, 1),
            "{name}"
        );
        sample.metadatas.clear();
        sample.auth.oidc.additional_endpoint_params.clear();
        sample.feature_gates.clear();
        sample.auth.token = client.auth.token.clone();
        "0.0.0.0".clone_into(&mut sample.server_addr);
        assert_eq!(sample, client, "{name}");
    }
}

/// The last parts of all keys of a tree.
fn keys(tree: &Value, found: &mut BTreeSet<String>) {
    match tree {
        Value::Object(entries) => {
            for (key, value) in entries {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The words of a file that stand where a key does: before `=`, dotted or not, commented out or not.
fn assigned(text: &str) -> BTreeSet<String> {
    text.split(['\n', ',', '{'])
        .filter_map(|part| part.split_once('='))
        .flat_map(|(key, _)| {
            key.trim_start_matches(['#', ' ']).trim_end().split('.').map(str::to_owned).collect::<Vec<_>>()
        })
        .chain(
            text.match_indices("[[")
                .filter_map(|(at, _)| text[at + 2..].split(']').next().map(str::to_owned)),
        )
        .chain(
            text.match_indices("\n[")
                .filter_map(|(at, _)| text[at + 2..].split(['.', ']']).nth(1).map(str::to_owned)),
        )
        .collect()
}

#[test]
fn the_annotated_files_name_every_key() {
    // What is null or empty until it is set, and so does not show in a tree.
    let hidden =
        ["file", "exec", "path", "command", "args", "env", "name", "value", "start", "end", "single"];
    let hidden = || hidden.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();

    let mut server = hidden();
    keys(&ServerConfig::default().tree(), &mut server);
    server.extend(["addr", "ops", "tlsVerify"].map(str::to_owned));
    let mut client = hidden();
    keys(&ClientConfig::default().tree(), &mut client);
    for kind in ProxyType::ALL {
        keys(&ProxyConfig::new(kind).tree(), &mut client);
    }
    for kind in VisitorType::ALL {
        keys(&VisitorConfig::new(kind).tree(), &mut client);
    }
    for name in PLUGINS {
        let mut proxy = ProxyConfig::new(ProxyType::Tcp);
        proxy.base_mut().backend.plugin = Some(ClientPlugin::new(name).unwrap());
        keys(&proxy.tree(), &mut client);
    }
    client.extend(["destinationIP", "disableAssistedAddrs", "httpHeaders"].map(str::to_owned));
    for (name, keys) in [("frps_full.toml", server), ("frpc_full.toml", client)] {
        let text = std::fs::read_to_string(conf().join(name)).unwrap();
        let assigned = assigned(&text);
        let missing: Vec<_> = keys.difference(&assigned).collect();
        // Ranges have either bounds or one port, and only frps has them.
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|key| !(name.starts_with("frpc") && ["end", "single"].contains(&key.as_str())))
            .collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
}

/// Keys of the INI format that are read anywhere in the reader of that format.
#[test]
fn the_annotated_ini_files_name_every_key() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/legacy");
    let source = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let read = |source: &str| -> BTreeSet<String> {
        let calls = [
            "reader.text(",
            "reader.secret(",
            "reader.number(",
            "reader.flag(",
            "reader.flag_or(",
            "reader.list(",
            "reader.get(",
            "key(",
        ];
        let mut keys = BTreeSet::new();
        for call in calls {
            for (at, _) in source.match_indices(call) {
                let rest = source[at + call.len()..].trim_start();
                if let Some(key) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    keys.insert(key.to_owned());
                }
            }
        }
        keys
    };
    for (sample, sources) in [
        ("frps_full.ini", &["server.rs"][..]),
        ("frpc_full.ini", &["client.rs", "proxy.rs", "plugin.rs", "visitor.rs", "range.rs"]),
    ] {
        let text = std::fs::read_to_string(conf().join(sample)).unwrap();
        let assigned: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, _)| key.trim_start_matches(['#', ' ']).trim_end().to_owned())
            .collect();
        for source_name in sources {
            let keys = read(&source(source_name));
            let missing: Vec<_> = keys.difference(&assigned).collect();
            assert!(missing.is_empty(), "{sample} lacks {missing:?} of {source_name}");
        }
    }
}
