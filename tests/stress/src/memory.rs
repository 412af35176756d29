//! Resident memory of a process, at its peak.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use frp_test_support::process::Process;
use tokio::task::JoinSet;
use tokio::time::interval;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// Watches one process from its start on.
#[derive(Debug)]
pub(crate) struct Watch {
    before: u64,
    peak: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Watch {
    /// Takes the present size as the measure of growth.
    pub(crate) fn start(process: &Process) -> Result<Self> {
        let id = process.id().context("the process has ended")?;
        let before = resident(id)?;
        let peak = Arc::new(AtomicU64::new(before));
        let mut task = JoinSet::new();
        let shared = Arc::clone(&peak);
        task.spawn(async move {
            let mut tick = interval(SAMPLE);
            loop {
                tick.tick().await;
                let Ok(now) = resident(id) else { return };
                shared.fetch_max(now, Ordering::Relaxed);
            }
        });
        Ok(Self { before, peak, _task: task })
    }

    /// The peak above the size at the start, in bytes.
    pub(crate) fn growth(&self) -> u64 {
        self.peak.load(Ordering::Relaxed).saturating_sub(self.before)
    }
}

/// `VmRSS` in bytes.
fn resident(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes * 1024)
}
