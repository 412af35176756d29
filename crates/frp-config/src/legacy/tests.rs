//! What the recorded cases do not show.

use std::path::PathBuf;

use super::*;
use crate::plugin::ClientPlugin;
use crate::proxy::ProxyConfig;

fn options() -> LoadOptions {
    LoadOptions { strict: true, environment: Default::default(), base_dir: PathBuf::from("/") }
}

fn client(text: &str) -> LegacyClient {
    load_client(text, &options()).unwrap()
}

fn client_error(text: &str) -> String {
    load_client(text, &options()).unwrap_err().to_string()
}

fn names(loaded: &LegacyClient) -> Vec<&str> {
    loaded.proxies.iter().map(ProxyConfig::name).collect()
}

#[test]
fn a_file_is_ini_by_its_content() {
    assert!(detect(b"\xef\xbb\xbf[common]\n"));
    assert!(detect(b"[common]\nserver_addr = {{ .Envs.A }}\n"));
    assert!(detect(b"[common]\ntoken = caf\xe9\n"));
    for text in
        ["", "[Common]\n", "[ common ]\n", "serverPort = 7000\n", "[common]\nflag\n", "[common]\n{{ end }}\n"]
    {
        assert!(!detect(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn keys_of_our_own_have_ini_spellings() {
    let server =
        load_server("[common]\nhalf_close_timeout = 5\nmax_pending_per_address = 6\n", &options()).unwrap();
    assert_eq!((server.transport.half_close_timeout, server.transport.max_pending_per_address), (5, 6));
    assert_eq!(client("[common]\nhalf_close_timeout = 7\n").common.transport.half_close_timeout, 7);
    let server = load_server("[common]\nwebsocket_path = /a\n", &options()).unwrap();
    assert_eq!(server.transport.websocket_path, "/a");
    let transport = client("[common]\nwebsocket_path = /a\nwebsocket_host = b:1\n").common.transport;
    assert_eq!((transport.websocket_path.as_str(), transport.websocket_host.as_str()), ("/a", "b:1"));
    assert_eq!(client("[common]\nudp_max_sessions = 9\n").common.udp_max_sessions(), 9);
    assert_eq!(client("[common]\ntcp_mux_connections = 4\n").common.transport.tcp_mux_connections(), 4);
}

#[test]
fn a_template_can_take_the_common_section_away() {
    let text = "# {{ if .Envs.NOPE }}\n[common]\n# {{ end }}\n";
    assert!(detect(text.as_bytes()));
    assert_eq!(client_error(text), "invalid configuration file, not found [common] section");
    assert_eq!(load_server(text, &options()).unwrap_err().to_string(), "section \"common\" does not exist");
}

#[test]
fn ranges_are_numbered_from_zero_and_replace_keys() {
    let loaded = client(
        "[common]\n[range: web ]\nlocal_port = 6000-6002\nremote_port = 7000-7001,7005\ngroup = g\n[web_1]\nlocal_ip = x\ngroup = old\n",
    );
    assert_eq!(names(&loaded), ["web_0", "web_1", "web_2"]);
    let ProxyConfig::Tcp(second) = &loaded.proxies[1] else { panic!("tcp") };
    assert_eq!((second.base.backend.local_port, second.remote_port), (6001, 7001));
    assert_eq!((second.base.backend.local_ip.as_str(), second.base.load_balancer.group.as_str()), ("x", "g"));
}

#[test]
fn ranges_are_bounded() {
    let range = |name: &str| format!("[range:{name}]\nlocal_port = 1-150000\nremote_port = 1-150000\n");
    assert_eq!(
        client_error(&format!("[common]\nstart = none\n{}{}", range("a"), range("b"))),
        "failed to render template for proxy range:b: range number is invalid, more than 200000 numbers"
    );
    assert_eq!(
        client_error("[common]\n[range:a]\nlocal_port = 1-9000000000\nremote_port = 1\n"),
        "failed to render template for proxy range:a: range number is invalid, more than 1000000 numbers"
    );
}

#[test]
fn plugin_keys_count_as_written_and_in_their_own_section() {
    let loaded = client(
        "[common]\n[a]\nplugin = socks5\nname = n\nplugin_user = %(name)s\nplugin_passwd = p\n[a.b]\n[c]\nplugin = nope\n",
    );
    let plugin = |index: usize| loaded.proxies[index].base().backend.plugin.clone().unwrap();
    let ClientPlugin::Socks5(own) = plugin(0) else { panic!("socks5") };
    assert_eq!((own.username.as_str(), own.password.expose()), ("%(name)s", "p"));
    let ClientPlugin::Socks5(inherited) = plugin(1) else { panic!("socks5") };
    assert!(inherited.username.is_empty());
    assert_eq!(plugin(2), ClientPlugin::NameOnly("nope".to_owned()));
}

#[test]
fn warnings_come_before_the_error() {
    let text = "[common]\ntls_enable = false\ntls_key_file = k\n[a]\ntype = x\n";
    assert_eq!(
        client_error(text),
        "WARNING! tls_key_file is invalid when tls_enable is false\nfailed to parse proxy a, err: invalid type [x]"
    );
}

#[test]
fn includes_are_read_as_if_they_stood_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.ini", "remote_port = 1\n[common]\nuser = ignored\n[x]\nlocal_port = 2");
    write("b.ini", "local_ip = y\n[flags]\nuse_encryption\n");
    std::fs::create_dir(folder.path().join("c.ini")).unwrap();
    let options = LoadOptions { base_dir: folder.path().to_owned(), ..options() };
    let loaded = load_client("[common]\nincludes = *.ini\n[last]\n", &options).unwrap();
    assert_eq!(names(&loaded), ["flags", "last", "x"]);
    assert!(loaded.common.user.is_empty());
    let ProxyConfig::Tcp(last) = &loaded.proxies[1] else { panic!("tcp") };
    assert_eq!(last.remote_port, 1);
    assert_eq!(loaded.proxies[2].base().backend.local_ip, "y");
    assert!(loaded.proxies[0].base().transport.use_encryption);

    write("d.txt", "{{ .Nope }}");
    let error = load_client("[common]\nincludes = d.txt\n", &options).unwrap_err().to_string();
    assert!(error.starts_with("getIncludeContents error: render extra config "), "{error}");
    let error = load_client("[common]\nincludes = a.ini/x\n", &options).unwrap_err().to_string();
    assert!(
        error.starts_with("getIncludeContents error: open ") && error.ends_with("not a directory"),
        "{error}"
    );
}

#[test]
fn every_cut_of_a_file_loads_or_fails() {
    let text = "\u{feff}x = 1\n[common]\ntoken = `a\nb`\nincludes =\n[range:r]\nlocal_port = 1-2\nremote_port = 3-4\n\
                [a.b] ; c\nrole = visitor\ntype = xtcp\nsk = %(x)s\\\n  é\n\"k\" : {{ len \"a\" }}\n- = 'v'\n";
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = detect(&text.as_bytes()[..end]);
        let _ = load_client(&text[..end], &options());
        let _ = load_server(&text[..end], &options());
    }
}
