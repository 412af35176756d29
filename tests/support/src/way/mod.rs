//! The ways from a client to its server: every transport with both wire versions, with and without TLS and multiplexing,
//! generated from what each of them has; and whose programs go them.
//!
//! | module | holds |
//! | --- | --- |
//! | `pair` | whose server and whose client, and what is to be expected of them on a way |
//! | `scene` | an frps and an frpc on a way, with configuration files, with or without a bad line between them |

mod pair;
mod scene;

use std::fmt;

use anyhow::Result;

pub use self::pair::{Outcome, Pair};
pub use self::scene::{Carried, Plan, Scene, serves_within};
use crate::impairment::{Conditions, Impairment};

/// `transport.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// KCP over UDP.
    Kcp,
    /// QUIC over UDP.
    Quic,
    /// A websocket over TCP.
    Websocket,
    /// A websocket over TLS over TCP.
    Wss,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Kcp, Self::Quic, Self::Websocket, Self::Wss];

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Kcp => "kcp",
            Self::Quic => "quic",
            Self::Websocket => "websocket",
            Self::Wss => "wss",
        }
    }

    /// Whether it stands on datagrams.
    #[must_use]
    pub fn datagrams(self) -> bool {
        matches!(self, Self::Kcp | Self::Quic)
    }

    /// The server's key for a port of its own, in INI and in TOML.
    fn port_key(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Kcp => Some(("kcp_bind_port", "kcpBindPort")),
            Self::Quic => Some(("quic_bind_port", "quicBindPort")),
            Self::Tcp | Self::Websocket | Self::Wss => None,
        }
    }

    /// Whether `transport.tls.enable` changes anything.
    fn tls_is_a_choice(self) -> bool {
        !matches!(self, Self::Quic | Self::Wss)
    }

    /// Whether `transport.tcpMux` changes anything.
    fn mux_is_a_choice(self) -> bool {
        self != Self::Quic
    }

    /// A bad line for it to a port of 127.0.0.1.
    ///
    /// # Errors
    /// No port.
    pub fn impaired(self, target: u16, conditions: Conditions) -> Result<Impairment> {
        if self.datagrams() {
            Impairment::datagrams(target, conditions)
        } else {
            Impairment::connections(target, conditions)
        }
    }
}

/// `transport.wireProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The version that every release speaks.
    V1,
    /// The one since v0.69.0.
    V2,
}

impl Wire {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// A way from a client to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The transport.
    pub transport: Transport,
    /// The wire version.
    pub wire: Wire,
    /// `transport.tls.enable`.
    pub tls: bool,
    /// `transport.tcpMux`.
    pub mux: bool,
}

impl Way {
    /// Every way, in the order transport, wire version, TLS, multiplexing; where a transport leaves no choice there is
    /// one way, with the key on.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let choices = |free: bool| if free { &[false, true][..] } else { &[true] };
        let mut ways = Vec::new();
        for transport in Transport::ALL {
            for wire in Wire::ALL {
                for &tls in choices(transport.tls_is_a_choice()) {
                    for &mux in choices(transport.mux_is_a_choice()) {
                        ways.push(Self { transport, wire, tls, mux });
                    }
                }
            }
        }
        ways
    }

    /// One way per transport and wire version, with TLS and multiplexing as they are when nothing is configured.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        Self::all().into_iter().filter(|way| way.tls && way.mux).collect()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.transport.name(), self.wire.name())?;
        if self.transport.tls_is_a_choice() {
            formatter.write_str(if self.tls { "/tls" } else { "/clear" })?;
        }
        if self.transport.mux_is_a_choice() {
            formatter.write_str(if self.mux { "/mux" } else { "/single" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_choice_that_a_transport_has() {
        let all = Way::all();
        let of = |transport| all.iter().filter(|way| way.transport == transport).count();
        assert_eq!(Transport::ALL.map(of), [8, 8, 2, 8, 4]);
        let names: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), all.len(), "each has a name of its own");
        for name in ["tcp/v1/clear/single", "kcp/v2/tls/mux", "quic/v2", "wss/v1/single"] {
            assert!(names.contains(name), "{name}");
        }
        assert_eq!(Way::usual().len(), Transport::ALL.len() * Wire::ALL.len());
    }
}
