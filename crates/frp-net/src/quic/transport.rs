//! The parameters of connections.

use std::sync::Arc;
use std::time::Duration;

use quinn::{EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::QuicOptions;
use super::congestion::Factory;

/// What a peer may have sent on one stream that nobody has read: 200 Mb/s with a round trip of 300 ms need 7.5 MB. (Upstream's
/// grows to 6 MiB.)
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;

/// The same for all streams of a connection together. One whose users do not read takes of it what they should; large
/// enough that a few of those do not hold up the others. (Upstream's grows to 15 MiB.)
pub(super) const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// The same before the peer has said who it is.
const STRANGER_WINDOW: u32 = 256 * 1024;

/// Bytes of ours that a connection holds until the peer has acknowledged them: at first, and with a congestion window
/// that is larger.
pub(super) const SEND_WINDOW: u64 = 512 * 1024;
pub(super) const LARGEST_SEND_WINDOW: u64 = 64 * 1024 * 1024;

/// The largest datagram that is tried, and taken: what Ethernet with jumbo frames carries below IPv4 or IPv6. A system
/// whose network has smaller ones refuses to send the tries, so that they cost nothing.
const LARGEST_DATAGRAM: u16 = 8952;

/// The window in which a peer's streams must be acknowledged, for a congestion window.
pub(super) const fn send_window(congestion_window: u64) -> u64 {
    // What was lost is under way for a second and a third time, with all that came after it still held.
    let wanted = congestion_window.saturating_mul(3).saturating_add(SEND_WINDOW);
    if wanted < LARGEST_SEND_WINDOW { wanted } else { LARGEST_SEND_WINDOW }
}

/// What a socket speaks and takes.
pub(super) fn of_socket() -> EndpointConfig {
    /// Version 1 (RFC 9000), which everybody speaks.
    const VERSIONS: [u32; 1] = [1];
    let mut config = EndpointConfig::default();
    config.supported_versions(VERSIONS.to_vec());
    // Fails below 1200.
    let _ = config.max_udp_payload_size(LARGEST_DATAGRAM);
    config
}

/// For connections that we accept: a stranger's until they are told otherwise.
pub(super) fn of_server(options: &QuicOptions, streams_of_strangers: u32) -> Arc<TransportConfig> {
    let mut config = common(options);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams_of_strangers).min(streams(options)))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW));
    Arc::new(config)
}

/// For connections that we make.
pub(super) fn of_client(options: &QuicOptions) -> Arc<TransportConfig> {
    let mut config = common(options);
    // A server opens no streams towards a client.
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW));
    Arc::new(config)
}

/// `maxIncomingStreams` as the protocol takes it.
pub(super) fn streams(options: &QuicOptions) -> VarInt {
    const MOST: u64 = 1 << 60;
    VarInt::from_u64(options.max_incoming_streams.min(MOST)).unwrap_or(VarInt::MAX)
}

fn common(options: &QuicOptions) -> TransportConfig {
    let idle = options.max_idle_timeout.max(Duration::from_millis(1));
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(LARGEST_DATAGRAM);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(IdleTimeout::try_from(idle).unwrap_or_else(|_| VarInt::MAX.into())))
        .keep_alive_interval(options.keepalive_period.map(|period| period.min(idle / 2)))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(Some(discovery))
        .congestion_controller_factory(Arc::new(Factory));
    config
}
