//! A running frps or frpc: the lines that matter with their times, memory and CPU.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use frp_test_support::programs::{Maker, Role};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Lines of frps and frpc that are counted.
pub(crate) mod lines {
    /// frps serves.
    pub(crate) const STARTED: &str = "frps started successfully";
    /// frps has opened a proxy's port.
    pub(crate) const NEW_PROXY: &str = "type [tcp] success";
    /// frps has closed a proxy.
    pub(crate) const CLOSED_PROXY: &str = "proxy closing";
    /// frpc has logged in.
    pub(crate) const LOGGED_IN: &str = "login to server success";
    /// frpc knows that a proxy runs.
    pub(crate) const START_PROXY: &str = "start proxy success";
}

/// Memory and CPU of a process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Resident bytes.
    pub(crate) memory: u64,
    /// Time on a core since its start.
    pub(crate) cpu: Duration,
}

/// See the module. Killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    count: watch::Receiver<usize>,
    _reader: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When a line with each of the texts came.
    times: Vec<(&'static str, Vec<Instant>)>,
    /// Everything that is a warning or an error, as far as it is of use.
    complaints: Vec<String>,
    complaint_count: usize,
}

impl Program {
    /// Starts the program of `role` with `<role>.toml` in `folder` and counts lines with `texts`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(role: Role, folder: &Path, texts: &[&'static str]) -> Result<Self> {
        let executable = Maker::from_env(role).executable(role)?;
        let mut child = Command::new(&executable)
            .args(["-c", &format!("{}.toml", role.name())])
            .current_dir(folder)
            .env_remove("http_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", executable.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let seen = Seen { times: texts.iter().map(|text| (*text, Vec::new())).collect(), ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let (counted, count) = watch::channel(0);
        let mut reader = JoinSet::new();
        let shared = Arc::clone(&seen);
        reader.spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if shared.lock().unwrap_or_else(PoisonError::into_inner).take(line) {
                    counted.send_modify(|count| *count += 1);
                }
            }
        });
        Ok(Self { name: role.name(), child, seen, count, _reader: reader })
    }

    /// When the lines with `text` came.
    pub(crate) fn times(&self, text: &'static str) -> Vec<Instant> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.times
            .iter()
            .find(|(counted, _)| *counted == text)
            .map(|(_, times)| times.clone())
            .unwrap_or_default()
    }

    /// How many lines with `text` came.
    pub(crate) fn count(&self, text: &'static str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.times.iter().find(|(counted, _)| *counted == text).map_or(0, |(_, times)| times.len())
    }

    /// Waits until `count` lines with `text` have come.
    ///
    /// # Errors
    /// They did not within `limit`; the error tells how many did.
    pub(crate) async fn wait(&self, text: &'static str, count: usize, limit: Duration) -> Result<()> {
        let mut changes = self.count.clone();
        let wait = async {
            loop {
                changes.borrow_and_update();
                if self.count(text) >= count {
                    return Ok(());
                }
                if changes.changed().await.is_err() {
                    bail!("{} has ended: {}", self.name, self.complaints());
                }
            }
        };
        timeout(limit, wait).await.unwrap_or_else(|_| {
            let came = self.count(text);
            bail!("{came} of {count} lines {text:?} of {} in {limit:?}: {}", self.name, self.complaints())
        })
    }

    /// What it warned of, cut short.
    pub(crate) fn complaints(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{} warnings and errors\n{}", seen.complaint_count, seen.complaints.join("\n"))
    }

    /// How many warnings and errors it logged.
    pub(crate) fn complaint_count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).complaint_count
    }

    /// Its memory and CPU now.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage(self.child.id().with_context(|| format!("{} has ended", self.name))?)
    }

    /// Kills it outright, as a crash would.
    ///
    /// # Errors
    /// It cannot be killed.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("kill {}", self.name))
    }
}

/// As many complaints are kept.
const COMPLAINTS: usize = 10;

impl Seen {
    /// Whether the line counts.
    fn take(&mut self, line: String) -> bool {
        let now = Instant::now();
        let mut counts = false;
        for (text, times) in &mut self.times {
            if line.contains(*text) {
                times.push(now);
                counts = true;
            }
        }
        if !counts && (line.contains("[W]") || line.contains("[E]")) {
            self.complaint_count += 1;
            if self.complaints.len() < COMPLAINTS {
                self.complaints.push(line);
            }
        }
        counts
    }
}

/// Memory and CPU of a process.
///
/// # Errors
/// It has ended.
pub(crate) fn usage(id: u32) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name in parentheses may hold anything; what follows does not. User and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
    let mut fields = fields.split(' ').skip(11).filter_map(|field| field.parse::<u64>().ok());
    let ticks = fields.next().unwrap_or(0) + fields.next().unwrap_or(0);
    let cpu = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1));
    Ok(Usage { memory: kibibytes * 1024, cpu })
}
