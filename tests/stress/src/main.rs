//! Hostile peers against a running frps, and users that never read against both programs.
//!
//! `cargo run --release -p frp-stress` runs every scene, or those whose names are given, and prints for each how much
//! the processes' resident memory grew at its peak, how long a legitimate client that started in the middle of it
//! took to carry its first byte, and which line frps logged about it. It fails when a bound is broken. Loopback only;
//! every scene is bounded in count and time.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command that reports")]

mod attack;
mod limited;
mod memory;
mod outage;
mod scene;
mod spoofed;
mod unread;
mod victim;

use anyhow::{Result, bail};

#[tokio::main]
async fn main() -> Result<()> {
    frp_net::open_files::raise()?;
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| name.contains(chosen.as_str()));
    let mut failed = Vec::new();
    println!("{:<34} {:>9} {:>9} {:>9}  log line", "scene", "frps MiB", "frpc MiB", "client s");
    for scene in attack::ALL.iter().filter(|scene| wanted(scene.name)) {
        scene::report(scene.name, attack::run(scene).await, &mut failed);
    }
    if wanted(spoofed::NAME) {
        scene::report(spoofed::NAME, spoofed::run().await, &mut failed);
    }
    for scene in unread::ALL.iter().filter(|scene| wanted(scene.name)) {
        scene::report(scene.name, unread::run(scene).await, &mut failed);
    }
    for (name, mode) in limited::ALL.into_iter().filter(|(name, _)| wanted(name)) {
        scene::report(name, limited::run(mode).await, &mut failed);
    }
    if wanted(outage::NAME) {
        scene::report(outage::NAME, outage::run().await, &mut failed);
    }
    if !failed.is_empty() {
        bail!("bounds broken in: {}", failed.join(", "));
    }
    Ok(())
}
