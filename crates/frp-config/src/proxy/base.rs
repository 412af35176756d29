//! The keys that every proxy has.

use std::collections::BTreeMap;
use std::time::Duration;

use frp_proto::msg::NewProxy;

use crate::check::{self, CheckError};
use crate::common::{HttpHeader, default_text, seconds};
use crate::plugin::ClientPlugin;
use crate::table::table;
use crate::value::{BandwidthLimit, Pairs, Secret};

table! {
    /// The keys that every proxy has. The type is the variant of [`super::ProxyConfig`].
    pub struct ProxyBase = "v1.ProxyBaseConfig" {
        .. {
            /// The service.
            backend: ProxyBackend,
        }
        /// The proxy's name, unique per client and, with the user prefix, per server.
        name: String = "name",
        /// Whether to start it. Unset means yes.
        enabled: Option<bool> = "enabled",
        /// Texts for the server's dashboard; the names follow the rules of Kubernetes.
        annotations: BTreeMap<String, String> = "annotations",
        /// How its work connections are carried.
        transport: ProxyTransport = "transport",
        /// Texts for the server's plugins.
        metadatas: Pairs = "metadatas",
        /// The group that shares its users.
        load_balancer: LoadBalancerConfig = "loadBalancer",
        /// Whether the service is watched, and how.
        health_check: HealthCheckConfig = "healthCheck",
    }
}

table! {
    /// Where the users of a proxy end up.
    pub struct ProxyBackend = "v1.ProxyBackend" {
        /// Host of the service. Default `127.0.0.1`.
        local_ip: String = "localIP",
        /// Port of the service.
        local_port: i64 = "localPort",
        /// What handles connections instead of the service.
        plugin: Option<ClientPlugin> = "plugin",
    }
}

table! {
    /// `transport` of a proxy.
    pub struct ProxyTransport = "v1.ProxyTransport" {
        /// Encrypt work connections with the token.
        use_encryption: bool = "useEncryption",
        /// Compress work connections.
        use_compression: bool = "useCompression",
        /// Bytes per second in both directions together.
        bandwidth_limit: BandwidthLimit = "bandwidthLimit",
        /// `client` or `server`: who limits. Default `client`.
        bandwidth_limit_mode: String = "bandwidthLimitMode",
        /// `v1` or `v2` tells the service the user's address by a PROXY header; empty does not.
        proxy_protocol_version: String = "proxyProtocolVersion",
    }
}

table! {
    /// `loadBalancer` of a proxy.
    pub struct LoadBalancerConfig = "v1.LoadBalancerConfig" {
        /// Name of the group; empty is none.
        group: String = "group",
        /// What all members of the group must know.
        group_key: Secret = "groupKey",
    }
}

table! {
    /// `healthCheck` of a proxy. The defaults of the numbers hold when the check runs; the keys stay as written.
    pub struct HealthCheckConfig = "v1.HealthCheckConfig" {
        /// `tcp`, `http`, or empty for no check.
        kind: String = "type",
        /// Seconds to wait for an answer. Default 3.
        timeout_seconds: i64 = "timeoutSeconds",
        /// Failures that take the proxy down. Default 1.
        max_failed: i64 = "maxFailed",
        /// Seconds between checks. Default 10.
        interval_seconds: i64 = "intervalSeconds",
        /// Path to ask for, with type `http`.
        path: String = "path",
        /// Headers to send, with type `http`.
        http_headers: Vec<HttpHeader> = "httpHeaders",
    }
}

impl HealthCheckConfig {
    /// How long to wait for an answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout_seconds).unwrap_or(Duration::from_secs(3))
    }

    /// Failures that take the proxy down.
    #[must_use]
    pub fn max_failed(&self) -> u64 {
        u64::try_from(self.max_failed).ok().filter(|count| *count > 0).unwrap_or(1)
    }

    /// Time between checks.
    #[must_use]
    pub fn interval(&self) -> Duration {
        seconds(self.interval_seconds).unwrap_or(Duration::from_secs(10))
    }
}

impl ProxyBase {
    /// Whether the proxy is to be started.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        matches!(self.enabled, None | Some(true))
    }

    pub(super) fn complete(&mut self) {
        default_text(&mut self.backend.local_ip, "127.0.0.1");
        default_text(&mut self.transport.bandwidth_limit_mode, "client");
        if let Some(plugin) = &mut self.backend.plugin {
            plugin.complete();
        }
    }

    pub(super) fn write_message(&self, message: &mut NewProxy) {
        message.proxy_name.clone_from(&self.name);
        message.use_encryption = self.transport.use_encryption;
        message.use_compression = self.transport.use_compression;
        self.transport.bandwidth_limit.text().clone_into(&mut message.bandwidth_limit);
        // The default mode is left out.
        if self.transport.bandwidth_limit_mode != "client" {
            message.bandwidth_limit_mode.clone_from(&self.transport.bandwidth_limit_mode);
        }
        message.group.clone_from(&self.load_balancer.group);
        message.group_key = self.load_balancer.group_key.clone();
        message.metas = (*self.metadatas).clone();
        message.annotations.clone_from(&self.annotations);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self {
            name: message.proxy_name.clone(),
            transport: ProxyTransport {
                use_encryption: message.use_encryption,
                use_compression: message.use_compression,
                // As with upstream, a limit that cannot be read is no limit.
                bandwidth_limit: BandwidthLimit::parse(&message.bandwidth_limit).unwrap_or_default(),
                bandwidth_limit_mode: message.bandwidth_limit_mode.clone(),
                ..ProxyTransport::default()
            },
            load_balancer: LoadBalancerConfig {
                group: message.group.clone(),
                group_key: message.group_key.clone(),
            },
            metadatas: message.metas.clone().into(),
            annotations: message.annotations.clone(),
            ..Self::default()
        }
    }

    pub(super) fn check_for_client(&self) -> Result<(), CheckError> {
        if self.name.is_empty() {
            return Err(CheckError::new("name should not be empty"));
        }
        check::annotations(&self.annotations)?;
        let version = self.transport.proxy_protocol_version.as_str();
        if !["", "v1", "v2"].contains(&version) {
            return Err(CheckError::new(format!("not support proxy protocol version: {version}")));
        }
        if !["client", "server"].contains(&self.transport.bandwidth_limit_mode.as_str()) {
            return Err(CheckError::new("bandwidth limit mode should be client or server"));
        }
        if self.backend.plugin.is_none() {
            check::port(self.backend.local_port, "localPort")
                .map_err(|error| CheckError::new(format!("localPort: {error}")))?;
        }
        match self.health_check.kind.as_str() {
            "" | "tcp" => {}
            "http" if self.health_check.path.is_empty() => {
                return Err(CheckError::new("health check path should not be empty"));
            }
            "http" => {}
            other => return Err(CheckError::new(format!("not support health check type: {other}"))),
        }
        if let Some(plugin) = &self.backend.plugin {
            plugin
                .check()
                .map_err(|error| CheckError::new(format!("plugin {}: {error}", plugin.type_name())))?;
        }
        Ok(())
    }

    pub(super) fn check_for_server(&self) -> Result<(), CheckError> {
        check::annotations(&self.annotations)
    }
}
