//! One configured DNS server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::proto::{ProtoError, ProtoErrorKind};
use hickory_resolver::system_conf::read_system_conf;

use super::LookupError;
use super::order::by_preference;
use crate::address::split_host_port;
use crate::error_text::os_error;

/// Time for one attempt, and attempts: those of Go's resolver without other advice (`resolv.conf(5)`).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;

/// The server of `dnsServer`, or why there is none.
#[derive(Clone, Debug)]
pub(super) enum ConfiguredServer {
    Usable(SocketAddr),
    /// What was configured and is no IP address.
    Unusable(Arc<str>),
}

impl ConfiguredServer {
    pub(super) fn new(server: &str) -> Self {
        match server_address(server) {
            Some(address) => Self::Usable(address),
            None => Self::Unusable(server.into()),
        }
    }

    pub(super) async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let resolver = match self {
            Self::Usable(address) => resolver(*address),
            Self::Unusable(server) => {
                return Err(LookupError::failed(host, format!("dnsServer {server:?} is not an IP address")));
            }
        };
        match resolver.lookup_ip(host).await {
            Ok(found) => Ok(by_preference(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())),
            Err(error) => Err(error
                .proto()
                .map_or_else(|| LookupError::failed(host, error.to_string()), |proto| failure(host, proto))),
        }
    }
}

/// `1.1.1.1`, `1.1.1.1:53`, `2606::1` or `[2606::1]:53`, port 53 where none is given.
pub(super) fn server_address(server: &str) -> Option<SocketAddr> {
    match split_host_port(server) {
        Some((host, port)) => Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?)),
        None => Some(SocketAddr::new(server.parse().ok()?, 53)),
    }
}

/// A resolver for one question: it reads the hosts file and the search domains as they are now, and remembers
/// nothing of a server that was silent before.
fn resolver(address: SocketAddr) -> TokioResolver {
    // Of the system's configuration only the search domains and the number of dots are kept.
    let (config, options) = match read_system_conf() {
        Ok((system, options)) => {
            let search = system.search().to_vec();
            (ResolverConfig::from_parts(system.domain().cloned(), search, servers(address)), options.ndots)
        }
        Err(_) => (ResolverConfig::from_parts(None, Vec::new(), servers(address)), 1),
    };
    let mut builder = TokioResolver::builder_with_config(config, TokioConnectionProvider::default());
    *builder.options_mut() = resolver_options(options);
    builder.build()
}

fn servers(address: SocketAddr) -> Vec<NameServerConfig> {
    [Protocol::Udp, Protocol::Tcp]
        .map(|protocol| {
            let mut server = NameServerConfig::new(address, protocol);
            server.trust_negative_responses = true;
            server
        })
        .to_vec()
}

fn resolver_options(ndots: usize) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.ndots = ndots;
    options.timeout = ATTEMPT_TIMEOUT;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.num_concurrent_reqs = 1;
    options
}

/// hickory's error as Go's resolver would word it.
fn failure(host: &str, error: &ProtoError) -> LookupError {
    match error.kind() {
        ProtoErrorKind::NoRecordsFound {
            response_code: ResponseCode::NXDomain | ResponseCode::NoError,
            ..
        } => LookupError::no_such_host(host),
        ProtoErrorKind::NoRecordsFound { .. } => LookupError::failed(host, "server misbehaving".to_owned()),
        ProtoErrorKind::Timeout => LookupError::timeout(host),
        ProtoErrorKind::Io(cause) => LookupError::failed(host, os_error(cause)),
        _ => LookupError::failed(host, error.to_string()),
    }
}
