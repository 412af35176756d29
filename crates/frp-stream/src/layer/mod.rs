//! What a proxy can put around the payload of a work connection.

pub mod cipher;
pub mod limited;
pub mod records;
pub mod snappy;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use frp_proto::crypto::Key;

use crate::{RateLimiter, Stream};

/// Which bytes a bandwidth limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSide {
    /// What the user and the service see: the server's limit (`bandwidthLimitMode = "server"`).
    Plain,
    /// What goes over the wire, compressed and encrypted: the client's limit (`"client"`).
    Wire,
}

/// The layers of a work or visitor connection.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// `useEncryption`, with the key derived from the token or, for visitors, the secret key.
    pub encryption: Option<Key>,
    /// `useCompression`.
    pub compression: bool,
    /// The proxy's limit, if this side is the one to enforce it.
    pub limiter: Option<(Arc<RateLimiter>, LimitSide)>,
}

impl Layers {
    /// Puts the layers around a connection; without any, gives it back as it is.
    ///
    /// This is the one place of their order. From the wire to the application, upstream
    /// `server/proxy/proxy.go` and `client/proxy/proxy.go`:
    ///
    /// ```text
    /// stream → [limit, if it counts wire bytes] → [cipher] → [snappy] → [limit, if it counts plain bytes]
    /// ```
    ///
    /// So bytes are compressed first and encrypted then.
    #[must_use]
    pub fn apply(self, stream: Stream) -> Stream {
        let (wire, plain) = match self.limiter {
            None => (None, None),
            Some((limiter, LimitSide::Wire)) => (Some(limiter), None),
            Some((limiter, LimitSide::Plain)) => (None, Some(limiter)),
        };
        let mut stream = stream;
        if let Some(limiter) = wire {
            stream = Stream::layered(limited::Limited::new(stream, limiter));
        }
        if let Some(key) = self.encryption {
            stream = Stream::layered(cipher::Cipher::new(stream, &key));
        }
        if self.compression {
            stream = Stream::layered(snappy::Snappy::new(stream));
        }
        if let Some(limiter) = plain {
            stream = Stream::layered(limited::Limited::new(stream, limiter));
        }
        stream
    }
}
