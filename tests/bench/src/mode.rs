//! The transport settings that frp is measured with.

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
}

impl Mode {
    /// Every mode, in the order of the report.
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Mux, Self::Default, Self::Encrypted];

    /// The word that chooses it on the command line.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Mux => "mux",
            Self::Default => "default",
            Self::Encrypted => "encrypted",
        }
    }

    /// What the report calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain (no TLS, no mux)",
            Self::Mux => "mux (no TLS)",
            Self::Default => "default (TLS + mux)",
            Self::Encrypted => "encrypted + compressed (on top of the default)",
        }
    }

    /// `transport.tls.enable` of frpc.
    pub(crate) fn tls(self) -> bool {
        matches!(self, Self::Default | Self::Encrypted)
    }

    /// `transport.tcpMux` of both programs.
    pub(crate) fn mux(self) -> bool {
        self != Self::Plain
    }

    /// `transport.useEncryption` and `transport.useCompression` of the proxy.
    pub(crate) fn layered(self) -> bool {
        self == Self::Encrypted
    }
}
