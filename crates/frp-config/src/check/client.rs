//! Rules for the configuration of frpc.

use std::path::Path;

use super::{CheckError, Findings, UnsafeFeatures, auth, log, web_server};
use crate::client::{ClientConfig, ClientTransportConfig};
use crate::feature::FeatureGates;
use crate::load::include;
use crate::proxy::ProxyConfig;
use crate::visitor::VisitorConfig;

/// What the rules look at besides the configuration itself.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Features allowed on the command line.
    pub allowed: &'a UnsafeFeatures,
    /// Feature gates that are on; when verifying, none is.
    pub gates: &'a FeatureGates,
    /// The folder that relative paths start from: the process's current one, except in tests.
    pub base_dir: &'a Path,
}

/// Checks all that a client will run: the common keys, then each proxy, then each visitor, in the given order.
/// Warnings are for the user to read and stop nothing.
///
/// # Errors
/// The configuration is at fault; upstream's text. All faults of the common keys come together, joined by newlines;
/// of the proxies and visitors only the first.
pub fn client(
    config: &ClientConfig,
    proxies: &[ProxyConfig],
    visitors: &[VisitorConfig],
    circumstances: Circumstances<'_>,
) -> (Vec<String>, Result<(), CheckError>) {
    let (warnings, outcome) = common(config, circumstances);
    let outcome = outcome.and_then(|()| entries(proxies, visitors));
    (warnings, outcome)
}

fn entries(proxies: &[ProxyConfig], visitors: &[VisitorConfig]) -> Result<(), CheckError> {
    for proxy in proxies {
        proxy
            .check_for_client()
            .map_err(|error| CheckError::new(format!("proxy {}: {error}", proxy.name())))?;
    }
    for visitor in visitors {
        visitor.check().map_err(|error| CheckError::new(format!("visitor {}: {error}", visitor.name())))?;
    }
    Ok(())
}

/// Checks the common keys of a client, without proxies and visitors.
///
/// # Errors
/// As [`client`].
pub fn common(
    config: &ClientConfig,
    circumstances: Circumstances<'_>,
) -> (Vec<String>, Result<(), CheckError>) {
    let mut findings = Findings::default();
    if !config.virtual_net.address.is_empty() {
        findings.require(
            circumstances.gates.is_enabled(FeatureGates::VIRTUAL_NET),
            "VirtualNet feature is not enabled; enable it by setting the appropriate feature gate flag",
        );
    }
    auth::client(&config.auth, circumstances.allowed, &mut findings);
    findings.note(log(&config.log));
    findings.note(web_server(&config.web_server));
    let warnings = transport(&config.transport, &mut findings);
    for pattern in &config.includes {
        findings.require(
            include::directory(pattern, circumstances.base_dir).exists(),
            format!("include: directory of {pattern} not exist"),
        );
    }
    (warnings, findings.finish())
}

fn transport(config: &ClientTransportConfig, findings: &mut Findings) -> Vec<String> {
    let both_on = config.heartbeat_timeout > 0 && config.heartbeat_interval > 0;
    findings.require(
        !both_on || config.heartbeat_timeout >= config.heartbeat_interval,
        "invalid transport.heartbeatTimeout, heartbeat timeout should not less than heartbeat interval",
    );
    findings.require(
        ["tcp", "kcp", "quic", "websocket", "wss"].contains(&config.protocol.as_str()),
        "invalid transport.protocol, optional values are [tcp kcp quic websocket wss]",
    );
    findings.require(
        ["v1", "v2"].contains(&config.wire_protocol.as_str()),
        "invalid transport.wireProtocol, optional values are [v1 v2]",
    );
    findings.require(
        super::is_path(&config.websocket_path),
        "invalid transport.websocketPath, it must be a path that begins with /",
    );
    findings.require(
        config.websocket_host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'),
        "invalid transport.websocketHost, it must be a host with or without a port",
    );
    if config.tls.enable() {
        return Vec::new();
    }
    let tls = &config.tls.config;
    [("certFile", &tls.cert_file), ("keyFile", &tls.key_file), ("trustedCaFile", &tls.trusted_ca_file)]
        .into_iter()
        .filter(|(_, path)| !path.is_empty())
        .map(|(key, _)| format!("transport.tls.{key} is invalid when transport.tls.enable is false"))
        .collect()
}
