//! The section `common` of frpc.

use super::reader::Reader;
use super::server::{additional_scopes, log};
use crate::client::ClientConfig;
use crate::load::{LoadError, LoadOptions, include};
use crate::raw::ini::{Ini, Section};

pub(super) fn read(ini: &Ini, common: &Section) -> ClientConfig {
    let reader = Reader::new(ini, common);
    let mut config = ClientConfig { log: log(reader), ..ClientConfig::default() };
    auth(reader, &mut config);
    transport(reader, &mut config);
    reader.text("user", &mut config.user);
    reader.text("server_addr", &mut config.server_addr);
    reader.number("server_port", &mut config.server_port);
    reader.text("nat_hole_stun_server", &mut config.nat_hole_stun_server);
    reader.text("dns_server", &mut config.dns_server);
    config.login_fail_exit = Some(reader.flag_or("login_fail_exit", true));
    reader.list("start", &mut config.start);
    reader.text("admin_addr", &mut config.web_server.addr);
    reader.number("admin_port", &mut config.web_server.port);
    reader.text("admin_user", &mut config.web_server.user);
    reader.secret("admin_pwd", &mut config.web_server.password);
    reader.text("assets_dir", &mut config.web_server.assets_dir);
    reader.flag("pprof_enable", &mut config.web_server.pprof_enable);
    reader.number("udp_packet_size", &mut config.udp_packet_size);
    reader.number("udp_max_sessions", &mut config.udp_max_sessions);
    config.metadatas = reader.prefixed("meta_");
    reader.list("includes", &mut config.includes);
    config
}

fn auth(reader: Reader<'_>, config: &mut ClientConfig) {
    let auth = &mut config.auth;
    "token".clone_into(&mut auth.method);
    reader.text("authentication_method", &mut auth.method);
    auth.additional_scopes = additional_scopes(reader);
    reader.secret("token", &mut auth.token);
    reader.text("oidc_client_id", &mut auth.oidc.client_id);
    reader.secret("oidc_client_secret", &mut auth.oidc.client_secret);
    reader.text("oidc_audience", &mut auth.oidc.audience);
    reader.text("oidc_scope", &mut auth.oidc.scope);
    reader.text("oidc_token_endpoint_url", &mut auth.oidc.token_endpoint_url);
    auth.oidc.additional_endpoint_params = reader.prefixed("oidc_additional_");
}

fn transport(reader: Reader<'_>, config: &mut ClientConfig) {
    let transport = &mut config.transport;
    "tcp".clone_into(&mut transport.protocol);
    reader.text("protocol", &mut transport.protocol);
    reader.number("dial_server_timeout", &mut transport.dial_server_timeout);
    reader.number("dial_server_keepalive", &mut transport.dial_server_keepalive);
    reader.text("connect_server_local_ip", &mut transport.connect_server_local_ip);
    reader.secret("http_proxy", &mut transport.proxy_url);
    reader.number("pool_count", &mut transport.pool_count);
    transport.tcp_mux = Some(reader.flag_or("tcp_mux", true));
    reader.number("tcp_mux_keepalive_interval", &mut transport.tcp_mux_keepalive_interval);
    reader.number("quic_keepalive_period", &mut transport.quic.keepalive_period);
    reader.number("quic_max_idle_timeout", &mut transport.quic.max_idle_timeout);
    reader.number("quic_max_incoming_streams", &mut transport.quic.max_incoming_streams);
    reader.number("heartbeat_interval", &mut transport.heartbeat_interval);
    reader.number("heartbeat_timeout", &mut transport.heartbeat_timeout);
    let tls = &mut transport.tls;
    tls.enable = Some(reader.flag_or("tls_enable", true));
    tls.disable_custom_tls_first_byte = Some(reader.flag_or("disable_custom_tls_first_byte", true));
    reader.text("tls_cert_file", &mut tls.config.cert_file);
    reader.text("tls_key_file", &mut tls.config.key_file);
    reader.text("tls_trusted_ca_file", &mut tls.config.trusted_ca_file);
    reader.text("tls_server_name", &mut tls.config.server_name);
    reader.number("half_close_timeout", &mut transport.half_close_timeout);
    reader.number("tcp_mux_connections", &mut transport.tcp_mux_connections);
    reader.text("websocket_path", &mut transport.websocket_path);
    reader.text("websocket_host", &mut transport.websocket_host);
}

/// What upstream checks before it looks at the proxies. The result are the lines that it prints meanwhile.
///
/// # Errors
/// The configuration is at fault; lines printed before that belong to the error.
pub(super) fn check(common: &ClientConfig, options: &LoadOptions) -> Result<Vec<String>, LoadError> {
    let fail = |text: &str| LoadError::new(format!("parse config error: {text}"));
    let transport = &common.transport;
    let (interval, timeout) = (transport.heartbeat_interval, transport.heartbeat_timeout);
    if timeout > 0 && interval > 0 && timeout < interval {
        return Err(fail("invalid heartbeat_timeout, heartbeat_timeout is less than heartbeat_interval"));
    }
    let mut notices = Vec::new();
    if !transport.tls.enable() {
        let tls = &transport.tls.config;
        let files = [
            ("tls_cert_file", &tls.cert_file),
            ("tls_key_file", &tls.key_file),
            ("tls_trusted_ca_file", &tls.trusted_ca_file),
        ];
        notices.extend(
            files
                .into_iter()
                .filter(|(_, file)| !file.is_empty())
                .map(|(key, _)| format!("WARNING! {key} is invalid when tls_enable is false")),
        );
    }
    if !["tcp", "kcp", "quic", "websocket", "wss"].contains(&transport.protocol.as_str()) {
        return Err(fail("invalid protocol").after(notices));
    }
    for pattern in &common.includes {
        let missing = std::fs::metadata(include::directory(pattern, &options.base_dir))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if missing {
            return Err(fail(&format!("include: directory of {pattern} not exist")).after(notices));
        }
    }
    Ok(notices)
}
