//! Hole punching for xtcp.

use super::define::wire_struct;
use crate::Secret;
use crate::json::StructField;

wire_struct! {
    /// A visitor asks to reach an xtcp proxy directly.
    pub struct NatHoleVisitor {
        /// Chosen by the sender; the answer carries it.
        transaction_id: String = "transaction_id",
        /// Full name of the proxy.
        proxy_name: String = "proxy_name",
        /// Only asks whether the proxy exists and admits the visitor.
        pre_check: bool = "pre_check",
        /// `quic` or `kcp`.
        protocol: String = "protocol",
        /// [`crate::digest::auth_key`] of the secret key and `timestamp`.
        sign_key: Secret = "sign_key",
        /// Unix seconds.
        timestamp: i64 = "timestamp",
        /// The visitor's addresses as STUN servers see them.
        mapped_addrs: Vec<String> = "mapped_addrs",
        /// The visitor's own addresses.
        assisted_addrs: Vec<String> = "assisted_addrs",
    }
}

wire_struct! {
    /// The proxy's side of a hole punching.
    pub struct NatHoleClient {
        /// Chosen by the sender; the answer carries it.
        transaction_id: String = "transaction_id",
        /// Full name of the proxy.
        proxy_name: String = "proxy_name",
        /// Which hole punching.
        sid: String = "sid",
        /// The client's addresses as STUN servers see them.
        mapped_addrs: Vec<String> = "mapped_addrs",
        /// The client's own addresses.
        assisted_addrs: Vec<String> = "assisted_addrs",
    }
}

wire_struct! {
    /// The server's answer to both sides.
    pub struct NatHoleResp {
        /// As in the question.
        transaction_id: String = "transaction_id",
        /// Which hole punching.
        sid: String = "sid",
        /// `quic` or `kcp`.
        protocol: String = "protocol",
        /// Where the other side may be reached.
        candidate_addrs: Vec<String> = "candidate_addrs",
        /// The other side's own addresses.
        assisted_addrs: Vec<String> = "assisted_addrs",
        /// How to probe. Always written.
        detect_behavior: NatHoleDetectBehavior = "detect_behavior",
        /// Why there will be no hole punching; empty on success.
        error: String = "error",
    }
}

wire_struct! {
    /// How one side probes for the other.
    pub struct NatHoleDetectBehavior {
        /// `sender` or `receiver`.
        role: String = "role",
        /// Number of the method.
        mode: i64 = "mode",
        /// Time to live of the probes, in hops; 0 leaves it alone.
        ttl: i64 = "ttl",
        /// Milliseconds to wait before the first probe.
        send_delay_ms: i64 = "send_delay_ms",
        /// Milliseconds to wait for a probe; the name on the wire has no unit.
        read_timeout_ms: i64 = "read_timeout",
        /// Ports to try.
        candidate_ports: Vec<PortsRange> = "candidate_ports",
        /// How many random ports to send to.
        send_random_ports: i64 = "send_random_ports",
        /// How many random ports to listen on.
        listen_random_ports: i64 = "listen_random_ports",
    }
}

impl StructField for NatHoleDetectBehavior {}

wire_struct! {
    /// Ports from one number to another, both included.
    pub struct PortsRange {
        /// First port.
        from: i64 = "from",
        /// Last port.
        to: i64 = "to",
    }
}

impl StructField for PortsRange {}

wire_struct! {
    /// Names a hole punching: from the server on a work stream, and in the probes between the clients.
    pub struct NatHoleSid {
        /// Which exchange of probes.
        transaction_id: String = "transaction_id",
        /// Which hole punching.
        sid: String = "sid",
        /// Whether the probe answers one.
        response: bool = "response",
        /// Random filling, so that probes differ in length.
        nonce: String = "nonce",
    }
}

wire_struct! {
    /// Tells the server how a hole punching ended.
    pub struct NatHoleReport {
        /// Which hole punching.
        sid: String = "sid",
        /// Whether it worked.
        success: bool = "success",
    }
}
