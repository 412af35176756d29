//! Visitors: clients that reach another client's proxy by a secret instead of a public port (stcp, sudp).
//!
//! Upstream `server/visitor/visitor.go` and `server/service.go`, `RegisterVisitorConn`. A visitor's stream begins with
//! its own message; once it is let in, it is served like any user of the proxy. Unlike upstream, it is told so before
//! the proxy has it, so that nothing of the service can come ahead of the answer.
//!
//! The two legs of such a connection are independent: between visitor and server hold the visitor's own settings, with
//! the secret as the key; between server and owner those of the proxy, with the token as the key.

mod conn;
mod table;

pub(crate) use self::conn::serve;
pub(crate) use self::table::{Door, Repeated, Terms, Visitors};
