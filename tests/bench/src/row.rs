//! The rows of the table: what is measured, in which unit, and which way is better.

use crate::line::Line;

/// One figure of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    BulkUp,
    BulkDown,
    BulkEight,
    CpuUp,
    CpuDown,
    CpuEight,
    Requests,
    RequestP50,
    RequestP99,
    RequestCpu,
    BesideP99,
    Connections,
    ConnectionCpu,
    Datagrams,
    DatagramFloodP50,
    DatagramLoss,
    DatagramP50,
    DatagramP99,
    DatagramCpu,
    IdleConnection,
    IdleMemory,
    Start,
    VhostRequests,
    VhostRequestP50,
    VhostRequestP99,
    VhostRequestCpu,
    VhostConnections,
    VhostConnectionCpu,
    Handshakes,
    HandshakeCpu,
    LineUp(Line),
    LineDown(Line),
}

impl Row {
    /// Every row, in the order of the report.
    pub(crate) fn all() -> Vec<Self> {
        let over_lines = Line::ALL.into_iter().flat_map(|line| [Self::LineUp(line), Self::LineDown(line)]);
        Self::ON_LOOPBACK.into_iter().chain(over_lines).collect()
    }

    /// Those that are measured without a bad line.
    const ON_LOOPBACK: [Self; 30] = [
        Self::BulkUp,
        Self::BulkDown,
        Self::BulkEight,
        Self::CpuUp,
        Self::CpuDown,
        Self::CpuEight,
        Self::Requests,
        Self::RequestP50,
        Self::RequestP99,
        Self::RequestCpu,
        Self::BesideP99,
        Self::Connections,
        Self::ConnectionCpu,
        Self::Datagrams,
        Self::DatagramFloodP50,
        Self::DatagramLoss,
        Self::DatagramP50,
        Self::DatagramP99,
        Self::DatagramCpu,
        Self::IdleConnection,
        Self::IdleMemory,
        Self::Start,
        Self::VhostRequests,
        Self::VhostRequestP50,
        Self::VhostRequestP99,
        Self::VhostRequestCpu,
        Self::VhostConnections,
        Self::VhostConnectionCpu,
        Self::Handshakes,
        Self::HandshakeCpu,
    ];

    /// The word that chooses it on the command line, where a beginning chooses all that begin so.
    pub(crate) fn slug(self) -> &'static str {
        self.texts().0
    }

    /// What the report calls it, with its unit.
    pub(crate) fn title(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::BulkUp => ("bulk-up", "bulk, 1 stream up, Gb/s"),
            Self::BulkDown => ("bulk-down", "bulk, 1 stream down, Gb/s"),
            Self::BulkEight => ("bulk-eight", "bulk, 8 streams up, Gb/s"),
            Self::CpuUp => ("cpu-up", "CPU s/GB, 1 stream up"),
            Self::CpuDown => ("cpu-down", "CPU s/GB, 1 stream down"),
            Self::CpuEight => ("cpu-eight", "CPU s/GB, 8 streams up"),
            Self::Requests => ("requests", "keep-alive requests/s"),
            Self::RequestP50 => ("request-p50", "keep-alive p50, ms"),
            Self::RequestP99 => ("request-p99", "keep-alive p99, ms"),
            Self::RequestCpu => ("request-cpu", "CPU µs per request"),
            Self::BesideP99 => ("beside-p99", "p99 of small requests beside a download, ms"),
            Self::Connections => ("connections", "new connections/s"),
            Self::ConnectionCpu => ("connection-cpu", "CPU µs per new connection"),
            Self::Datagrams => ("udp-flood", "udp flooded, 1,200 B datagrams/s there and back"),
            Self::DatagramFloodP50 => ("udp-flood-p50", "udp flooded, p50, ms"),
            Self::DatagramLoss => ("udp-loss", "udp 25,000/s offered, % lost"),
            Self::DatagramP50 => ("udp-p50", "udp 25,000/s offered, p50, ms"),
            Self::DatagramP99 => ("udp-p99", "udp 25,000/s offered, p99, ms"),
            Self::DatagramCpu => ("udp-cpu", "CPU µs per datagram there and back, 25,000/s offered"),
            Self::IdleConnection => ("idle-connection", "KiB per idle connection"),
            Self::IdleMemory => ("idle-memory", "idle memory, MiB"),
            Self::Start => ("start", "time to start, ms"),
            Self::VhostRequests => ("vhost-requests", "http vhost requests/s"),
            Self::VhostRequestP50 => ("vhost-request-p50", "http vhost p50, ms"),
            Self::VhostRequestP99 => ("vhost-request-p99", "http vhost p99, ms"),
            Self::VhostRequestCpu => ("vhost-request-cpu", "http vhost CPU µs per request"),
            Self::VhostConnections => ("vhost-connections", "http vhost new connections/s"),
            Self::VhostConnectionCpu => ("vhost-connection-cpu", "http vhost CPU µs per new connection"),
            Self::Handshakes => ("https-handshakes", "https vhost handshakes/s"),
            Self::HandshakeCpu => ("https-handshake-cpu", "https vhost CPU µs per handshake"),
            Self::LineUp(Line { texts: [up, _], .. }) => up,
            Self::LineDown(Line { texts: [_, down], .. }) => down,
        }
    }

    /// Whether a larger figure is the better one.
    pub(crate) fn more_is_better(self) -> bool {
        matches!(
            self,
            Self::BulkUp
                | Self::BulkDown
                | Self::BulkEight
                | Self::Requests
                | Self::Connections
                | Self::VhostRequests
                | Self::VhostConnections
                | Self::Handshakes
                | Self::Datagrams
                | Self::LineUp(_)
                | Self::LineDown(_)
        )
    }

    /// The figure as the report prints it.
    pub(crate) fn format(self, value: f64) -> String {
        match self {
            Self::Requests
            | Self::Connections
            | Self::ConnectionCpu
            | Self::VhostRequests
            | Self::VhostConnections
            | Self::VhostConnectionCpu
            | Self::Handshakes
            | Self::HandshakeCpu
            | Self::Datagrams => format!("{value:.0}"),
            Self::RequestCpu
            | Self::VhostRequestCpu
            | Self::DatagramCpu
            | Self::LineUp(_)
            | Self::LineDown(_)
            | Self::IdleConnection
            | Self::IdleMemory
            | Self::Start => {
                format!("{value:.1}")
            }
            Self::CpuUp | Self::CpuDown | Self::CpuEight | Self::DatagramLoss => format!("{value:.3}"),
            Self::BulkUp
            | Self::BulkDown
            | Self::BulkEight
            | Self::RequestP50
            | Self::RequestP99
            | Self::BesideP99
            | Self::VhostRequestP50
            | Self::VhostRequestP99
            | Self::DatagramFloodP50
            | Self::DatagramP50
            | Self::DatagramP99 => format!("{value:.2}"),
        }
    }
}
