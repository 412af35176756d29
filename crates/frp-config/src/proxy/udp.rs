//! `udp`: a port of the server leads to a UDP service.

use frp_proto::msg::NewProxy;

use super::ProxyBase;
use crate::table::table;

table! {
    /// A udp proxy.
    pub struct UdpProxy = "v1.UDPProxyConfig" {
        .. {
            /// The keys of every proxy.
            base: ProxyBase,
        }
        /// Port on the server; 0 lets the server choose.
        remote_port: i64 = "remotePort",
    }
}

impl UdpProxy {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        message.remote_port = self.remote_port;
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self { base: ProxyBase::from_message(message), remote_port: message.remote_port }
    }
}
