//! Rules for the configuration of frps.

use super::{CheckError, Findings, UnsafeFeatures, auth, log, port, web_server};
use crate::server::ServerConfig;

/// Operations that an HTTP plugin may be asked about.
const HTTP_PLUGIN_OPS: [&str; 6] = ["Login", "NewProxy", "CloseProxy", "Ping", "NewWorkConn", "NewUserConn"];

/// Checks a completed configuration of frps.
///
/// # Errors
/// The configuration is at fault; all of upstream's texts, joined by newlines.
pub fn server(config: &ServerConfig, allowed: &UnsafeFeatures) -> Result<(), CheckError> {
    let mut findings = Findings::default();
    auth::server(&config.auth, allowed, &mut findings);
    findings.note(log(&config.log));
    findings.note(web_server(&config.web_server));
    findings.require(
        super::is_path(&config.transport.websocket_path),
        "invalid transport.websocketPath, it must be a path that begins with /",
    );
    for (number, path) in [
        (config.bind_port, "bindPort"),
        (config.kcp_bind_port, "kcpBindPort"),
        (config.quic_bind_port, "quicBindPort"),
        (config.vhost_http_port, "vhostHTTPPort"),
        (config.vhost_https_port, "vhostHTTPSPort"),
        // Upstream spells this one differently from the key.
        (config.tcpmux_http_connect_port, "tcpMuxHTTPConnectPort"),
    ] {
        findings.note(port(number, path));
    }
    for plugin in &config.http_plugins {
        findings.require(
            plugin.ops.iter().all(|op| HTTP_PLUGIN_OPS.contains(&op.as_str())),
            "invalid http plugin ops, optional values are [Login NewProxy CloseProxy Ping NewWorkConn NewUserConn]",
        );
    }
    findings.finish()
}
