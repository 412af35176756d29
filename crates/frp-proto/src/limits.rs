//! Every bound of the wire. All are in bytes unless their name says otherwise.

/// Longest body of a version 1 message. Readers refuse a longer one before they wait for it, and our writer
/// refuses to send one, because no peer would take it. Upstream golib `msg/json`.
pub const MAX_MESSAGE: usize = 10_240;

/// Longest body of a version 1 message that is read from the payload of a udp or sudp connection. No release sends more
/// than [`MAX_MESSAGE`] there and ours does not either, but upstream is about to (its pull request 5466, not part of
/// v0.71.0), which this bound is from.
pub const MAX_V1_PAYLOAD_MESSAGE: usize = 131_072;

/// Deepest nesting of arrays and objects in a message body; one level more is an error. The bound of Go's
/// `encoding/json`.
pub const MAX_JSON_DEPTH: usize = 10_000;

/// How many first bytes of a connection to the server's `bindPort` decide what it is: the length of
/// `GET /~!frp`. Upstream golib `net/mux`.
pub const SNIFF_LEN: usize = 10;

/// Length of the magic that opens every stream of wire version 2. Upstream `pkg/proto/wire/wire.go`.
pub const V2_MAGIC_LEN: usize = 7;

/// Longest payload of a frame of wire version 2, with the two bytes of a message's id. Readers and writers refuse a
/// longer one. Upstream `pkg/proto/wire/wire.go`, `DefaultMaxFramePayloadSize`.
pub const MAX_V2_PAYLOAD: usize = 65_536;

/// Length of the random value of either hello of wire version 2. Upstream `pkg/proto/wire/crypto.go`.
pub const HELLO_RANDOM_LEN: usize = 32;

/// Most plain bytes in one record of an encrypted control stream of wire version 2. Upstream golib `crypto`,
/// `aead_stream.go`.
pub const MAX_RECORD: usize = 65_536;

/// Records that one key may seal with AES-GCM. Upstream golib `crypto`, `aead_stream.go`.
pub const MAX_GCM_RECORDS: u64 = 1 << 32;

/// Longest content of a datagram: what an IPv4 packet can hold. Upstream `pkg/msg/udp_binary.go` of v0.71.0.
pub const MAX_DATAGRAM: usize = 65_507;

/// Length of the initialisation vector in front of every AES-CFB stream.
pub const IV_LEN: usize = 16;

/// Longest ClientHello that is looked at for its server name, without the headers of its records. The bound of Go's
/// `crypto/tls`.
pub const MAX_CLIENT_HELLO: usize = 65_536;

/// The most bytes of a user that are kept while looking for its server name, and the longest head of a CONNECT
/// request. What the original keeps has no bound.
pub const MAX_PEEK: usize = 131_072;
