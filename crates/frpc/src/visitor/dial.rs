//! A stream to a proxy of another client, through the server (upstream `client/visitor/visitor.go`).

use std::time::Duration;

use frp_proto::digest::auth_key;
use frp_proto::msg::{Message, NewVisitorConn, NewVisitorConnResp};
use frp_stream::Stream;
use frp_stream::message::{ReadError, WriteError, read_message_in, write_first_message};
use thiserror::Error;
use tokio::time::timeout;

use super::Session;
use super::spec::Target;
use crate::connector::ConnectError;
use crate::login::unix_time;

/// How long the server may take to read the question.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer, as upstream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no way to the proxy.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("connect to server error: {0}")]
    Connect(#[from] ConnectError),
    #[error("send newVisitorConnMsg to server error: {0}")]
    Send(#[from] WriteError),
    #[error("send newVisitorConnMsg to server error: i/o timeout")]
    SendTimeout,
    #[error("read newVisitorConnRespMsg error: {0}")]
    Answer(#[from] ReadError),
    #[error("read newVisitorConnRespMsg error: got {0}")]
    Unexpected(&'static str),
    /// The server's words.
    #[error("start new visitor connection error: {0}")]
    Refused(String),
}

/// Opens a stream, asks for the proxy and puts the layers on. Whatever the proxy says comes after the answer.
pub(super) async fn dial(session: &Session, target: &Target) -> Result<Stream, DialError> {
    let mut stream = session.connection.open().await?.stream;
    let timestamp = unix_time();
    let message = NewVisitorConn {
        run_id: session.run_id.clone(),
        proxy_name: target.proxy_name.clone(),
        sign_key: auth_key(target.secret_key.expose().as_bytes(), timestamp),
        timestamp,
        use_encryption: target.layers.encryption.is_some(),
        use_compression: target.layers.compression,
    };
    let wire = session.shared.options.wire;
    timeout(WRITE_TIMEOUT, write_first_message(&mut stream, wire, &message.into()))
        .await
        .map_err(|_| DialError::SendTimeout)??;
    let answer = timeout(ANSWER_TIMEOUT, read_message_in(&mut stream, wire.into())).await;
    match answer.unwrap_or(Err(ReadError::Timeout))? {
        Message::NewVisitorConnResp(NewVisitorConnResp { error, .. }) if error.is_empty() => {
            Ok(target.layers.clone().apply(stream))
        }
        Message::NewVisitorConnResp(NewVisitorConnResp { error, .. }) => Err(DialError::Refused(error)),
        other => Err(DialError::Unexpected(other.kind().name())),
    }
}
