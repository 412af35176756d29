//! Bulk load by iperf3.

use std::path::Path;

use anyhow::{Context, Result, bail};
use frp_test_support::process::Process;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Duration, timeout};

use super::{Flow, GRACE, Transfer, whole_seconds};

/// Sends or receives through `public`, to an iperf3 server that this starts on `service` for the one test.
///
/// # Errors
/// iperf3 fails, or takes far too long.
pub(crate) async fn run(
    iperf3: &Path,
    service: u16,
    public: u16,
    flow: Flow,
    seconds: f64,
) -> Result<Transfer> {
    let folder = std::env::temp_dir();
    let port = service.to_string();
    let arguments = ["--server", "--one-off", "--forceflush", "--bind", "127.0.0.1", "--port", &port];
    let mut server = Process::start(iperf3, &arguments, &folder)?;
    server.line("Server listening").await?;
    let mut client = Command::new(iperf3);
    client.args(["--client", "127.0.0.1", "--port", &public.to_string(), "--json"]);
    client.args(["--time", &whole_seconds(seconds), "--parallel", &flow.streams.to_string()]);
    if flow.down {
        client.arg("--reverse");
    }
    let output = client.kill_on_drop(true).output();
    let output =
        timeout(Duration::from_secs_f64(seconds) + GRACE, output).await.context("iperf3 is stuck")??;
    parse(&output.stdout)
}

/// From iperf3's JSON report.
fn parse(report: &[u8]) -> Result<Transfer> {
    let report: Value = serde_json::from_slice(report).context("iperf3's report")?;
    if let Some(error) = report.get("error").and_then(Value::as_str) {
        bail!("iperf3: {error}");
    }
    let received = |field: &str| {
        let value = report.pointer(&format!("/end/sum_received/{field}")).and_then(Value::as_f64);
        value.filter(|&value| value > 0.0).with_context(|| format!("iperf3 reports no {field} received"))
    };
    Ok(Transfer { bytes: received("bytes")?, seconds: received("seconds")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report() {
        let report = br#"{"start": {}, "end": {
            "sum_sent": {"seconds": 1.000713, "bytes": 1659371520, "sender": true},
            "sum_received": {"seconds": 1.25, "bytes": 1655308182, "bits_per_second": 13195739342.9, "sender": true}}}"#;
        assert_eq!(parse(report).unwrap(), Transfer { bytes: 1_655_308_182.0, seconds: 1.25 });
    }

    #[test]
    fn an_error() {
        let report = br#"{"start": {}, "error": "unable to connect to server: Connection refused"}"#;
        assert!(parse(report).unwrap_err().to_string().contains("Connection refused"));
        assert!(parse(b"").is_err());
        assert!(parse(br#"{"end": {"sum_received": {"seconds": 1, "bytes": 0}}}"#).is_err());
    }
}
