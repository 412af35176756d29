//! Keep-alive requests by wrk.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::{Duration, timeout};

use super::{Exchanges, GRACE, KEPT_ALIVE, whole_seconds};

/// Sends requests through `public` for so many seconds, from one thread; for `host`, where one is given.
///
/// # Errors
/// wrk fails, or takes far too long.
pub(crate) async fn run(wrk: &Path, public: u16, host: Option<&str>, seconds: f64) -> Result<Exchanges> {
    let mut command = Command::new(wrk);
    if let Some(host) = host {
        command.args(["--header", &format!("Host: {host}")]);
    }
    command.args(["--latency", "--threads", "1", "--connections", &KEPT_ALIVE.to_string()]);
    command.args(["--duration", &format!("{}s", whole_seconds(seconds))]);
    command.arg(format!("http://127.0.0.1:{public}/")).kill_on_drop(true);
    let output = timeout(Duration::from_secs_f64(seconds) + GRACE, command.output());
    let output = output.await.context("wrk is stuck")??;
    let report = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {report}{}", String::from_utf8_lossy(&output.stderr));
    parse(&report).with_context(|| format!("wrk's report: {report}"))
}

/// From wrk's report, which is text.
fn parse(report: &str) -> Option<Exchanges> {
    let line = |beginning: &str| report.lines().find_map(|line| line.trim().strip_prefix(beginning));
    let total = report.lines().find(|line| line.contains(" requests in "))?;
    let mut total = total.split_whitespace();
    let count: f64 = total.next()?.parse().ok()?;
    let seconds = milliseconds(total.nth(2)?.trim_end_matches(','))? / 1e3;
    let failed = [line("Socket errors:"), line("Non-2xx or 3xx responses:")];
    let failed = failed.into_iter().flatten().flat_map(|line| line.split([' ', ',']));
    let failed = failed.filter_map(|word| word.parse::<u64>().ok()).sum();
    let share = |percent| milliseconds(line(percent)?.trim());
    (count > 0.0 && seconds > 0.0).then_some(Exchanges {
        count,
        seconds,
        failed,
        p50: share("50%")?,
        p99: share("99%")?,
    })
}

/// A time as wrk writes it: a number and `us`, `ms`, `s`, `m` or `h`.
fn milliseconds(time: &str) -> Option<f64> {
    let digits = time.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match time.get(digits.len()..)? {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3600e3,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 3s test @ http://127.0.0.1:8080/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.31ms  592.06us   9.31ms   77.92%
    Req/Sec    38.49k     2.34k   42.18k    63.33%
  Latency Distribution
     50%  620.00us
     75%    1.58ms
     90%    2.02ms
     99%    3.27ms
  115027 requests in 3.01s, 10.64MB read
Requests/sec:  38262.63
Transfer/sec:      3.54MB
";

    #[test]
    fn a_report() {
        let expected = Exchanges { count: 115_027.0, seconds: 3.01, failed: 0, p50: 0.62, p99: 3.27 };
        assert_eq!(parse(REPORT), Some(expected));
    }

    #[test]
    fn errors_are_counted() {
        let errors = "Socket errors: connect 0, read 12, write 0, timeout 3\n  Non-2xx or 3xx responses: 2\n";
        let report = REPORT.replace("Requests/sec", &format!("{errors}Requests/sec"));
        assert_eq!(parse(&report).unwrap().failed, 17);
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused"), None);
    }
}
