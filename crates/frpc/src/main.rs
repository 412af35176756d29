//! The program frpc: command line, log, runtime, signals. The client itself is the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context;
use frp_cli::Exit;
use frp_cli::frpc::{ClientRun, DirectoryEntry, Runs, failed_in_directory};
use frp_config::LoadOptions;
use frp_config::run::PreparedClient;
use frp_log::LogGuard;
use frp_net::signal::Shutdown;
use frp_net::{open_files, sd_notify};
use frpc::Setup;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

fn main() -> ExitCode {
    let options = LoadOptions::from_process();
    let command = frp_cli::frpc::parse(std::env::args_os());
    match command.and_then(|command| command.prepare(&options)) {
        Ok(runs) => match serve(runs) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Exit::failure(error).print(),
        },
        Err(exit) => exit.print(),
    }
}

fn serve(runs: Runs) -> anyhow::Result<()> {
    frp_net::resident::prepare();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let result = runtime.block_on(async {
        let mut signal = Shutdown::new().context("listen for signals")?;
        let shutdown = CancellationToken::new();
        let clients = async {
            match runs {
                Runs::One(run) => one(*run, shutdown.clone()).await,
                Runs::Directory(entries) => directory(entries, &shutdown).await,
            }
        };
        tokio::pin!(clients);
        tokio::select! {
            result = &mut clients => result,
            () = signal.requested() => {
                if let Err(error) = sd_notify::stopping() {
                    debug!("failed to tell the service manager: {error}");
                }
                shutdown.cancel();
                clients.await
            }
        }
    });
    // A thread that waits for the system (a name look-up) must not hold the end up.
    runtime.shutdown_background();
    result
}

/// From here on the log is the one of this client's configuration.
fn prepare(run: ClientRun) -> anyhow::Result<(LogGuard, Setup)> {
    let ClientRun { client: PreparedClient { common, proxies, visitors }, config_file, notices } = run;
    frp_log::print(&notices);
    let log = frp_log::init(&frp_cli::log_options(&common.log))?;
    Ok((log, Setup { common, proxies, visitors, config_file }))
}

/// What is done once, when there is a log.
fn started() {
    if let Err(error) = open_files::raise() {
        warn!("failed to raise the limit of open files: {error}");
    }
    if let Err(error) = sd_notify::ready() {
        warn!("failed to tell the service manager: {error}");
    }
}

async fn one(run: ClientRun, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (_log, setup) = prepare(run)?;
    started();
    Ok(frpc::run(setup, shutdown).await?)
}

/// Runs until all clients have ended. Failures are told and are nobody else's.
async fn directory(entries: Vec<DirectoryEntry>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut logs = Vec::new();
    let mut clients = JoinSet::new();
    for DirectoryEntry { path, run } in entries {
        let Some(run) = run else {
            frp_log::print(&failed_in_directory(&path));
            continue;
        };
        let Ok((log, setup)) = prepare(*run) else {
            frp_log::print(&failed_in_directory(&path));
            continue;
        };
        if logs.is_empty() {
            started();
        }
        logs.push(log);
        let shutdown = shutdown.clone();
        clients.spawn(async move {
            if frpc::run(setup, shutdown).await.is_err() {
                frp_log::print(&failed_in_directory(&path));
            }
        });
    }
    while clients.join_next().await.is_some() {}
    Ok(())
}
