//! `stcp`: a TCP service that visitors reach who know its secret. Upstream `server/proxy/stcp.go`.

use frp_config::proxy::StcpProxy;
use tracing::info;

use super::{Running, StartError};
use crate::visitor::Terms;

/// Lets visitors in. There is no public address; `owner` is the user of the proxy's client.
pub(super) fn listen(running: &mut Running, config: &StcpProxy, owner: &str) -> Result<String, StartError> {
    running.let_visitors_in(Terms::new(&config.secret_key, &config.allow_users, owner))?;
    info!("stcp proxy custom listen success");
    Ok(String::new())
}
