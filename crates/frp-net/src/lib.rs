//! Sockets of frp: dial, listen, TLS, name resolution and process limits.
