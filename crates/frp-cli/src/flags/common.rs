//! Flags of frpc's single-proxy commands that say how to reach the server.

use super::{Flag, Set};
use frp_config::ClientConfig;

/// Those that only frpc has: the SSH gateway of frps is the server itself.
pub(crate) const CONNECTION: &[Flag<ClientConfig>] = &[
    Flag {
        name: "server-addr",
        short: Some('s'),
        default: "127.0.0.1",
        help: "host of the server",
        set: Set::Text(|config, value| config.server_addr = value),
    },
    Flag {
        name: "server-port",
        short: Some('P'),
        default: "7000",
        help: "port of the server",
        set: Set::Number(|config, value| config.server_port = value),
    },
    Flag {
        name: "protocol",
        short: Some('p'),
        default: "tcp",
        help: "transport to the server: tcp, kcp, quic, websocket or wss",
        set: Set::Text(|config, value| config.transport.protocol = value),
    },
    Flag {
        name: "log-level",
        short: None,
        default: "info",
        help: "trace, debug, info, warn or error",
        set: Set::Text(|config, value| config.log.level = value),
    },
    Flag {
        name: "log-file",
        short: None,
        default: "console",
        help: "log to this file, or to stdout with console",
        set: Set::Text(|config, value| config.log.to = value),
    },
    Flag {
        name: "log-max-days",
        short: None,
        default: "3",
        help: "days to keep rotated log files",
        set: Set::Number(|config, value| config.log.max_days = value),
    },
    Flag {
        name: "disable-log-color",
        short: None,
        default: "",
        help: "log to stdout without colours",
        set: Set::Bool(|config, value| config.log.disable_print_color = value),
    },
    Flag {
        name: "tls-server-name",
        short: None,
        default: "",
        help: "name that the server's certificate must have; empty is the server's host",
        set: Set::Text(|config, value| config.transport.tls.config.server_name = value),
    },
    Flag {
        name: "dns-server",
        short: None,
        default: "",
        help: "name server for every look-up; empty is the system's",
        set: Set::Text(|config, value| config.dns_server = value),
    },
    Flag {
        name: "tls-enable",
        short: None,
        default: "true",
        help: "use TLS towards the server",
        set: Set::Bool(|config, value| config.transport.tls.enable = Some(value)),
    },
];

/// Who the client is.
pub(crate) const IDENTITY: &[Flag<ClientConfig>] = &[
    Flag {
        name: "user",
        short: Some('u'),
        default: "",
        help: "put before the names of proxies, with a dot",
        set: Set::Text(|config, value| config.user = value),
    },
    Flag {
        name: "client-id",
        short: None,
        default: "",
        help: "a name for this client, shown by the server",
        set: Set::Text(|config, value| config.client_id = value),
    },
    Flag {
        name: "token",
        short: Some('t'),
        default: "",
        help: "secret shared with the server; anyone on this machine can see it here, so prefer a file",
        set: Set::Text(|config, value| config.auth.token = value.into()),
    },
];
