//! Work connections: the streams that carry users' data.

use super::define::wire_struct;
use crate::Secret;

wire_struct! {
    /// The first message of a work stream.
    pub struct NewWorkConn {
        /// The session that the stream belongs to.
        run_id: String = "run_id",
        /// As in [`super::Login`]; set only with the `NewWorkConns` scope.
        privilege_key: Secret = "privilege_key",
        /// Unix seconds.
        timestamp: i64 = "timestamp",
    }
}

wire_struct! {
    /// Asks the client for one more work connection.
    pub struct ReqWorkConn {}
}

wire_struct! {
    /// Puts a waiting work connection to use. Raw payload follows it in both directions.
    pub struct StartWorkConn {
        /// Full name of the proxy.
        proxy_name: String = "proxy_name",
        /// Address of the user; absent for udp.
        src_addr: String = "src_addr",
        /// Address that the user connected to.
        dst_addr: String = "dst_addr",
        /// Port of the user.
        src_port: u16 = "src_port",
        /// Port that the user connected to.
        dst_port: u16 = "dst_port",
        /// Why the work connection was refused; empty otherwise.
        error: String = "error",
    }
}
