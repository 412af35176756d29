//! What the program does from its first log line on.

use std::io;

use frp_config::{ServerConfig, unbuilt};
use frp_net::resident::{self, Milestone};
use frp_net::sd_notify;
use frp_net::signal::Shutdown;
use tracing::{debug, info, warn};

use crate::{BindError, COMPATIBLE_VERSION, Server, VERSION};

/// Why the server did not run. The texts are printed before the program exits with status 1.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration names what guards a door and is not built; running without it would leave the door open.
    #[error("{0}")]
    Unbuilt(String),
    /// Something could not be loaded or bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refuses signal handlers.
    #[error("handle signals: {0}")]
    Signals(#[source] io::Error),
}

/// Runs the server until SIGINT or SIGTERM, and ends within a second of it. `config` is completed and checked;
/// `config_file` is its path as the user gave it, if it comes from one. The logger is the caller's.
///
/// # Errors
/// When the server cannot start.
pub async fn run(config: &ServerConfig, config_file: Option<&str>) -> Result<(), RunError> {
    info!("frps {VERSION}, compatible with frp {COMPATIBLE_VERSION}");
    match config_file {
        Some(file) => info!("frps uses config file: {file}"),
        None => info!("frps uses command line arguments for config"),
    }
    refuse_what_is_unbuilt(config)?;
    let mut shutdown = Shutdown::new().map_err(RunError::Signals)?;
    // Asking an issuer takes its time.
    let server = tokio::select! {
        server = Box::pin(Server::bind(config)) => server?,
        () = shutdown.requested() => return Ok(()),
    };
    let stop = server.stop_token();
    info!("frps started successfully");
    tell_manager("READY", sd_notify::ready());
    resident::passed(Milestone::Ready);
    let told = async {
        shutdown.requested().await;
        tell_manager("STOPPING", sd_notify::stopping());
        stop.cancel();
    };
    tokio::join!(server.run(), told);
    Ok(())
}

fn refuse_what_is_unbuilt(config: &ServerConfig) -> Result<(), RunError> {
    let findings = unbuilt::server(config);
    for warning in &findings.warnings {
        warn!("{warning}");
    }
    if findings.errors.is_empty() {
        return Ok(());
    }
    let errors: Vec<String> = findings.errors.iter().map(ToString::to_string).collect();
    Err(RunError::Unbuilt(errors.join("\n")))
}

/// That nobody listens is no reason not to serve.
fn tell_manager(what: &str, told: io::Result<bool>) {
    if let Err(error) = told {
        debug!("tell the service manager {what}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_guards_a_door_and_is_not_built_stops_the_program() {
        let mut config = ServerConfig::default();
        config.http_plugins.push(frp_config::server::HttpPluginOptions::default());
        config.complete();
        let error = run(&config, None).await.unwrap_err().to_string();
        assert_eq!(error, "httpPlugins is not supported yet by this version");
    }

    #[test]
    fn what_only_shows_things_does_not() {
        let mut config = ServerConfig::default();
        config.web_server.port = 7500;
        config.complete();
        assert!(refuse_what_is_unbuilt(&config).is_ok());
    }
}
