//! Logging in, and keeping the session alive.

use super::StringMap;
use super::define::wire_struct;
use crate::Secret;
use crate::json::StructField;

wire_struct! {
    /// The first message of a control stream, in clear.
    pub struct Login {
        /// Version of the client's program. Servers up to v0.51.3 demand `X.Y.Z` of at least 0.18.0.
        version: String = "version",
        /// Name of the client's host.
        hostname: String = "hostname",
        /// Operating system in Go's naming, for example `linux`.
        os: String = "os",
        /// Architecture in Go's naming, for example `amd64`.
        arch: String = "arch",
        /// Prefix of the client's proxy names; may be empty.
        user: String = "user",
        /// [`crate::digest::auth_key`] of the token and `timestamp`, or an OIDC access token.
        privilege_key: Secret = "privilege_key",
        /// Unix seconds.
        timestamp: i64 = "timestamp",
        /// The run id of the client's last session with this server; empty on its first login.
        run_id: String = "run_id",
        /// A name of the client that stays the same over restarts; may be empty.
        client_id: String = "client_id",
        /// Free text for the server's plugins.
        metas: StringMap = "metas" [keys],
        /// Of internal use; empty when sent by a client program. Always written.
        client_spec: ClientSpec = "client_spec",
        /// How many work connections the client wishes to have waiting. May be negative or huge.
        pool_count: i64 = "pool_count",
    }
}

wire_struct! {
    /// Says that a client is a virtual one, inside the server.
    pub struct ClientSpec {
        /// `ssh-tunnel` or empty.
        r#type: String = "type",
        /// Whether the virtual client needs no token. Never to be believed of a remote client.
        always_auth_pass: bool = "always_auth_pass",
    }
}

impl StructField for ClientSpec {}

wire_struct! {
    /// The server's answer to [`Login`], in clear.
    pub struct LoginResp {
        /// Version of the server's program.
        version: String = "version",
        /// Id of the session, to be shown by its work connections and on the next login.
        run_id: String = "run_id",
        /// Why the login failed; empty on success.
        error: String = "error",
    }
}

wire_struct! {
    /// Heartbeat. The key is set only with the `HeartBeats` scope.
    pub struct Ping {
        /// As [`Login::privilege_key`].
        privilege_key: Secret = "privilege_key",
        /// Unix seconds.
        timestamp: i64 = "timestamp",
    }
}

wire_struct! {
    /// The answer to a [`Ping`].
    pub struct Pong {
        /// Why the heartbeat was not accepted; empty if it was.
        error: String = "error",
    }
}
