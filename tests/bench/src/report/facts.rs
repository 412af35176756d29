//! On which machine, when, and with what a run was made.

use std::fs;
use std::path::Path;

use chrono::Utc;

use crate::load::{KEPT_ALIVE, Tools};
use crate::options::Options;
use crate::subject::Subject;
use crate::tools::says;

/// What is noted before the first round.
#[derive(Debug)]
pub(crate) struct Facts {
    date: String,
    commit: String,
    machine: String,
    /// Load average over one minute.
    busy: f64,
    load: String,
}

impl Facts {
    /// Looks around.
    pub(crate) fn collect(tools: &Tools) -> Self {
        Self {
            date: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            commit: commit(),
            machine: machine(),
            busy: load_average(),
            load: tools.describe(),
        }
    }

    pub(super) fn render(&self, options: &Options, subjects: &[Subject]) -> String {
        let programs: Vec<String> = subjects
            .iter()
            .filter(|subject| !subject.version.is_empty())
            .map(|subject| format!("{} {}", subject.id.title(), subject.version))
            .collect();
        let profile = if cfg!(debug_assertions) { " (debug builds: figures mean nothing)" } else { "" };
        format!(
            "- Made on {} from commit {}{profile}.\n\
             - Machine: {}; load average before the first round {:.2}.\n\
             - Programs: {}.\n\
             - Load: {}.\n\
             - {} rounds, {} s for each measurement of load, {KEPT_ALIVE} keep-alive connections, {} idle ones, \
             frp's `log.level` {}.\n\n\
             A cell is the median of all rounds; in parentheses stands our figure divided by this one, the median of \
             the ratios of each round. Beside \"ours again\" it is the least and the greatest of these ratios, the \
             noise of the run. `+` ours is better by more than that noise, `−` worse, `=` neither.\n",
            self.date,
            self.commit,
            self.machine,
            self.busy,
            programs.join(", "),
            self.load,
            options.rounds,
            options.seconds,
            options.connections,
            options.log
        )
    }
}

/// The load average of the last minute.
pub(crate) fn load_average() -> f64 {
    read("/proc/loadavg").split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let repository = ["-C", env!("CARGO_MANIFEST_DIR")];
        says(Path::new("git"), &[&repository, arguments].concat()).trim().to_owned()
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    if commit.is_empty() || commit.contains(' ') {
        return "unknown".to_owned();
    }
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{commit}{}", if changed { " with changes" } else { "" })
}

fn machine() -> String {
    let cpu = read("/proc/cpuinfo");
    let model = field(&cpu, "model name").or_else(|| field(&cpu, "Model")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let memory = field(&memory, "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
    let kernel = read("/proc/sys/kernel/osrelease");
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    format!(
        "{model}, {cores} cores shared by programs, load and services, {:.0} GiB, Linux {}, {} over loopback",
        memory.unwrap_or_default() / f64::from(1 << 20),
        kernel.trim(),
        congestion.trim()
    )
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
