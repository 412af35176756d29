//! The sections of frps: `common` and `plugin.*`.

use super::reader::Reader;
use crate::common::{LogConfig, TlsConfig};
use crate::raw::ini::{Ini, Section};
use crate::server::{HttpPluginOptions, ServerConfig};
use crate::value::ports;

pub(super) fn read(ini: &Ini, common: &Section) -> ServerConfig {
    let reader = Reader::new(ini, common);
    let mut config = ServerConfig::default();
    auth(reader, &mut config);
    listeners(reader, &mut config);
    web_server(reader, &mut config);
    transport(reader, &mut config);
    limits(reader, &mut config);
    config.log = log(reader);
    config.http_plugins = http_plugins(ini);
    config
}

fn auth(reader: Reader<'_>, config: &mut ServerConfig) {
    let auth = &mut config.auth;
    "token".clone_into(&mut auth.method);
    reader.text("authentication_method", &mut auth.method);
    auth.additional_scopes = additional_scopes(reader);
    reader.secret("token", &mut auth.token);
    reader.text("oidc_issuer", &mut auth.oidc.issuer);
    reader.text("oidc_audience", &mut auth.oidc.audience);
    reader.flag("oidc_skip_expiry_check", &mut auth.oidc.skip_expiry_check);
    reader.flag("oidc_skip_issuer_check", &mut auth.oidc.skip_issuer_check);
}

/// The scopes that have a key each in INI.
pub(super) fn additional_scopes(reader: Reader<'_>) -> Vec<String> {
    [("authenticate_heartbeats", "HeartBeats"), ("authenticate_new_work_conns", "NewWorkConns")]
        .into_iter()
        .filter(|(key, _)| reader.flag_or(key, false))
        .map(|(_, scope)| scope.to_owned())
        .collect()
}

pub(super) fn log(reader: Reader<'_>) -> LogConfig {
    let mut log = LogConfig::default();
    reader.text("log_file", &mut log.to);
    reader.text("log_level", &mut log.level);
    reader.number("log_max_days", &mut log.max_days);
    reader.flag("disable_log_color", &mut log.disable_print_color);
    log
}

fn listeners(reader: Reader<'_>, config: &mut ServerConfig) {
    reader.text("bind_addr", &mut config.bind_addr);
    reader.number("bind_port", &mut config.bind_port);
    reader.number("kcp_bind_port", &mut config.kcp_bind_port);
    reader.number("quic_bind_port", &mut config.quic_bind_port);
    reader.text("proxy_bind_addr", &mut config.proxy_bind_addr);
    reader.number("vhost_http_port", &mut config.vhost_http_port);
    reader.number("vhost_https_port", &mut config.vhost_https_port);
    reader.number("vhost_http_timeout", &mut config.vhost_http_timeout);
    reader.number("tcpmux_httpconnect_port", &mut config.tcpmux_http_connect_port);
    reader.flag("tcpmux_passthrough", &mut config.tcpmux_passthrough);
    reader.text("subdomain_host", &mut config.sub_domain_host);
    reader.text("custom_404_page", &mut config.custom_404_page);
}

fn web_server(reader: Reader<'_>, config: &mut ServerConfig) {
    let web_server = &mut config.web_server;
    // Other than in the current formats, the dashboard listens on all addresses.
    "0.0.0.0".clone_into(&mut web_server.addr);
    reader.text("dashboard_addr", &mut web_server.addr);
    reader.number("dashboard_port", &mut web_server.port);
    reader.text("dashboard_user", &mut web_server.user);
    reader.secret("dashboard_pwd", &mut web_server.password);
    reader.text("assets_dir", &mut web_server.assets_dir);
    if reader.flag_or("dashboard_tls_mode", false) {
        let mut tls = TlsConfig::default();
        reader.text("dashboard_tls_cert_file", &mut tls.cert_file);
        reader.text("dashboard_tls_key_file", &mut tls.key_file);
        web_server.tls = Some(tls);
        // Upstream copies this key only together with TLS.
        reader.flag("pprof_enable", &mut web_server.pprof_enable);
    }
    reader.flag("enable_prometheus", &mut config.enable_prometheus);
}

fn transport(reader: Reader<'_>, config: &mut ServerConfig) {
    let transport = &mut config.transport;
    transport.tcp_mux = Some(reader.flag_or("tcp_mux", true));
    reader.number("tcp_mux_keepalive_interval", &mut transport.tcp_mux_keepalive_interval);
    reader.number("tcp_keepalive", &mut transport.tcp_keepalive);
    reader.number("max_pool_count", &mut transport.max_pool_count);
    reader.number("heartbeat_timeout", &mut transport.heartbeat_timeout);
    reader.number("quic_keepalive_period", &mut transport.quic.keepalive_period);
    reader.number("quic_max_idle_timeout", &mut transport.quic.max_idle_timeout);
    reader.number("quic_max_incoming_streams", &mut transport.quic.max_incoming_streams);
    reader.flag("tls_only", &mut transport.tls.force);
    reader.text("tls_cert_file", &mut transport.tls.config.cert_file);
    reader.text("tls_key_file", &mut transport.tls.config.key_file);
    reader.text("tls_trusted_ca_file", &mut transport.tls.config.trusted_ca_file);
    reader.number("half_close_timeout", &mut transport.half_close_timeout);
    reader.number("max_pending_per_address", &mut transport.max_pending_per_address);
    reader.text("websocket_path", &mut transport.websocket_path);
}

fn limits(reader: Reader<'_>, config: &mut ServerConfig) {
    config.detailed_errors_to_client = Some(reader.flag_or("detailed_errors_to_client", true));
    reader.number("max_ports_per_client", &mut config.max_ports_per_client);
    reader.number("user_conn_timeout", &mut config.user_conn_timeout);
    reader.number("udp_packet_size", &mut config.udp_packet_size);
    reader.number("nat_hole_analysis_data_reserve_hours", &mut config.nathole_analysis_data_reserve_hours);
    // As with upstream, a list that cannot be read allows all ports.
    config.allow_ports = ports::parse_list(&reader.get("allow_ports")).unwrap_or_default();
}

/// The sections `[plugin.name]`, by name: upstream has no order here. The last of one name wins.
fn http_plugins(ini: &Ini) -> Vec<HttpPluginOptions> {
    let mut plugins = std::collections::BTreeMap::new();
    for section in ini.sections() {
        let Some(name) = section.name().strip_prefix("plugin.") else {
            continue;
        };
        let reader = Reader::new(ini, section);
        let mut plugin = HttpPluginOptions { name: name.trim().to_owned(), ..HttpPluginOptions::default() };
        reader.text("addr", &mut plugin.addr);
        reader.text("path", &mut plugin.path);
        reader.list("ops", &mut plugin.ops);
        reader.flag("tlsVerify", &mut plugin.tls_verify);
        plugins.insert(plugin.name.clone(), plugin);
    }
    plugins.into_values().collect()
}
