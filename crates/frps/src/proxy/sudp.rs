//! `sudp`: a UDP service that visitors reach who know its secret. Upstream `server/proxy/sudp.go`.
//!
//! Datagrams are messages between the two clients. While they look the same on both sides nobody looks into them
//! here: a visitor's stream is joined with a work connection like that of stcp. Otherwise `crate::sudp_bridge` translates.

use frp_config::proxy::SudpProxy;
use tracing::info;

use super::{Running, StartError};
use crate::visitor::Terms;

/// Lets visitors in. There is no public address; `owner` is the user of the proxy's client.
pub(super) fn listen(running: &mut Running, config: &SudpProxy, owner: &str) -> Result<String, StartError> {
    running.let_visitors_in(Terms::new(&config.secret_key, &config.allow_users, owner))?;
    info!("sudp proxy custom listen success");
    Ok(String::new())
}
