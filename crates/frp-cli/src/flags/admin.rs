//! Flags of the commands that talk to a running frpc, and of NAT discovery.

use super::{Flag, Set};

/// How to talk to a running frpc.
#[derive(Debug, Default)]
pub(crate) struct AdminArguments {
    /// Nanoseconds to wait for an answer.
    pub(crate) timeout: i64,
}

pub(crate) const ADMIN: &[Flag<AdminArguments>] = &[Flag {
    name: "api-timeout",
    short: None,
    default: "30s",
    help: "time to wait for the answer, such as 500ms or 1m30s",
    set: Set::Duration(|admin, value| admin.timeout = value),
}];

/// Whom to ask, and from where.
#[derive(Debug, Default)]
pub(crate) struct NatHoleArguments {
    pub(crate) stun_server: String,
    pub(crate) local_addr: String,
}

pub(crate) const NAT_HOLE: &[Flag<NatHoleArguments>] = &[
    Flag {
        name: "nat-hole-stun-server",
        short: None,
        default: "",
        help: "STUN server to ask",
        set: Set::Text(|discovery, value| discovery.stun_server = value),
    },
    Flag {
        name: "nat-hole-local-addr",
        short: Some('l'),
        default: "",
        help: "address and port to ask from",
        set: Set::Text(|discovery, value| discovery.local_addr = value),
    },
];
