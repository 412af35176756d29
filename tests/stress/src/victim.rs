//! The frps under attack, and the legitimate client that comes in the midst of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::process::Process;
use frp_test_support::programs::Role;
use frp_test_support::service::Service;
use frp_test_support::traffic;
use frp_test_support::tunnel::{Proxy, Setting, client_ini, server_ini, start_program};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::memory::Watch;
use crate::scene::Outcome;

/// The most that frps may grow at its peak.
const GROWTH: u64 = 60 << 20;
/// The longest that a legitimate client may take from its start to its first byte.
const CLIENT_WAIT: Duration = Duration::from_secs(3);

/// A fresh server.
pub(crate) struct Victim {
    pub(crate) frps: Process,
    setting: Setting,
    watch: Watch,
    /// Lines that it printed before anything happened.
    quiet: usize,
    folder: TempDir,
}

impl Victim {
    /// Starts it on that port, with further lines of configuration.
    pub(crate) async fn start(setting: Setting, port: u16, lines: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = server_ini(setting, port, &format!("log_level = info\n{lines}"));
        std::fs::write(folder.path().join("frps.ini"), server)?;
        let mut frps = start_program(Role::Frps, folder.path())?;
        frps.line("frps started successfully").await?;
        let quiet = frps.output().len();
        let watch = Watch::start(&frps)?;
        Ok(Self { frps, setting, watch, quiet, folder })
    }

    /// Has a legitimate client come to that port while the attackers are at work, waits for their end, and judges. One of
    /// the texts in `logs` stands in the line that frps logs about it.
    pub(crate) async fn withstands(
        self,
        mut attackers: JoinSet<Result<()>>,
        client_port: u16,
        client_lines: &str,
        logs: &[&str],
    ) -> Result<Outcome> {
        let echo = Service::echo().await?;
        let proxy = Proxy::new("tcp", "echo", echo.port());
        let lines = format!("login_fail_exit = false\n{client_lines}");
        let ini = client_ini(self.setting, client_port, &lines, std::slice::from_ref(&proxy));
        std::fs::write(self.folder.path().join("frpc.ini"), ini)?;
        let began = Instant::now();
        let mut frpc = start_program(Role::Frpc, self.folder.path())?;
        frpc.line("start proxy success").await?;
        traffic::echo(proxy.remote, b"x").await?;
        let client = began.elapsed();

        while let Some(attacker) = attackers.join_next().await {
            attacker??;
        }
        let growth = self.watch.growth();
        // Another user after the storm: the server is none the worse.
        traffic::echo(proxy.remote, b"still there").await.context("after the attack")?;
        let lines = self.frps.output();
        let mentioned = |line: &&String| logs.iter().any(|text| line.contains(text));
        let log = lines.get(self.quiet..).unwrap_or_default().iter().find(mentioned).cloned();
        let log = log.with_context(|| format!("frps logged nothing like {logs:?}: {lines:#?}"))?;
        ensure!(growth <= GROWTH, "frps grew by {} MiB", growth >> 20);
        ensure!(client <= CLIENT_WAIT, "a legitimate client waited {client:?}");
        Ok(Outcome { frps: Some(growth), frpc: None, client: Some(client), log })
    }
}
