//! The `frps` program: command line, log, runtime, then [`frps::run`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

use frp_cli::Exit;
use frp_cli::frps::ServerRun;
use frp_config::LoadOptions;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.print(),
    }
}

fn start() -> Result<(), Exit> {
    let command = frp_cli::frps::parse(std::env::args_os())?;
    let ServerRun { config, config_file, notices } = command.prepare(&LoadOptions::from_process())?;
    frp_log::print(&notices);
    let _drains_at_the_end = frp_log::init(&frp_cli::log_options(&config.log)).map_err(Exit::failure)?;
    // Where the system refuses, there are as many files as there are.
    let _ = frp_net::open_files::raise();
    frp_net::resident::prepare();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::failure(format_args!("build the runtime: {error}")))?;
    let ended = runtime.block_on(frps::run(&config, config_file.as_deref()));
    // Nothing that is left needs waiting for.
    runtime.shutdown_background();
    ended.map_err(Exit::failure)
}
