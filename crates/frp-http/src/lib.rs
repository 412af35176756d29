//! HTTP/1 for the virtual hosts of frp: heads and framing, parsed and relayed.
//!
//! Made for a proxy: it finds out where a message ends and what its fields say, copies as little as possible, and
//! never lets anything pass that two readers could take for different messages. Behaviour is that of the original,
//! whose HTTP is Go's `net/http`, except where that would forward ambiguous framing.
//!
//! It must never dial, listen, route or look at a configuration, and never hold more of a peer's bytes than a bounded
//! head and one buffer.
//!
//! | module | what |
//! | --- | --- |
//! | [`head`] | heads of requests and responses, trailers; without I/O |
//! | [`name`] | the fields that matter to a proxy |
//! | [`read`] | the first request head of a stream, with what came behind it |
//! | [`basic_auth`] | credentials of `Authorization` and `Proxy-Authorization` |

#![forbid(unsafe_code)]

pub mod basic_auth;
pub mod head;
pub mod name;
pub mod read;

pub use head::HeadError;
pub use name::Name;
