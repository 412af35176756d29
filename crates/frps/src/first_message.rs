//! What a stream is, by its first message: a control, a work or a visitor connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frp_proto::exchange::server::{AcceptError, FirstMessage, ServerAccept};
use frp_proto::msg::{Message, NewWorkConn, StartWorkConn};
use frp_proto::wire::WireVersion;
use frp_stream::Stream;
use frp_stream::message::write_message_in;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, warn};

use crate::accept::Inbound;
use crate::control::{Handle, WorkConn};
use crate::core::Core;
use crate::stranger::Stranger;
use crate::{farewell, login, visitor};

/// How long an answer to a first message may take to be written. Upstream `server/service.go`, `connWriteTimeout`.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no first message came.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Accept(#[from] AcceptError),
    #[error("EOF")]
    Eof,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The task of one stream until it belongs to somebody.
pub(crate) async fn serve(core: Arc<Core>, inbound: Inbound, stranger: Stranger) {
    let Inbound { mut stream, peer, local } = inbound;
    let first = tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        () = stranger.connection.evicted() => return,
        first = timeout_at(stranger.deadline, Box::pin(read(&mut stream))) => first,
    };
    let first = match first {
        Ok(Ok(first)) => first,
        Ok(Err(ReadError::Accept(AcceptError::Unexpected(_)))) => {
            stranger.connection.spoke();
            return warn!("error message type for the new connection [{peer}]");
        }
        Ok(Err(error)) => {
            let is_told = matches!(error, ReadError::Accept(AcceptError::Hello(_)));
            core.refusals.refused(peer, error);
            if is_told {
                // Behind its hello the client has sent its login already, and waits for ours.
                core.stop.run_until_cancelled(Box::pin(farewell::say(stream, &[]))).await;
            }
            return;
        }
        Err(_) => return core.refusals.refused(peer, "i/o timeout"),
    };
    stranger.connection.spoke();
    let inbound = Inbound { stream, peer, local };
    let answered = async {
        match first {
            FirstMessage::Login { login, reply } => {
                login::serve(Arc::clone(&core), inbound, *login, reply, &stranger).await;
            }
            FirstMessage::WorkConn { message, wire } => {
                work_conn(&core, inbound, &message, wire, &stranger).await;
            }
            FirstMessage::VisitorConn { message, wire } => {
                visitor::serve(&core, inbound, message, wire, &stranger).await;
            }
            other => debug!("a first message that nobody handles: {other:?}"),
        }
    };
    tokio::select! {
        biased;
        // Whoever still waits for an answer is closed without one: no refusal would be true, and a peer that does not
        // read must not hold the end up.
        () = core.stop.cancelled() => {}
        () = answered => {}
    }
}

/// Reads the first message; what came with it is put back.
async fn read(stream: &mut Stream) -> Result<FirstMessage, ReadError> {
    let mut accept = ServerAccept::new(rand::random());
    let mut buffer = [0; 512];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Err(ReadError::Eof);
        }
        let mut read = buffer.get(..length).unwrap_or_default();
        while !read.is_empty() {
            let outcome = accept.receive(read);
            let output = accept.take_output();
            if !output.is_empty() {
                // The client may wait for our hello before its login. Bounded by the deadline of the whole.
                stream.write_all(&output).await?;
                stream.flush().await?;
            }
            let (taken, first) = outcome?;
            read = read.get(taken..).unwrap_or_default();
            if let Some(first) = first {
                stream.put_back(Bytes::copy_from_slice(read));
                return Ok(first);
            }
        }
    }
}

/// Gives a work connection to the control that it names. Upstream `server/service.go`, `RegisterWorkConn`.
async fn work_conn(
    core: &Core,
    inbound: Inbound,
    message: &NewWorkConn,
    wire: WireVersion,
    stranger: &Stranger,
) {
    let Inbound { stream, peer, local } = inbound;
    let conn = WorkConn { stream, wire, peer, local };
    let (error, conn) = match admit(core, message, stranger).await {
        Err(error) => (error, Box::new(conn)),
        Ok(control) => match core.registry.put_work_conn(&control, conn) {
            Ok(()) => return control.span.in_scope(|| debug!("new work connection registered")),
            Err((error, conn)) => {
                control.span.in_scope(|| debug!("{error}"));
                (error.to_string(), conn)
            }
        },
    };
    let error = core.told("invalid NewWorkConn", &error);
    refuse(conn.stream, wire, StartWorkConn { error, ..StartWorkConn::default() }).await;
}

/// The running control that a work connection may join.
async fn admit(core: &Core, message: &NewWorkConn, stranger: &Stranger) -> Result<Arc<Handle>, String> {
    let run_id = &message.run_id;
    let control = core.registry.running(run_id).map_err(|error| {
        warn!("{error}");
        error.to_string()
    })?;
    let verified = core.auth.verify_new_work_conn(message, &control.identity);
    if let Err(error) = stranger.proves(verified).await {
        warn!("invalid NewWorkConn with run id [{run_id}]");
        return Err(error.to_string());
    }
    Ok(control)
}

/// Says why, then closes. A peer that does not take the answer is closed all the same.
pub(crate) async fn refuse(mut stream: Stream, wire: WireVersion, answer: impl Into<Message>) {
    let answer = answer.into();
    let _ = timeout(ANSWER_TIMEOUT, async {
        if let Err(error) = write_message_in(&mut stream, wire.into(), &answer).await {
            debug!("write {}: {error}", answer.kind().name());
        }
        let _ = stream.shutdown().await;
    })
    .await;
}

#[cfg(test)]
mod tests {
    use frp_auth::Identity;
    use frp_proto::crypto::Algorithm;
    use frp_proto::exchange::client::ClientLogin;
    use frp_proto::hello::{Bootstrap, ClientHello};
    use frp_proto::msg::{Login, NewVisitorConn};
    use frp_proto::wire::Framing;
    use frp_stream::message::write_message;
    use tokio::io::DuplexStream;
    use tokio::task::JoinSet;
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;
    use tracing::Span;

    use super::*;
    use crate::control::{Client, Outbound, WorkPool};
    use crate::ids::RunId;
    use crate::stranger::{Connection, FIRST_MESSAGE_TIMEOUT};

    /// Serves a connection that may be written `room` bytes that nobody reads.
    fn serving(core: &Arc<Core>, room: usize) -> (JoinSet<()>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(room);
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let inbound = Inbound { stream: Stream::boxed(theirs), peer: nowhere, local: nowhere };
        let connection = Connection::new(core.pending.admit(nowhere.ip()), None);
        let stranger = Stranger { connection, deadline: Instant::now() + FIRST_MESSAGE_TIMEOUT };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(Arc::clone(core), inbound, stranger));
        (tasks, ours)
    }

    fn control(run_id: &str) -> Handle {
        let stop = CancellationToken::new();
        let (outbound, _) = Outbound::new(stop.clone());
        Handle {
            run_id: RunId::from_login(run_id),
            client: Client { user: String::new(), client_id: String::new() },
            identity: Identity::default(),
            pool: WorkPool::new(1, Duration::from_secs(1), outbound, Span::none()),
            payload_framing: Framing::V1,
            wire: WireVersion::V1,
            stop,
            finished: CancellationToken::new(),
            span: Span::none(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_waits_for_its_predecessor_is_closed_without_an_answer_at_the_end() {
        let core = Core::for_tests();
        let predecessor = core.registry.add(control("r")).unwrap();
        let login = Login {
            run_id: "r".to_owned(),
            privilege_key: frp_proto::digest::auth_key(b"secret", 1),
            timestamp: 1,
            ..Login::default()
        };
        let (mut tasks, mut client) = serving(&core, 1 << 16);
        write_message(&mut client, &login.into()).await.unwrap();
        // Told to go by the login, which waits until it has gone.
        predecessor.handle().stop.cancelled().await;
        assert!(timeout(Duration::from_secs(1), tasks.join_next()).await.is_err());
        core.stop.cancel();
        core.registry.close();
        tasks.join_next().await.unwrap().unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        drop(predecessor);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_nobody_reads_does_not_hold_up_the_end() {
        let login = Message::from(Login::default());
        let work_conn = Message::from(NewWorkConn { run_id: "r".to_owned(), ..NewWorkConn::default() });
        let visitor_conn = Message::from(NewVisitorConn::default());
        for message in [login, work_conn, visitor_conn] {
            let core = Core::for_tests();
            let (mut tasks, mut client) = serving(&core, 1);
            write_message(&mut client, &message).await.unwrap();
            let start = Instant::now();
            assert!(timeout(Duration::from_secs(1), tasks.join_next()).await.is_err());
            core.stop.cancel();
            tasks.join_next().await.unwrap().unwrap();
            assert_eq!(start.elapsed(), Duration::from_secs(1));
        }
    }

    /// Closing a connection with unread bytes resets it, and the reset may destroy our hello, which says why.
    #[tokio::test(start_paused = true)]
    async fn a_login_behind_a_hello_that_agrees_on_nothing_is_read() {
        let core = Core::for_tests();
        let (mut tasks, mut client) = serving(&core, 1 << 16);
        let mut hello = ClientHello::new(Bootstrap::default(), Algorithm::ALL, [1; 32]);
        hello.capabilities.crypto.algorithms.clear();
        let (mut login, bytes) = ClientLogin::start_v2(Login::default(), b"secret", hello).unwrap();
        let (last, before) = bytes.split_last().unwrap();
        client.write_all(before).await.unwrap();
        let mut answer = [0; 512];
        let length = client.read(&mut answer).await.unwrap();
        let refused = login.receive(&answer[..length]).unwrap_err();
        assert_eq!(refused.to_string(), "no supported crypto algorithm");
        client.write_all(&[*last]).await.unwrap();
        assert_eq!(client.read(&mut answer).await.unwrap(), 0);
        drop(client);
        tasks.join_next().await.unwrap().unwrap();
    }
}
