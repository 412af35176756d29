//! What the configurations of both programs share (upstream `pkg/config/v1/common.go`, `value_source.go`).

use std::time::Duration;

use crate::table::table;
use crate::value::{Pairs, Secret};

/// Where a websocket is, unless `transport.websocketPath` says otherwise. Upstream `pkg/util/net/websocket.go`.
pub(crate) const WEBSOCKET_PATH: &str = "/~!frp";

/// Replaces an unset text by its default.
pub(crate) fn default_text(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

/// Replaces an unset number by its default: as with upstream, zero is unset.
pub(crate) const fn default_number(number: &mut i64, default: i64) {
    if *number == 0 {
        *number = default;
    }
}

/// The longest time that a key can mean: ten years, in seconds. Keys take any number, and a time without end cannot be
/// added to a clock.
const MOST_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// Seconds as a duration, ten years at most; `None` for zero and less, which switches most timers off.
#[must_use]
pub fn seconds(count: i64) -> Option<Duration> {
    let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
    Some(Duration::from_secs(count.min(MOST_SECONDS)))
}

table! {
    /// The schema version, which upstream accepts and never looks at.
    pub struct ApiMetadata = "v1.APIMetadata" {
        /// Any text.
        version: String = "version",
    }
}

table! {
    /// `log`: where log lines go and which.
    pub struct LogConfig = "v1.LogConfig" {
        /// `console` for stdout, or the path of a file. Default `console`.
        to: String = "to",
        /// `trace`, `debug`, `info`, `warn` or `error`. Default `info`.
        level: String = "level",
        /// Days to keep rotated files; negative keeps them for ever. Default 3.
        max_days: i64 = "maxDays" ("int64"),
        /// No colours on the console.
        disable_print_color: bool = "disablePrintColor",
    }
}

impl LogConfig {
    /// Fills in the defaults.
    pub fn complete(&mut self) {
        default_text(&mut self.to, "console");
        default_text(&mut self.level, "info");
        default_number(&mut self.max_days, 3);
    }
}

table! {
    /// `webServer`: the dashboard of frps, the admin interface of frpc.
    pub struct WebServerConfig = "v1.WebServerConfig" {
        /// Address to listen on. Default `127.0.0.1`.
        addr: String = "addr",
        /// Port to listen on; 0 is off.
        port: i64 = "port",
        /// User of basic authentication; none if user and password are both empty.
        user: String = "user",
        /// Password of basic authentication.
        password: Secret = "password",
        /// A folder to serve instead of the built-in pages.
        assets_dir: String = "assetsDir",
        /// Serves profiling data.
        pprof_enable: bool = "pprofEnable",
        /// Serves HTTPS when present.
        tls: Option<TlsConfig> = "tls",
    }
}

impl WebServerConfig {
    /// Fills in the defaults.
    pub fn complete(&mut self) {
        default_text(&mut self.addr, "127.0.0.1");
    }
}

table! {
    /// Files and names of a TLS endpoint.
    pub struct TlsConfig = "v1.TLSConfig" {
        /// Path of the certificate chain, PEM.
        cert_file: String = "certFile",
        /// Path of the private key, PEM.
        key_file: String = "keyFile",
        /// Path of the authorities to verify the peer with, PEM.
        trusted_ca_file: String = "trustedCaFile",
        /// The name to expect of the peer and to send as SNI.
        server_name: String = "serverName",
    }
}

table! {
    /// `transport.quic`.
    pub struct QuicOptions = "v1.QUICOptions" {
        /// Seconds between keepalives. Default 10.
        keepalive_period: i64 = "keepalivePeriod",
        /// Seconds of silence after which a connection is dead. Default 30.
        max_idle_timeout: i64 = "maxIdleTimeout",
        /// Streams that a peer may have open. Default 100000.
        max_incoming_streams: i64 = "maxIncomingStreams",
    }
}

impl QuicOptions {
    /// Fills in the defaults.
    pub const fn complete(&mut self) {
        default_number(&mut self.keepalive_period, 10);
        default_number(&mut self.max_idle_timeout, 30);
        default_number(&mut self.max_incoming_streams, 100_000);
    }
}

table! {
    /// `requestHeaders` and `responseHeaders`: what to change in HTTP headers.
    pub struct HeaderOperations = "v1.HeaderOperations" {
        /// Headers to set, by name.
        set: Pairs = "set",
    }
}

table! {
    /// A header that a health check sends.
    pub struct HttpHeader = "v1.HTTPHeader" {
        /// The header's name.
        name: String = "name",
        /// The header's value.
        value: Secret = "value",
    }
}

table! {
    /// `natTraversal` of xtcp proxies and visitors.
    pub struct NatTraversalConfig = "v1.NatTraversalConfig" {
        /// Do not offer the addresses of local interfaces to the peer.
        disable_assisted_addrs: bool = "disableAssistedAddrs",
    }
}

table! {
    /// `tokenSource`: where a token comes from when it is not written into the file.
    pub struct ValueSource = "v1.ValueSource" {
        /// `file` or `exec`.
        kind: String = "type",
        /// Present for `file`.
        file: Option<FileSource> = "file",
        /// Present for `exec`.
        exec: Option<ExecSource> = "exec",
    }
}

table! {
    /// A file that holds a token.
    pub struct FileSource = "v1.FileSource" {
        /// Its path.
        path: String = "path",
    }
}

table! {
    /// A program that prints a token.
    pub struct ExecSource = "v1.ExecSource" {
        /// The program, run without a shell.
        command: String = "command",
        /// Its arguments; may hold secrets.
        args: Vec<Secret> = "args",
        /// Variables added to the inherited environment.
        env: Vec<ExecEnvVar> = "env",
    }
}

table! {
    /// One variable of [`ExecSource::env`].
    pub struct ExecEnvVar = "v1.ExecEnvVar" {
        /// The variable's name.
        name: String = "name",
        /// The variable's value.
        value: Secret = "value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_argument_of_a_token_source() {
        let exec = ExecSource {
            command: "/bin/token".to_owned(),
            args: vec!["--password".into(), "hunter2".into()],
            env: vec![ExecEnvVar { name: "PASSWORD".to_owned(), value: "hunter2".into() }],
        };
        let shown = format!("{exec:?}");
        assert!(shown.contains("/bin/token") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn every_number_of_seconds_can_be_added_to_a_clock() {
        assert_eq!(seconds(90), Some(Duration::from_secs(90)));
        assert_eq!((seconds(0), seconds(-1), seconds(i64::MIN)), (None, None, None));
        let longest = seconds(i64::MAX).unwrap();
        assert_eq!(longest.as_secs(), MOST_SECONDS);
        assert!(std::time::SystemTime::now().checked_add(longest).is_some());
    }
}
