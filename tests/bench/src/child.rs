//! A measured program: its output in a file, its CPU time and memory read from `/proc`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How much of the output an error shows.
const TAIL: usize = 1_500;

/// How often is looked whether a program that was asked to end has done so, and the time between.
const ASKED: u32 = 100;
const ASKED_PAUSE: Duration = Duration::from_millis(5);

/// A program and its arguments.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Launch {
    pub(crate) fn new(program: &Path, arguments: &[&str]) -> Self {
        // A path, unlike a bare name, is the caller's, who does not know where the program is going to run.
        let path = program.components().count() > 1;
        let absolute = path.then(|| std::path::absolute(program).ok()).flatten();
        Self {
            program: absolute.unwrap_or_else(|| program.to_owned()),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }
}

/// A running program with the processes it started, all killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: process::Child,
    output: PathBuf,
}

impl Child {
    /// Starts `launch` in `folder`, in a process group of its own, with its output in a file there.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn start(launch: &Launch, folder: &Path, label: &str) -> Result<Self> {
        let output = folder.join(format!("{label}.out"));
        let file = File::create(&output)?;
        let process = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(folder)
            .env_remove("http_proxy")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", launch.program.display()))?;
        let name = launch.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, process, output })
    }

    /// Fails, with the end of its output, when it runs no more.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("{} ended with {status}: {}", self.name, self.tail());
        }
        Ok(())
    }

    /// The end of its output so far.
    pub(crate) fn tail(&self) -> String {
        let bytes = fs::read(&self.output).unwrap_or_default();
        let from = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).trim().to_owned()
    }

    /// CPU time of all its processes so far, user and system, in seconds. The kernel counts it in ticks, 10 ms.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let ticks: u64 = self.group()?.iter().map(|(_, stat)| stat.ticks).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory of all its processes, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.group()?.iter().map(|(id, _)| resident(*id)).sum()
    }

    /// The processes of its group, which are itself and what it started.
    fn group(&self) -> Result<Vec<(u32, Stat)>> {
        let group = self.process.id();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("read /proc, which only Linux has")? {
            let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            // A process may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
            if let Some(stat) = Stat::parse(&text).filter(|stat| stat.group == group) {
                found.push((id, stat));
            }
        }
        if found.is_empty() {
            bail!("{} has ended: {}", self.name, self.tail());
        }
        Ok(found)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(leader) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) else { return };
        // A program with workers is asked to collect them, because not every init does it for orphans.
        if self.group().is_ok_and(|group| group.len() > 1) && kill_process(leader, Signal::TERM).is_ok() {
            for _ in 0..ASKED {
                if !matches!(self.process.try_wait(), Ok(None)) {
                    break;
                }
                thread::park_timeout(ASKED_PAUSE);
            }
        }
        let _ = kill_process_group(leader, Signal::KILL);
        let _ = self.process.wait();
    }
}

/// What `/proc/PID/stat` tells, as proc(5) describes it.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    /// `utime` and `stime` together.
    ticks: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may itself hold spaces and parentheses.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_whitespace();
        let group = fields.nth(2)?.parse().ok()?;
        let user: u64 = fields.nth(8)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self { group, ticks: user + system })
    }
}

/// Resident memory of one process, in bytes. `smaps_rollup` counts pages; `VmRSS`, which takes its place where it is
/// missing, may lag behind by some dozens per CPU.
fn resident(id: u32) -> Result<u64> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()
    };
    let kibibytes =
        field("smaps_rollup", "Rss:").or_else(|| field("status", "VmRSS:")).context("no resident memory")?;
    Ok(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_whose_name_holds_parentheses() {
        let line = "7 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(Stat::parse(line), Some(Stat { group: 42, ticks: 175 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn a_program_that_ended_is_told_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch::new(Path::new("sh"), &["-c", "echo no such thing >&2; exit 3"]);
        let mut child = Child::start(&launch, folder.path(), "first").unwrap();
        child.process.wait().unwrap();
        let error = child.check().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_running_program_has_memory() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::start(&Launch::new(Path::new("sleep"), &["30"]), folder.path(), "first").unwrap();
        assert!(child.resident().unwrap() > 0);
        assert!(child.cpu().unwrap() < 30.0);
    }
}
