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
//! | [`head`] | heads of requests and responses, trailers; without I/O, as all up to [`read`] |
//! | [`name`] | the fields that matter to a proxy |
//! | [`target`] | targets of requests: path, query, authority |
//! | [`framing`], [`body`] | where a body ends by its head, and where by its bytes |
//! | [`basic_auth`] | credentials of `Authorization` and `Proxy-Authorization` |
//! | [`status`], [`content_type`], [`gzip`] | what the original adds to responses: reasons, dates, types, plain bodies |
//! | [`read`] | the first request head of a stream, with what came behind it |
//! | [`conn`] | a connection with what was read ahead and what waits to be written |
//! | [`pump`] | a body on its way from one connection to another |
//! | [`timer`] | deadlines that move often |

#![forbid(unsafe_code)]

pub mod basic_auth;
pub mod body;
pub mod conn;
pub mod content_type;
pub mod framing;
pub mod gzip;
pub mod head;
pub mod name;
pub mod pump;
pub mod read;
pub mod status;
pub mod target;
pub mod timer;

pub use basic_auth::Credentials;
pub use conn::Conn;
pub use head::HeadError;
pub use name::Name;
pub use pump::Pump;
