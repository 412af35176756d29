//! The 18 messages of the protocol and the one table of their numbers.
//!
//! Fields are named as on the wire and stand in the order in which they are written. Every field that is
//! zero or empty is left out of a message, and every field may be missing from one, except that
//! [`Login::client_spec`] and [`NatHoleResp::detect_behavior`] are always written. `Debug` output shows
//! neither keys, passwords nor contents of datagrams. Upstream `pkg/msg/msg.go`; told in
//! `docs/protocol.md`.

pub(crate) mod define;
mod login;
mod nat_hole;
mod proxy;
mod udp_packet;
mod visitor;
mod work;

use std::collections::BTreeMap;

pub use login::{ClientSpec, Login, LoginResp, Ping, Pong};
pub use nat_hole::{
    NatHoleClient, NatHoleDetectBehavior, NatHoleReport, NatHoleResp, NatHoleSid, NatHoleVisitor, PortsRange,
};
pub use proxy::{CloseProxy, NewProxy, NewProxyResp};
pub use udp_packet::{UdpAddr, UdpPacket};
pub use visitor::{NewVisitorConn, NewVisitorConnResp};
pub use work::{NewWorkConn, ReqWorkConn, StartWorkConn};

use crate::json::{self, JsonError};

/// A map from string to string: `metas`, `annotations`, headers. Written sorted by the keys' bytes.
pub type StringMap = BTreeMap<String, String>;

macro_rules! messages {
    ($( $(#[$meta:meta])* $variant:ident($payload:ty), $v1:literal, $v2:literal, $name:literal; )*) => {
        /// Any message. The large ones are boxed, so that moving a datagram's message stays cheap.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the structs say it")]
        pub enum Message {
            $( $variant($payload), )*
        }

        /// Which message, without its fields.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MessageKind {
            $( $(#[$meta])* $variant, )*
        }

        impl MessageKind {
            /// All kinds, in the order of their v2 ids.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The first byte of the message's frame in wire version 1.
            #[must_use]
            pub const fn v1_byte(self) -> u8 {
                match self { $( Self::$variant => $v1, )* }
            }

            /// The kind with this v1 byte; none if no message has it.
            #[must_use]
            pub const fn from_v1_byte(byte: u8) -> Option<Self> {
                match byte { $( $v1 => Some(Self::$variant), )* _ => None }
            }

            /// The message's id in wire version 2.
            #[must_use]
            pub const fn v2_id(self) -> u16 {
                match self { $( Self::$variant => $v2, )* }
            }

            /// The kind with this v2 id; none if no message has it.
            #[must_use]
            pub const fn from_v2_id(id: u16) -> Option<Self> {
                match id { $( $v2 => Some(Self::$variant), )* _ => None }
            }

            /// The original's name of the message, for logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }

        impl Message {
            /// Which message this is.
            #[must_use]
            pub const fn kind(&self) -> MessageKind {
                match self { $( Self::$variant(_) => MessageKind::$variant, )* }
            }

            /// Appends the message's JSON body, byte for byte as the original writes it. Sets no bound.
            pub fn write_json(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant(body) => {
                        let body: &$variant = body;
                        json::write_body(body, out);
                    } )*
                }
            }

            /// Reads a JSON body as the original does.
            ///
            /// # Errors
            /// If the body is not one JSON object, or a field in it has a wrong type.
            pub fn from_json(kind: MessageKind, body: &[u8]) -> Result<Self, JsonError> {
                match kind {
                    $( MessageKind::$variant => json::read_body(body).map(|body: $variant| body.into()), )*
                }
            }
        }

        $(
            impl From<$variant> for Message {
                fn from(body: $variant) -> Self {
                    Self::$variant(body.into())
                }
            }
        )*
    };
}

messages! {
    /// Client to server, first on a control stream: who the client is.
    Login(Box<Login>), b'o', 1, "Login";
    /// Server to client: the answer, after which the control stream is encrypted.
    LoginResp(LoginResp), b'1', 2, "LoginResp";
    /// Client to server: please run this proxy.
    NewProxy(Box<NewProxy>), b'p', 3, "NewProxy";
    /// Server to client: the proxy's address, or why not.
    NewProxyResp(NewProxyResp), b'2', 4, "NewProxyResp";
    /// Client to server: stop this proxy. Has no answer.
    CloseProxy(CloseProxy), b'c', 5, "CloseProxy";
    /// Client to server, first on a work stream: whose it is.
    NewWorkConn(NewWorkConn), b'w', 6, "NewWorkConn";
    /// Server to client: please open a work connection.
    ReqWorkConn(ReqWorkConn), b'r', 7, "ReqWorkConn";
    /// Server to client on a work stream: which proxy and user it serves from now on.
    StartWorkConn(StartWorkConn), b's', 8, "StartWorkConn";
    /// Client to server, first on a visitor stream: which proxy it visits.
    NewVisitorConn(NewVisitorConn), b'v', 9, "NewVisitorConn";
    /// Server to client on a visitor stream: admitted, or why not.
    NewVisitorConnResp(NewVisitorConnResp), b'3', 10, "NewVisitorConnResp";
    /// Client to server: heartbeat. Also in the payload of udp work connections.
    Ping(Ping), b'h', 11, "Ping";
    /// Server to client: the heartbeat's answer.
    Pong(Pong), b'4', 12, "Pong";
    /// Either way in the payload of udp and sudp connections: one datagram.
    UdpPacket(UdpPacket), b'u', 13, "UDPPacket";
    /// Client to server: a visitor's addresses for hole punching.
    NatHoleVisitor(NatHoleVisitor), b'i', 14, "NatHoleVisitor";
    /// Client to server: a proxy's addresses for hole punching.
    NatHoleClient(NatHoleClient), b'n', 15, "NatHoleClient";
    /// Server to client: the other side's addresses and how to reach them.
    NatHoleResp(Box<NatHoleResp>), b'm', 16, "NatHoleResp";
    /// Server to client on a work stream, and between the two clients: the id of one hole punching.
    NatHoleSid(NatHoleSid), b'5', 17, "NatHoleSid";
    /// Client to server: whether the hole punching worked.
    NatHoleReport(NatHoleReport), b'6', 18, "NatHoleReport";
}
