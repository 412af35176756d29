//! Flags that describe one visitor.

use super::{Flag, Set};
use frp_config::VisitorBase;

pub(crate) const TABLE: &[Flag<VisitorBase>] = &[
    Flag {
        name: "visitor-name",
        short: Some('n'),
        default: "",
        help: "name of the visitor",
        set: Set::Text(|visitor, value| visitor.name = value),
    },
    Flag {
        name: "ue",
        short: None,
        default: "",
        help: "encrypt the connections between client and server; as the proxy does",
        set: Set::Bool(|visitor, value| visitor.transport.use_encryption = value),
    },
    Flag {
        name: "uc",
        short: None,
        default: "",
        help: "compress the connections between client and server; as the proxy does",
        set: Set::Bool(|visitor, value| visitor.transport.use_compression = value),
    },
    Flag {
        name: "sk",
        short: None,
        default: "",
        help: "secret of the proxy",
        set: Set::Text(|visitor, value| visitor.secret_key = value.into()),
    },
    Flag {
        name: "server-name",
        short: None,
        default: "",
        help: "name of the proxy to visit",
        set: Set::Text(|visitor, value| visitor.server_name = value),
    },
    Flag {
        name: "server-user",
        short: None,
        default: "",
        help: "user of the client that has the proxy; empty is the own user",
        set: Set::Text(|visitor, value| visitor.server_user = value),
    },
    Flag {
        name: "bind-addr",
        short: None,
        default: "",
        help: "address to listen on; empty is 127.0.0.1",
        set: Set::Text(|visitor, value| visitor.bind_addr = value),
    },
    Flag {
        name: "bind-port",
        short: None,
        default: "",
        help: "port to listen on; negative listens nowhere",
        set: Set::Number(|visitor, value| visitor.bind_port = value),
    },
];
