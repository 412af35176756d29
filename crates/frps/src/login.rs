//! Logging a client in. Upstream `server/service.go`, `RegisterControl`.

use std::sync::Arc;

use frp_proto::exchange::Channel as Exchanged;
use frp_proto::exchange::server::{LoginReply, NotNegotiated};
use frp_proto::msg::Login;
use frp_stream::message::session_channel;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error_span, info, warn};

use crate::COMPATIBLE_VERSION;
use crate::accept::Inbound;
use crate::control::{
    Channel, Client, Control, Handle, Outbound, Queued, Registration, RegistryError, WorkPool,
};
use crate::core::Core;
use crate::first_message::ANSWER_TIMEOUT;
use crate::ids::RunId;
use crate::stranger::{ProofError, Stranger};

/// Why a login is refused. The texts reach clients.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    NotNegotiated(#[from] NotNegotiated),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The answer would be longer than a message may be: the client brought an enormous run id.
    #[error("unexpected error when creating new controller")]
    Answer,
}

/// A login, and what its answer depends on.
struct Attempt<'a> {
    login: &'a Login,
    run_id: RunId,
    /// Gives lines the run id.
    span: Span,
    reply: LoginReply,
}

/// A login that was accepted and not yet answered.
struct Accepted {
    registration: Registration,
    pool_count: usize,
    outbound: Outbound,
    queued: mpsc::Receiver<Queued>,
    /// The answer, in clear, and what the stream becomes behind it.
    answer: Vec<u8>,
    channel: Exchanged,
}

/// Answers a login and, if it is good, starts the control in a task of the server.
pub(crate) async fn serve(
    core: Arc<Core>,
    inbound: Inbound,
    login: Login,
    reply: LoginReply,
    stranger: &Stranger,
) {
    let run_id = RunId::from_login(&login.run_id);
    let span = error_span!("control", run_id = %run_id);
    log_login(&span, &inbound, &login);
    let mut stream = inbound.stream;
    let attempt = Attempt { login: &login, run_id, span: span.clone(), reply: reply.clone() };
    let accepted = match accept(&core, attempt, stranger).await {
        Ok(accepted) => accepted,
        Err(error) => {
            warn!("register control error: {error}");
            let told = core.told("register control error", &error);
            return refuse(stream, reply, &told).await;
        }
    };
    if let Err(error) = write(&mut stream, &accepted.answer).await {
        return warn!("complete control login error: {error}");
    }
    let (reader, writer) = session_channel(stream, &accepted.channel);
    let control =
        Control::new(Arc::clone(&core), accepted.pool_count, accepted.outbound, accepted.registration);
    core.tasks.spawn(control.run(Channel { reader, writer }, accepted.queued).instrument(span));
}

fn log_login(span: &Span, inbound: &Inbound, login: &Login) {
    let Login { version, hostname, os, arch, .. } = login;
    let peer = inbound.peer;
    // Whoever can connect can cause this line, so it takes part in the flood limit.
    info!(
        target: frp_log::PEER,
        parent: span,
        "client login info: ip [{peer}] version [{version}] hostname [{hostname}] os [{os}] arch [{arch}]"
    );
}

/// Checks the login and makes it the current one of its run id; waits until the one before has gone.
async fn accept(core: &Arc<Core>, attempt: Attempt<'_>, stranger: &Stranger) -> Result<Accepted, LoginError> {
    let Attempt { login, run_id, span, reply } = attempt;
    reply.check()?;
    let identity = stranger.proves(core.auth.verify_login(login)).await?;
    let secret = core.auth.encryption_secret().as_bytes();
    let (wire, payload_framing) = (reply.wire(), reply.payload_framing(&login.version));
    let (answer, channel) =
        reply.accept(COMPATIBLE_VERSION, run_id.as_str(), secret).map_err(|_| LoginError::Answer)?;

    let pool_count = pool_count(login.pool_count, core.settings.max_pool_count);
    let stop = core.stop.child_token();
    let (outbound, queued) = Outbound::new(stop.clone());
    let pool = WorkPool::new(pool_count, core.settings.user_conn_timeout, outbound.clone(), span.clone());
    let registration = core.registry.add(Handle {
        run_id,
        client: Client { user: login.user.clone(), client_id: login.client_id.clone() },
        identity,
        pool,
        payload_framing,
        wire,
        stop,
        finished: CancellationToken::new(),
        span,
    })?;
    registration.handed_over().await?;
    registration.activate()?;
    // Before the answer leaves, because the client's first work connection may come right behind it.
    registration.start()?;
    Ok(Accepted { registration, pool_count, outbound, queued, answer, channel })
}

/// What the client wishes, within what the operator allows; a negative number wishes none.
fn pool_count(wished: i64, allowed: i64) -> usize {
    usize::try_from(wished.min(allowed)).unwrap_or(0)
}

async fn refuse(mut stream: frp_stream::Stream, reply: LoginReply, error: &str) {
    let answer = match reply.refuse(COMPATIBLE_VERSION, error) {
        Ok(answer) => answer,
        Err(error) => return debug!("login error response: {error}"),
    };
    if let Err(error) = write(&mut stream, &answer).await {
        return warn!("write login error response error: {error}");
    }
    let _ = timeout(ANSWER_TIMEOUT, stream.shutdown()).await;
}

async fn write(stream: &mut frp_stream::Stream, answer: &[u8]) -> std::io::Result<()> {
    let write = async {
        stream.write_all(answer).await?;
        stream.flush().await
    };
    timeout(ANSWER_TIMEOUT, write).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_count_of_a_client_is_clamped() {
        assert_eq!(pool_count(1, 5), 1);
        assert_eq!(pool_count(9, 5), 5);
        assert_eq!(pool_count(-1, 5), 0);
        assert_eq!(pool_count(i64::MIN, 5), 0);
        assert_eq!(pool_count(i64::MAX, 5), 5);
        assert_eq!(pool_count(3, -1), 0);
    }
}
