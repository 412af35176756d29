//! The transport settings that frp is measured with, and the tables that they belong to.

use frp_test_support::way::{Transport, Way, Wire};

/// What is measured in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// frp over TCP beside every peer, with every kind of load.
    Load,
    /// frp over each transport beside the original: bulk and requests, on loopback and over bad lines.
    Transports,
}

impl Table {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Load, Self::Transports];

    /// The word that chooses it on the command line.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Transports => "transports",
        }
    }
}

/// One transport setting of frps, frpc and their proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// A TCP connection per user connection, in the clear.
    Plain,
    /// Streams of one yamux session, in the clear.
    Mux,
    /// What frp does when nothing is configured: yamux over TLS.
    Default,
    /// The default transport with `useEncryption` and `useCompression` of the proxy on top.
    Encrypted,
    /// The default, as the first of the transports.
    Tcp,
    /// The default with wire version 2.
    V2,
    /// The same without TLS.
    V2Clear,
    /// `transport.protocol = "websocket"`, otherwise the default.
    Websocket,
    /// `transport.protocol = "wss"`, otherwise the default.
    Wss,
    /// `transport.protocol = "kcp"`, otherwise the default.
    Kcp,
    /// `transport.protocol = "quic"`, otherwise the default.
    Quic,
}

impl Mode {
    /// Every mode, in the order of the report.
    pub(crate) const ALL: [Self; 11] = [
        Self::Plain,
        Self::Mux,
        Self::Default,
        Self::Encrypted,
        Self::Tcp,
        Self::V2,
        Self::V2Clear,
        Self::Websocket,
        Self::Wss,
        Self::Kcp,
        Self::Quic,
    ];

    /// The table that it stands in.
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Plain | Self::Mux | Self::Default | Self::Encrypted => Table::Load,
            _ => Table::Transports,
        }
    }

    /// The word that chooses it on the command line.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mux => "mux",
            Self::Default => "default",
            Self::Encrypted => "encrypted",
            Self::Tcp => "tcp",
            Self::V2 => "v2",
            Self::V2Clear => "v2-clear",
            Self::Websocket => "websocket",
            Self::Wss => "wss",
            Self::Kcp => "kcp",
            Self::Quic => "quic",
        }
    }

    /// What the report calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain (no TLS, no mux)",
            Self::Mux => "mux (no TLS)",
            Self::Default => "default (TLS + mux)",
            Self::Encrypted => "encrypted + compressed (on top of the default)",
            Self::Tcp => "tcp (TLS + mux)",
            Self::V2 => "wire v2 over tcp (TLS + mux)",
            Self::V2Clear => "wire v2 over tcp (no TLS, mux)",
            Self::Websocket => "websocket (TLS + mux)",
            Self::Wss => "wss (mux)",
            Self::Kcp => "kcp (TLS + mux)",
            Self::Quic => "quic",
        }
    }

    /// How the client comes to its server.
    pub(crate) fn way(self) -> Way {
        let transport = match self {
            Self::Websocket => Transport::Websocket,
            Self::Wss => Transport::Wss,
            Self::Kcp => Transport::Kcp,
            Self::Quic => Transport::Quic,
            _ => Transport::Tcp,
        };
        Way {
            transport,
            wire: if matches!(self, Self::V2 | Self::V2Clear) { Wire::V2 } else { Wire::V1 },
            tls: !matches!(self, Self::Plain | Self::Mux | Self::V2Clear),
            mux: self != Self::Plain,
        }
    }

    /// `transport.useEncryption` and `transport.useCompression` of the proxy.
    pub(crate) fn layered(self) -> bool {
        self == Self::Encrypted
    }
}
