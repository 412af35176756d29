//! frps and frpc with thousands of clients, proxies and users: memory, CPU and time as functions of the count.
//!
//! `cargo run --release -p frp-scale` runs every scene, or those whose names are given; `--count N` sets how many
//! there are of what a scene is about (10,000 by default; 20,000 users). Loopback only. What a scene asks of the
//! machine (open files, ports) is looked up first; where it is not there the count is lowered, which is said.
//!
//! | module | holds |
//! | --- | --- |
//! | `scene` | one file per scene: `clients`, `proxies`, `users`, `storm` |
//! | `client` | a light frp client, of which one process holds thousands |
//! | `program` | a running frps or frpc: lines with their times, memory, CPU |
//! | `worker` | a process of this same program that holds sockets: users, or the service behind frpc |
//! | `machine` | limits of the machine and what fits into them |
//! | `config`, `table` | configuration files, and what is printed |
//!
//! `FRP_SERVER`, `FRP_CLIENT`, `FRP_REF` and `FRP_BIN` choose the programs, as for all tests.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command that reports")]

mod client;
mod config;
mod machine;
mod program;
mod scene;
mod table;
mod worker;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::machine::Machine;

/// What is said on the command line.
struct Request {
    scenes: Vec<String>,
    count: Option<usize>,
}

impl Request {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut request = Self { scenes: Vec::new(), count: None };
        while let Some(word) = words.next() {
            if word == "--count" {
                let count = words.next().context("--count needs a number")?;
                request.count = Some(count.parse::<usize>().context("--count")?.max(1));
            } else {
                request.scenes.push(word);
            }
        }
        Ok(request)
    }

    fn wants(&self, name: &str) -> bool {
        self.scenes.is_empty() || self.scenes.iter().any(|scene| name.contains(scene.as_str()))
    }
}

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let raised = frp_net::open_files::raise();
    // Reading certificates is a blocking call, and thousands of clients in this process do it at one time.
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(8).enable_all().build()?;
    raised.context("raise the limit of open files")?;
    if let Some(role) = worker::Role::of(&words) {
        runtime.block_on(role.run())?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::parse(words.into_iter())?;
    let failed = runtime.block_on(run(&request))?;
    runtime.shutdown_background();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs what is wanted and says whether something failed.
async fn run(request: &Request) -> Result<bool> {
    let machine = Machine::look()?;
    println!("{machine}");
    let mut failed = false;
    let mut any = false;
    for (name, scene) in scene::all(&machine, request.count) {
        if !request.wants(&name) {
            continue;
        }
        any = true;
        println!("\n## {name}");
        if let Err(error) = scene.await {
            println!("FAILED: {error:#}");
            failed = true;
        }
    }
    anyhow::ensure!(any, "no scene is called {:?}", request.scenes);
    Ok(failed)
}
