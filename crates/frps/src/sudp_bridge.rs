//! Datagrams of sudp between two clients whose sessions frame them differently: read from one, written to the other.
//!
//! Upstream `server/proxy/proxy.go`, `joinSUDPMessageBridge`. Pings of the proxy's client go on to the visitor, which
//! waits for them; nobody waits for one of a visitor's. Only the bytes of datagrams are counted.

use frp_proto::msg::MessageKind;
use frp_proto::wire::Framing;
use frp_stream::Stream;
use frp_stream::message::{ReadError, WriteError};
use frp_stream::udp::{DatagramReader, DatagramWriter, READ_TIMEOUT, Received, Sent, datagram_channel_in};
use tracing::{info, trace, warn};

use crate::proxy::Proxy;

/// Why a bridge ends. The texts reach logs.
#[derive(Debug, thiserror::Error)]
enum BridgeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("unexpected SUDP {side} message {name}")]
    Unexpected { side: &'static str, name: &'static str },
}

/// Carries datagrams both ways until either side ends. Both are closed then.
pub(crate) async fn bridge(
    proxy: &Proxy,
    (visitor, visitor_framing): (Stream, Framing),
    (work, work_framing): (Stream, Framing),
) {
    info!("bridge mixed SUDP payload codecs, proxy [{work_framing:?}], visitor [{visitor_framing:?}]");
    let (from_visitor, to_visitor) = datagram_channel_in(visitor, visitor_framing);
    let (from_proxy, to_proxy) = datagram_channel_in(work, work_framing);
    let ended = tokio::select! {
        ended = to_the_proxy(proxy, from_visitor, to_proxy) => ended,
        ended = to_the_visitor(proxy, from_proxy, to_visitor) => ended,
    };
    match ended {
        Err(BridgeError::Read(ReadError::Closed)) | Ok(()) => {}
        Err(error) => trace!("join connections errors: [{error}]"),
    }
}

async fn to_the_proxy(
    proxy: &Proxy,
    mut from: DatagramReader,
    mut to: DatagramWriter,
) -> Result<(), BridgeError> {
    loop {
        match from.next().await? {
            Received::Datagram(datagram) => {
                if pass(proxy, &mut to, &datagram).await? {
                    proxy.traffic.add_inbound(datagram.content.len() as u64);
                }
            }
            Received::Ping => trace!("drop SUDP ping from visitor"),
            Received::Other(MessageKind::UdpPacket) => trace!("drop SUDP packet without a user"),
            Received::Other(kind) => {
                return Err(BridgeError::Unexpected { side: "visitor", name: kind.name() });
            }
        }
    }
}

async fn to_the_visitor(
    proxy: &Proxy,
    mut from: DatagramReader,
    mut to: DatagramWriter,
) -> Result<(), BridgeError> {
    loop {
        // Its client pings all the time.
        match from.next_within(READ_TIMEOUT).await? {
            Received::Datagram(datagram) => {
                if pass(proxy, &mut to, &datagram).await? {
                    proxy.traffic.add_outbound(datagram.content.len() as u64);
                }
            }
            Received::Ping => {
                trace!("bridge SUDP ping from proxy to visitor");
                to.ping().await?;
            }
            Received::Other(MessageKind::UdpPacket) => trace!("drop SUDP packet without a user"),
            Received::Other(kind) => {
                return Err(BridgeError::Unexpected { side: "proxy", name: kind.name() });
            }
        }
    }
}

/// False if the datagram, which fitted a message of one side's, fits none of the other's.
async fn pass(
    proxy: &Proxy,
    to: &mut DatagramWriter,
    datagram: &frp_stream::udp::Datagram,
) -> Result<bool, BridgeError> {
    let sent = to.send(&datagram.content, &datagram.user).await?;
    if sent == Sent::TooLong {
        let count = proxy.traffic.count_oversized();
        let length = datagram.content.len();
        warn!("dropped a datagram of {length} bytes, too long for one message ({count} so far)");
    }
    Ok(sent == Sent::Sent)
}
