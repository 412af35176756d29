//! The frp client.
//!
//! It keeps one session with a server, offers its proxies there, and on each request of the server dials a work
//! connection and splices it to a local service. It never listens for the world, and it decides nothing about who
//! may publish what: that is the server's part.
//!
//! Where a connection goes, in the order of its life:
//!
//! | module | holds |
//! | --- | --- |
//! | [`setup`] | from the configuration to everything below |
//! | `client` | log in, serve the session, log in again; owns everything |
//! | `backoff` | when to try again |
//! | `connector` | streams to the server, over each transport, and the only place that opens them |
//! | `login` | one login attempt |
//! | `control` | one session, and the table of its tasks |
//! | `work_conn` | one work connection, from the server's request to its proxy |
//! | `proxy` | the proxies of a session: phases, tcp (also stcp), udp, sudp |
//! | `health` | health checks of local services |
//! | `visitor` | local ports that lead to another client's service |
//!
//! Client plugins and the admin interface come later; a configuration that has them runs without.

#![forbid(unsafe_code)]

mod backoff;
mod client;
mod connector;
mod control;
mod health;
mod login;
mod proxy;
pub mod setup;
mod visitor;
mod work_conn;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use connector::ConnectError;
pub use frp_cli::{COMPATIBLE_VERSION, VERSION};
pub use login::LoginError;
pub use setup::{Setup, SetupError};

/// Why a client ended by itself. The texts are those that the original prints.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration asks for something that cannot be had.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The first login failed, and `loginFailExit` is on.
    #[error(
        "login to the server failed: {0}. With loginFailExit enabled, no additional retries will be attempted"
    )]
    Login(#[from] LoginError),
}

/// Runs one client until `shutdown` is cancelled; it ends within a second of that. The logger is the caller's, and
/// so is `shutdown`: this client's own end does not cancel it.
///
/// # Errors
/// The configuration cannot be run, or the first login failed and that is final.
pub async fn run(setup: Setup, shutdown: CancellationToken) -> Result<(), RunError> {
    info!("frpc {VERSION}, compatible with frp {COMPATIBLE_VERSION}");
    let file = setup.config_file.clone();
    if let Some(file) = &file {
        info!("start frpc service for config file [{file}] with aggregated configuration");
    }
    let result = set_up_and_run(setup, &shutdown).await;
    if let Some(file) = &file {
        info!("frpc service for config file [{file}] stopped");
    }
    result
}

async fn set_up_and_run(setup: Setup, shutdown: &CancellationToken) -> Result<(), RunError> {
    // The set-up may wait for a program that gives the token. Boxed, as it holds the whole configuration.
    let client = Box::pin(setup.into_client(shutdown.child_token()));
    match shutdown.run_until_cancelled(client).await {
        Some(client) => Ok(client?.run().await?),
        None => Ok(()),
    }
}
