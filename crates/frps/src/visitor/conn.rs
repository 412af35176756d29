//! One visitor's stream: check it, answer, hand it to the proxy.

use std::sync::Arc;

use frp_proto::msg::{NewVisitorConn, NewVisitorConnResp};
use frp_proto::wire::{Framing, WireVersion};
use frp_stream::message::write_message_in;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::table::{Admitted, Refusal};
use crate::accept::Inbound;
use crate::control::LookupError;
use crate::core::Core;
use crate::first_message::{ANSWER_TIMEOUT, refuse};
use crate::stranger::Stranger;

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
    wire: WireVersion,
    stranger: &Stranger,
) {
    let Inbound { mut stream, peer, local } = inbound;
    let (Admitted { proxy, layers }, payload_framing) = match admit(core, &message, wire) {
        Ok(admitted) => admitted,
        Err(error) => {
            warn!("register visitor conn error: {error}");
            let error = core.told("register visitor conn error", &error);
            let answer = NewVisitorConnResp { proxy_name: message.proxy_name, error };
            return refuse(stream, wire, answer).await;
        }
    };
    stranger.connection.identified();
    let answer = NewVisitorConnResp { proxy_name: message.proxy_name, error: String::new() };
    let answer = answer.into();
    match timeout(ANSWER_TIMEOUT, write_message_in(&mut stream, wire.into(), &answer)).await {
        Ok(Ok(())) => proxy.serve_visitor(layers.apply(stream), peer, local, payload_framing),
        Ok(Err(error)) => debug!("write NewVisitorConnResp: {error}"),
        Err(_) => debug!("write NewVisitorConnResp: i/o timeout"),
    }
}

/// The visitor's user is that of the session it names; clients before v0.50.0 name none, and then it is nobody.
///
/// Its datagrams look as its stream does. What its session has agreed on beyond that only counts if the stream is of the
/// same version.
fn admit(
    core: &Core,
    message: &NewVisitorConn,
    wire: WireVersion,
) -> Result<(Admitted, Framing), VisitorError> {
    if message.run_id.is_empty() {
        return Ok((core.visitors.admit(message, "")?, wire.into()));
    }
    let control = core.registry.running(&message.run_id)?;
    let payload_framing = match wire {
        WireVersion::V2 if control.wire == wire => control.payload_framing,
        _ => wire.into(),
    };
    Ok((core.visitors.admit(message, &control.client.user)?, payload_framing))
}
