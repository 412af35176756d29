//! Flags that describe one proxy: of frpc's single-proxy commands, and (without [`LOCAL`]) of the SSH gateway's.

use super::{Flag, Set};
use frp_config::{ProxyBase, ProxyConfig, ProxyType, Secret};

/// What the flags say, whatever the type.
#[derive(Debug, Default)]
pub(crate) struct ProxyArguments {
    base: ProxyBase,
    remote_port: i64,
    custom_domains: Vec<String>,
    subdomain: String,
    locations: Vec<String>,
    http_user: String,
    http_password: Secret,
    host_header_rewrite: String,
    multiplexer: String,
    secret_key: Secret,
    allow_users: Vec<String>,
}

impl ProxyArguments {
    /// The proxy of this type, not completed. Flags that its command does not have are at their defaults.
    pub(crate) fn into_config(self, kind: ProxyType) -> ProxyConfig {
        let mut config = ProxyConfig::new(kind);
        match &mut config {
            ProxyConfig::Tcp(proxy) => proxy.remote_port = self.remote_port,
            ProxyConfig::Udp(proxy) => proxy.remote_port = self.remote_port,
            ProxyConfig::Http(proxy) => {
                proxy.domain.custom_domains = self.custom_domains;
                proxy.domain.subdomain = self.subdomain;
                proxy.locations = self.locations;
                proxy.http_user = self.http_user;
                proxy.http_password = self.http_password;
                proxy.host_header_rewrite = self.host_header_rewrite;
            }
            ProxyConfig::Https(proxy) => {
                proxy.domain.custom_domains = self.custom_domains;
                proxy.domain.subdomain = self.subdomain;
            }
            ProxyConfig::Tcpmux(proxy) => {
                proxy.domain.custom_domains = self.custom_domains;
                proxy.domain.subdomain = self.subdomain;
                proxy.http_user = self.http_user;
                proxy.http_password = self.http_password;
                proxy.multiplexer = self.multiplexer;
            }
            ProxyConfig::Stcp(proxy) => {
                proxy.secret_key = self.secret_key;
                proxy.allow_users = self.allow_users;
            }
            ProxyConfig::Sudp(proxy) => {
                proxy.secret_key = self.secret_key;
                proxy.allow_users = self.allow_users;
            }
            ProxyConfig::Xtcp(proxy) => {
                proxy.secret_key = self.secret_key;
                proxy.allow_users = self.allow_users;
            }
        }
        *config.base_mut() = self.base;
        config
    }
}

/// The tables that hold for a type, besides [`LABELS`] and [`LOCAL`], which hold for all.
pub(crate) fn tables(kind: ProxyType) -> &'static [&'static [Flag<ProxyArguments>]] {
    match kind {
        ProxyType::Tcp | ProxyType::Udp => &[PORT],
        ProxyType::Http => &[DOMAIN, HTTP_LOGIN, HTTP],
        ProxyType::Https => &[DOMAIN],
        ProxyType::Tcpmux => &[DOMAIN, HTTP_LOGIN, MULTIPLEXER],
        ProxyType::Stcp | ProxyType::Sudp | ProxyType::Xtcp => &[SECRET],
    }
}

/// Name and notes.
pub(crate) const LABELS: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "proxy-name",
        short: Some('n'),
        default: "",
        help: "name of the proxy",
        set: Set::Text(|proxy, value| proxy.base.name = value),
    },
    Flag {
        name: "metadatas",
        short: None,
        default: "",
        help: "texts for the server's plugins, as key=value,key=value",
        set: Set::Pairs(|proxy, value| proxy.base.metadatas = value.into()),
    },
    Flag {
        name: "annotations",
        short: None,
        default: "",
        help: "texts for the server's dashboard, as key=value,key=value",
        set: Set::Pairs(|proxy, value| proxy.base.annotations = value),
    },
];

/// Where the service is and how its connections are carried.
pub(crate) const LOCAL: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "local-ip",
        short: Some('i'),
        default: "127.0.0.1",
        help: "host of the service",
        set: Set::Text(|proxy, value| proxy.base.backend.local_ip = value),
    },
    Flag {
        name: "local-port",
        short: Some('l'),
        default: "",
        help: "port of the service",
        set: Set::Number(|proxy, value| proxy.base.backend.local_port = value),
    },
    Flag {
        name: "ue",
        short: None,
        default: "",
        help: "encrypt the connections between client and server",
        set: Set::Bool(|proxy, value| proxy.base.transport.use_encryption = value),
    },
    Flag {
        name: "uc",
        short: None,
        default: "",
        help: "compress the connections between client and server",
        set: Set::Bool(|proxy, value| proxy.base.transport.use_compression = value),
    },
    Flag {
        name: "bandwidth-limit-mode",
        short: None,
        default: "client",
        help: "who limits the bandwidth: client or server",
        set: Set::Text(|proxy, value| proxy.base.transport.bandwidth_limit_mode = value),
    },
    Flag {
        name: "bandwidth-limit",
        short: None,
        default: "",
        help: "bandwidth per second, such as 100KB or 1MB",
        set: Set::Bandwidth(|proxy, value| proxy.base.transport.bandwidth_limit = value),
    },
];

const PORT: &[Flag<ProxyArguments>] = &[Flag {
    name: "remote-port",
    short: Some('r'),
    default: "",
    help: "port on the server; 0 lets the server choose",
    set: Set::Number(|proxy, value| proxy.remote_port = value),
}];

const DOMAIN: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "custom-domain",
        short: Some('d'),
        default: "",
        help: "domains to serve",
        set: Set::List(|proxy, value| proxy.custom_domains = value),
    },
    Flag {
        name: "sd",
        short: None,
        default: "",
        help: "subdomain of the server's own domain to serve",
        set: Set::Text(|proxy, value| proxy.subdomain = value),
    },
];

const HTTP_LOGIN: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "http-user",
        short: None,
        default: "",
        help: "user of basic authentication",
        set: Set::Text(|proxy, value| proxy.http_user = value),
    },
    Flag {
        name: "http-pwd",
        short: None,
        default: "",
        help: "password of basic authentication",
        set: Set::Text(|proxy, value| proxy.http_password = value.into()),
    },
];

const HTTP: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "locations",
        short: None,
        default: "",
        help: "path prefixes to serve; none serves all",
        set: Set::List(|proxy, value| proxy.locations = value),
    },
    Flag {
        name: "host-header-rewrite",
        short: None,
        default: "",
        help: "replaces the Host header of requests",
        set: Set::Text(|proxy, value| proxy.host_header_rewrite = value),
    },
];

const MULTIPLEXER: &[Flag<ProxyArguments>] = &[Flag {
    name: "mux",
    short: None,
    default: "",
    help: "how connections are told apart: httpconnect",
    set: Set::Text(|proxy, value| proxy.multiplexer = value),
}];

const SECRET: &[Flag<ProxyArguments>] = &[
    Flag {
        name: "sk",
        short: None,
        default: "",
        help: "secret that visitors must know",
        set: Set::Text(|proxy, value| proxy.secret_key = value.into()),
    },
    Flag {
        name: "allow-users",
        short: None,
        default: "",
        help: "users whose visitors are let in: none means the own user, * everyone",
        set: Set::List(|proxy, value| proxy.allow_users = value),
    },
];
