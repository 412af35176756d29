//! One visitor's stream: check it, answer, hand it to the proxy.

use std::sync::Arc;

use frp_proto::msg::{NewVisitorConn, NewVisitorConnResp};
use frp_stream::message::write_message;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::table::{Admitted, Refusal};
use crate::accept::{Connection, Inbound};
use crate::control::LookupError;
use crate::core::Core;
use crate::first_message::{ANSWER_TIMEOUT, refuse};

/// Why a visitor gets nowhere. The texts reach clients.
#[derive(Debug, thiserror::Error)]
enum VisitorError {
    #[error(transparent)]
    Control(#[from] LookupError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Serves a stream whose first message is `message`. The user connection that it becomes has a task of its own.
pub(crate) async fn serve(
    core: &Arc<Core>,
    inbound: Inbound,
    message: NewVisitorConn,
    connection: &Connection,
) {
    let Inbound { mut stream, peer, local } = inbound;
    let Admitted { proxy, layers } = match admit(core, &message) {
        Ok(admitted) => admitted,
        Err(error) => {
            warn!("register visitor conn error: {error}");
            let error = core.told("register visitor conn error", &error);
            let answer = NewVisitorConnResp { proxy_name: message.proxy_name, error };
            return refuse(stream, answer).await;
        }
    };
    connection.identified();
    let answer = NewVisitorConnResp { proxy_name: message.proxy_name, error: String::new() };
    match timeout(ANSWER_TIMEOUT, write_message(&mut stream, &answer.into())).await {
        Ok(Ok(())) => proxy.serve_user(layers.apply(stream), peer, local),
        Ok(Err(error)) => debug!("write NewVisitorConnResp: {error}"),
        Err(_) => debug!("write NewVisitorConnResp: i/o timeout"),
    }
}

/// The visitor's user is that of the session it names; clients before v0.50.0 name none, and then it is nobody.
fn admit(core: &Core, message: &NewVisitorConn) -> Result<Admitted, VisitorError> {
    if message.run_id.is_empty() {
        return Ok(core.visitors.admit(message, "")?);
    }
    let control = core.registry.running(&message.run_id)?;
    Ok(core.visitors.admit(message, &control.client.user)?)
}
