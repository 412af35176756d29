//! What the first bytes of a connection or of a stream say.

use crate::limits::{SNIFF_LEN, V2_MAGIC_LEN};

/// First byte of a frp client that announces TLS; the TLS hello follows it. Upstream `pkg/util/net/tls.go`.
pub const TLS_MARKER: u8 = 0x17;

/// First byte of a TLS hello.
pub const TLS_HELLO: u8 = 0x16;

/// What every stream of wire version 2 begins with. Upstream `pkg/proto/wire/wire.go`.
pub const V2_MAGIC: [u8; V2_MAGIC_LEN] = *b"FRP\0\x02\r\n";

/// How a WebSocket client of frp begins; the path is not percent-encoded. Upstream
/// `pkg/util/net/websocket.go`.
pub const WEBSOCKET_START: [u8; SNIFF_LEN] = *b"GET /~!frp";

/// First three letters of the HTTP methods that a virtual host on the same port takes. Upstream golib
/// `net/mux`.
const HTTP_STARTS: [[u8; 3]; 10] =
    [*b"GET", *b"HEA", *b"POS", *b"PUT", *b"DEL", *b"CON", *b"OPT", *b"TRA", *b"PAT", *b"PRI"];

/// What a connection to the server's `bindPort` is, by its first bytes. Which of them are taken, and by
/// whom, is up to the server: only frp's own kinds are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionStart {
    /// A WebSocket handshake of a frp client.
    WebSocket,
    /// [`TLS_MARKER`]: to be dropped, TLS follows.
    TlsMarked,
    /// [`TLS_HELLO`]: TLS begins here. From a frp client, or for an https virtual host on the same port.
    Tls,
    /// An HTTP request, which only means something to an http virtual host on the same port.
    Http,
    /// Wire version 2 without TLS and mux.
    V2,
    /// Anything else: frp without TLS, or rubbish.
    Plain,
}

/// Classifies a connection by the bytes that have come so far; none if they do not tell yet. Ten bytes
/// always do.
///
/// The original always waits for ten bytes; this says what it can as soon as it can, so that a connection
/// that sends less is not kept for nothing.
#[must_use]
pub fn connection_start(bytes: &[u8]) -> Option<ConnectionStart> {
    match *bytes.first()? {
        TLS_MARKER => return Some(ConnectionStart::TlsMarked),
        TLS_HELLO => return Some(ConnectionStart::Tls),
        _ => {}
    }
    let candidates =
        [(&WEBSOCKET_START[..], ConnectionStart::WebSocket), (&V2_MAGIC[..], ConnectionStart::V2)];
    for (start, kind) in candidates {
        if bytes.starts_with(start) {
            return Some(kind);
        }
        if start.starts_with(bytes) {
            return None;
        }
    }
    for start in &HTTP_STARTS {
        if bytes.starts_with(start) {
            return Some(ConnectionStart::Http);
        }
        if start.starts_with(bytes) {
            return None;
        }
    }
    Some(ConnectionStart::Plain)
}

/// Which framing a stream uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamStart {
    /// No magic: the bytes already belong to a v1 frame.
    V1,
    /// The magic is complete; what follows it is v2.
    V2,
}

/// Tells the framing of a stream by the bytes that have come so far; none if they do not tell yet.
#[must_use]
pub fn stream_start(bytes: &[u8]) -> Option<StreamStart> {
    if bytes.starts_with(&V2_MAGIC) {
        return Some(StreamStart::V2);
    }
    if V2_MAGIC.starts_with(bytes) { None } else { Some(StreamStart::V1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections() {
        use ConnectionStart::{Http, Plain, Tls, TlsMarked, V2, WebSocket};
        let cases: [(&[u8], Option<ConnectionStart>); 24] = [
            (b"", None),
            (b"\x17", Some(TlsMarked)),
            (b"\x16\x03\x01", Some(Tls)),
            (b"GET /~!frp HTTP/1.1", Some(WebSocket)),
            (b"GET /~!fr", None),
            (b"GET", None),
            (b"G", None),
            (b"GE\0", Some(Plain)),
            (b"GET /index", Some(Http)),
            (b"GETx", Some(Http)),
            (b"HEAD / HTT", Some(Http)),
            (b"PRI * HTTP", Some(Http)),
            (b"PRO", Some(Plain)),
            (b"P", None),
            (b"PA", None),
            (b"CONNECT a:", Some(Http)),
            (b"FRP\0\x02\r\n", Some(V2)),
            (b"FRP\0\x02\r", None),
            (b"FRP\0\x01", Some(Plain)),
            (b"o", Some(Plain)),
            (b"\0", Some(Plain)),
            (b"\x18", Some(Plain)),
            (b"get /~!frp", Some(Plain)),
            (b"\0\x01\0\x01\0\0\0\x01\0\x5c", Some(Plain)),
        ];
        for (bytes, start) in cases {
            assert_eq!(connection_start(bytes), start, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn streams() {
        assert_eq!(stream_start(b""), None);
        assert_eq!(stream_start(b"FRP"), None);
        assert_eq!(stream_start(&V2_MAGIC), Some(StreamStart::V2));
        assert_eq!(stream_start(b"FRP\0\x02\r\n\0\x01"), Some(StreamStart::V2));
        assert_eq!(stream_start(b"FRP\0\x03"), Some(StreamStart::V1));
        assert_eq!(stream_start(b"o"), Some(StreamStart::V1));
    }

    #[test]
    fn no_v1_message_begins_like_the_magic() {
        assert_eq!(crate::msg::MessageKind::from_v1_byte(V2_MAGIC[0]), None);
    }
}
