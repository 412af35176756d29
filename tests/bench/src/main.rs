//! The load table: frps and frpc beside the original and every other tunnel or proxy that is installed.
//!
//! `cargo run --release -p frp-bench` builds our programs, finds the peers, measures everything in interleaved rounds
//! over loopback and prints a table per mode; `--help` lists what can be chosen. `docs/performance.md` says what each
//! row means and how to run it. Linux only: CPU time and memory come from `/proc`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`options`] | the command line |
//! | [`mode`], [`row`] | the tables and their transport settings, and what is measured |
//! | [`mod@line`] | bad lines between the programs |
//! | [`subject`] | who is measured, one file per kind; a running tunnel |
//! | [`child`], [`ports`], [`tools`] | processes with their CPU time and memory; ports; installed programs |
//! | [`service`], [`load`] | what stands behind the tunnels, and what users do |
//! | [`step`], [`rounds`] | one measurement; the schedule of all of them |
//! | [`results`], [`targets`], [`report`] | medians and ratios; what we want to reach; the tables |

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports")]

mod child;
mod line;
mod load;
mod mode;
mod options;
mod ports;
mod report;
mod results;
mod rounds;
mod row;
mod service;
mod step;
mod subject;
mod targets;
mod tools;

use std::fs;

use anyhow::{Context, Result, bail};
use frp_test_support::way::{Outcome, Pair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::load::Tools;
use crate::options::Options;
use crate::report::Facts;
use crate::rounds::Rounds;

/// A machine with a greater load average before the first round is not quiet.
const QUIET: f64 = 0.5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut options = Options::parse();
    options.modes.retain(|mode| match Pair::ours().outcome(mode.way()) {
        Outcome::Serves => true,
        Outcome::Refused(reason) | Outcome::Unsupported(reason) => {
            eprintln!("left out: {}: {reason}", mode.slug());
            false
        }
    });
    // A thousand connections have both their ends' sockets here.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let (subjects, absent) = subject::find(&|id| options.peers.contains(&id))?;
    for peer in &absent {
        eprintln!("left out: {peer}");
    }
    let tools = if options.builtin { Tools::default() } else { Tools::installed() };
    let facts = Facts::collect(&tools);
    if report::load_average() > QUIET && !options.smoke {
        eprintln!("this machine is not quiet: its load average is {:.2}", report::load_average());
    }
    let rounds = Rounds::new(&options, &subjects, &tools)?;
    let mut terminated = signal(SignalKind::terminate())?;
    // Dropping the rounds on the way out ends every program that they started.
    let results = tokio::select! {
        results = rounds.run() => results,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    };
    let section = report::render(&facts, &options, &subjects, &results);
    println!("{section}");
    if let Some(path) = &options.markdown {
        report::put_into(path, &section)?;
    }
    if let Some(path) = &options.csv {
        fs::write(path, results.csv()).with_context(|| format!("write {}", path.display()))?;
    }
    if results.ours_failed() {
        bail!("ours failed in a measurement");
    }
    Ok(())
}
