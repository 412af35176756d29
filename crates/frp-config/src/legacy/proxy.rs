//! The section of a proxy.

use super::plugin;
use super::reader::Reader;
use crate::proxy::{DomainConfig, ProxyBase, ProxyConfig, ProxyType};
use crate::raw::ini::{Ini, Section};
use crate::value::BandwidthLimit;

/// Reads a proxy. Its name is that of the section; without `type` it is a tcp proxy.
///
/// # Errors
/// An unknown type, or a bandwidth limit that cannot be read.
pub(super) fn read(ini: &Ini, section: &Section) -> Result<ProxyConfig, String> {
    let reader = Reader::new(ini, section);
    let type_name = reader.get("type");
    let kind = if type_name.is_empty() { Some(ProxyType::Tcp) } else { ProxyType::from_name(&type_name) };
    let mut config = ProxyConfig::new(kind.ok_or_else(|| format!("invalid type [{type_name}]"))?);
    let base = config.base_mut();
    read_base(reader, base)?;
    section.name().clone_into(&mut base.name);
    match &mut config {
        ProxyConfig::Tcp(proxy) => reader.number("remote_port", &mut proxy.remote_port),
        ProxyConfig::Udp(proxy) => reader.number("remote_port", &mut proxy.remote_port),
        ProxyConfig::Http(proxy) => {
            read_domain(reader, &mut proxy.domain);
            reader.list("locations", &mut proxy.locations);
            reader.text("http_user", &mut proxy.http_user);
            reader.secret("http_pwd", &mut proxy.http_password);
            reader.text("host_header_rewrite", &mut proxy.host_header_rewrite);
            proxy.request_headers.set = reader.prefixed("header_");
            reader.text("route_by_http_user", &mut proxy.route_by_http_user);
        }
        ProxyConfig::Https(proxy) => read_domain(reader, &mut proxy.domain),
        ProxyConfig::Tcpmux(proxy) => {
            read_domain(reader, &mut proxy.domain);
            reader.text("http_user", &mut proxy.http_user);
            reader.secret("http_pwd", &mut proxy.http_password);
            reader.text("route_by_http_user", &mut proxy.route_by_http_user);
            reader.text("multiplexer", &mut proxy.multiplexer);
        }
        ProxyConfig::Stcp(proxy) => {
            reader.secret("sk", &mut proxy.secret_key);
            reader.list("allow_users", &mut proxy.allow_users);
        }
        ProxyConfig::Sudp(proxy) => {
            reader.secret("sk", &mut proxy.secret_key);
            reader.list("allow_users", &mut proxy.allow_users);
        }
        ProxyConfig::Xtcp(proxy) => {
            reader.secret("sk", &mut proxy.secret_key);
            reader.list("allow_users", &mut proxy.allow_users);
        }
    }
    Ok(config)
}

fn read_base(reader: Reader<'_>, base: &mut ProxyBase) -> Result<(), String> {
    reader.text("local_ip", &mut base.backend.local_ip);
    reader.number("local_port", &mut base.backend.local_port);
    base.backend.plugin = plugin::read(reader);
    base.metadatas = reader.prefixed("meta_");

    let transport = &mut base.transport;
    reader.flag("use_encryption", &mut transport.use_encryption);
    reader.flag("use_compression", &mut transport.use_compression);
    transport.bandwidth_limit =
        BandwidthLimit::parse(&reader.get("bandwidth_limit")).map_err(|error| error.to_string())?;
    reader.text("bandwidth_limit_mode", &mut transport.bandwidth_limit_mode);
    reader.text("proxy_protocol_version", &mut transport.proxy_protocol_version);

    reader.text("group", &mut base.load_balancer.group);
    reader.secret("group_key", &mut base.load_balancer.group_key);

    let health_check = &mut base.health_check;
    reader.text("health_check_type", &mut health_check.kind);
    reader.number("health_check_timeout_s", &mut health_check.timeout_seconds);
    reader.number("health_check_max_failed", &mut health_check.max_failed);
    reader.number("health_check_interval_s", &mut health_check.interval_seconds);
    reader.text("health_check_url", &mut health_check.path);
    Ok(())
}

fn read_domain(reader: Reader<'_>, domain: &mut DomainConfig) {
    reader.list("custom_domains", &mut domain.custom_domains);
    reader.text("subdomain", &mut domain.subdomain);
}
