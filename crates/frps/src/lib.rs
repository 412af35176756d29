//! The frp server: logs clients in, opens the public ports they ask for, and joins users to their work connections.

#![forbid(unsafe_code)]

mod ids;
mod pending;
mod ports;
