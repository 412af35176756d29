//! What flags make of the configuration.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::ffi::OsString;

use frp_cli::frpc::{ClientRun, Runs};
use frp_cli::frps::ServerRun;
use frp_cli::{Exit, log_options};
use frp_config::{Environment, LoadOptions, ProxyConfig};

fn options() -> LoadOptions {
    let environment = [("http_proxy".to_owned(), "http://192.0.2.1:3128".to_owned())].into_iter().collect();
    LoadOptions { strict: true, environment, base_dir: std::env::temp_dir() }
}

fn words(program: &str, line: &str) -> Vec<OsString> {
    [program].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
}

fn frps(line: &str) -> Result<ServerRun, Exit> {
    frp_cli::frps::parse(words("frps", line))?.prepare(&options())
}

fn frpc(line: &str) -> Result<ClientRun, Exit> {
    match frp_cli::frpc::parse(words("frpc", line))?.prepare(&options())? {
        Runs::One(run) => Ok(*run),
        Runs::Directory(entries) => panic!("{entries:?}"),
    }
}

#[test]
fn frps_without_words_has_the_defaults_of_the_command_line() {
    let config = frps("").unwrap().config;
    assert_eq!((config.bind_addr.as_str(), config.bind_port), ("0.0.0.0", 7000));
    let web = &config.web_server;
    assert_eq!((web.addr.as_str(), web.port, web.user.as_str()), ("0.0.0.0", 0, "admin"));
    assert_eq!(web.password.expose(), "admin");
    assert_eq!(config.vhost_http_timeout, 60);
    assert_eq!(config.user_conn_timeout, 10, "completed");
    assert_eq!(log_options(&config.log), frp_log::LogOptions::default());
}

#[test]
fn frps_flags_fill_the_configuration() {
    let run = frps(
        "--bind_addr 127.0.0.1 -p 0x1f90 --proxy-bind-addr=::1 -t secret --allow_ports 2000-3000,3001 --tls_only \
         --log-file /x/frps.log --log-level=trace --log_max_days -1 --disable-log-color --subdomain_host e.test \
         --max-ports-per-client 0b11 --dashboard_port 7500 --dashboard-user= --enable_prometheus=T \
         --dashboard_tls_mode true --dashboard_tls_cert_file c.pem",
    )
    .unwrap();
    assert_eq!(run.config_file, None);
    let config = run.config;
    assert_eq!((config.bind_addr.as_str(), config.bind_port), ("127.0.0.1", 8080));
    assert_eq!(config.proxy_bind_addr, "::1");
    assert_eq!(config.auth.token.expose(), "secret");
    let ranges: Vec<_> = config.allow_ports.iter().map(frp_config::value::PortsRange::bounds).collect();
    assert_eq!(ranges, [(2000, 3000), (3001, 3001)]);
    assert!(config.transport.tls.force && config.enable_prometheus);
    assert_eq!((config.sub_domain_host.as_str(), config.max_ports_per_client), ("e.test", 3));
    assert_eq!((config.web_server.port, config.web_server.user.as_str()), (7500, ""));
    assert_eq!(config.web_server.tls, None, "TLS can never be switched on from here");
    let log = log_options(&config.log);
    assert_eq!((log.to.as_str(), log.level, log.max_days), ("/x/frps.log", frp_log::Level::Trace, -1));
    assert!(log.disable_print_color);
}

#[test]
fn the_last_of_several_values_counts_and_lists_add_up() {
    assert_eq!(frps("-p 1 --bind-port 2 -p=3").unwrap().config.bind_port, 3);
    assert!(!frps("--tls-only --tls-only=false").unwrap().config.transport.tls.force);
    let run = frpc("tcp -n a --metadatas a=1,b=2 --metadatas b=3 --annotations x=1,2").unwrap();
    let base = run.client.proxies[0].base();
    let metadatas: Vec<_> = base.metadatas.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(metadatas, ["a=1", "b=3"]);
    assert_eq!(base.annotations["x"], "1,2");
}

#[test]
fn a_single_proxy_comes_from_flags() {
    let run = frpc(
        "tcp -s 192.0.2.7 -P 7001 -u me --client-id c -t secret -n ssh -i ::1 -l 22 -r 6000 --ue --uc=1 \
         --bandwidth_limit 1MB --bandwidth-limit-mode server --tls_enable=false --tls-server-name n --dns_server 1.1.1.1",
    )
    .unwrap();
    assert_eq!((run.config_file, run.notices.as_str()), (None, ""));
    let common = &run.client.common;
    assert_eq!((common.server_addr.as_str(), common.server_port), ("192.0.2.7", 7001));
    assert_eq!((common.user.as_str(), common.client_id.as_str()), ("me", "c"));
    assert_eq!(common.auth.token.expose(), "secret");
    assert!(!common.transport.tls.enable());
    assert_eq!(common.transport.tls.config.server_name, "n");
    assert_eq!(common.dns_server, "1.1.1.1");
    assert_eq!(common.transport.pool_count, 1, "completed");
    assert_eq!(common.transport.proxy_url.expose(), "http://192.0.2.1:3128", "the environment's");
    let [ProxyConfig::Tcp(proxy)] = run.client.proxies.as_slice() else { panic!() };
    assert_eq!((proxy.base.name.as_str(), proxy.remote_port), ("ssh", 6000));
    assert_eq!((proxy.base.backend.local_ip.as_str(), proxy.base.backend.local_port), ("::1", 22));
    let transport = &proxy.base.transport;
    assert!(transport.use_encryption && transport.use_compression);
    assert_eq!(
        (transport.bandwidth_limit.text(), transport.bandwidth_limit_mode.as_str()),
        ("1MB", "server")
    );
}

#[test]
fn a_single_proxy_has_the_defaults_of_the_command_line() {
    let run = frpc("udp -n dns").unwrap();
    assert_eq!(run.client.common.server_addr, "127.0.0.1");
    assert!(run.client.common.transport.tls.enable());
    let [ProxyConfig::Udp(proxy)] = run.client.proxies.as_slice() else { panic!() };
    assert_eq!(proxy.remote_port, 0);
    assert_eq!(proxy.base.backend.local_ip, "127.0.0.1");
    assert_eq!(proxy.base.transport.bandwidth_limit_mode, "client");
}

#[test]
fn each_type_has_its_own_flags() {
    let only = |line: &str| frpc(line).unwrap().client.proxies.remove(0);
    let ProxyConfig::Http(http) =
        only("http -n a -d a.test,b.test --locations /x --http-user u --http-pwd p")
    else {
        panic!()
    };
    assert_eq!(http.domain.custom_domains, ["a.test", "b.test"]);
    assert_eq!((http.locations.as_slice(), http.http_user.as_str()), (&["/x".to_owned()][..], "u"));
    let ProxyConfig::Https(https) = only("https -n a --sd s") else { panic!() };
    assert_eq!(https.domain.subdomain, "s");
    let ProxyConfig::Tcpmux(tcpmux) = only("tcpmux -n a --sd s --mux httpconnect") else { panic!() };
    assert_eq!(tcpmux.multiplexer, "httpconnect");
    let ProxyConfig::Stcp(stcp) = only("stcp -n a --sk abc --allow-users x,y") else { panic!() };
    assert_eq!((stcp.secret_key.expose(), stcp.allow_users.len()), ("abc", 2));
    let ProxyConfig::Sudp(sudp) = only("sudp -n a --sk abc") else { panic!() };
    assert_eq!((sudp.secret_key.expose(), sudp.allow_users.len()), ("abc", 0));
}

#[test]
fn a_single_visitor_comes_from_flags() {
    for (kind, port, number) in [("stcp", "6000", 6000), ("sudp", "-1", -1)] {
        let line = format!(
            "{kind} visitor -t secret -n v --server-name s --server-user you --sk abc --bind-port {port} --ue --uc"
        );
        let client = frpc(&line).unwrap().client;
        assert!(client.proxies.is_empty());
        assert_eq!(client.common.auth.token.expose(), "secret");
        let [visitor] = client.visitors.as_slice() else { panic!() };
        assert_eq!(visitor.kind().as_str(), kind);
        let base = visitor.base();
        assert_eq!(
            (base.name.as_str(), base.server_name.as_str(), base.server_user.as_str()),
            ("v", "s", "you")
        );
        assert_eq!((base.bind_addr.as_str(), base.bind_port), ("127.0.0.1", number));
        assert_eq!(base.secret_key.expose(), "abc");
        assert!(base.transport.use_encryption && base.transport.use_compression);
    }
    for (line, text) in [
        ("stcp visitor --server-name s --bind-port 1", "name is required\n"),
        ("stcp visitor -n v --bind-port 1", "server name is required\n"),
        ("sudp visitor -n v --server-name s", "bind port is required\n"),
    ] {
        let exit = frpc(line).unwrap_err();
        assert_eq!((exit.code, exit.stdout.as_str()), (1, text), "{line}");
    }
}

#[test]
fn commands_that_are_not_built_say_so() {
    for line in ["xtcp -n a", "xtcp visitor -n a --server-name b --bind-port 1", "nathole discover"] {
        let exit = frpc(line).unwrap_err();
        assert_eq!((exit.code, exit.stderr.as_str()), (1, ""), "{line}");
        assert!(exit.stdout.ends_with(" is not supported yet by this version\n"), "{}", exit.stdout);
    }
}

#[test]
fn a_directory_gives_a_client_for_each_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("d/sub")).unwrap();
    std::fs::write(folder.path().join("d/a.toml"), "serverAddr = \"127.0.0.1\"\n").unwrap();
    std::fs::write(folder.path().join("d/sub/b.toml"), "bogus = 1\n").unwrap();
    let options =
        LoadOptions { strict: true, environment: Environment::default(), base_dir: folder.path().to_owned() };
    let command = frp_cli::frpc::parse(words("frpc", "--config_dir d -c ignored.toml")).unwrap();
    let Runs::Directory(entries) = command.prepare(&options).unwrap() else { panic!() };
    let entries: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.run.is_some())).collect();
    assert_eq!(entries, [("d/a.toml", true), ("d/sub/b.toml", false)]);
    assert_eq!(
        frp_cli::frpc::failed_in_directory("d/sub/b.toml"),
        "frpc service error for config file [d/sub/b.toml]\n"
    );
}

#[test]
fn a_legacy_file_is_warned_of_when_it_runs_and_flags_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("frps.ini"), "[common]\nbind_port = 7100\n").unwrap();
    let options =
        LoadOptions { strict: true, environment: Environment::default(), base_dir: folder.path().to_owned() };
    let command = frp_cli::frps::parse(words("frps", "-c frps.ini -p 7200")).unwrap();
    let run = command.prepare(&options).unwrap();
    assert_eq!((run.config.bind_port, run.config_file.as_deref()), (7100, Some("frps.ini")));
    assert_eq!(
        run.notices,
        "WARNING: ini format is deprecated and the support will be removed in the future, please use \
         yaml/json/toml format instead!\n"
    );
}

#[test]
fn no_secret_is_shown_by_debug() {
    let shown = format!(
        "{:?} {:?}",
        frps("-t hunter2 --dashboard-pwd hunter2").unwrap(),
        frpc("tcp -n a -t hunter2").unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
