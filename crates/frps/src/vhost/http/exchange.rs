//! A request on its way to a backend, and the response on its way back.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use frp_http::framing::{self, Framing};
use frp_http::head::{MAX_RESPONSE_HEAD, Version, find_end};
use frp_http::pump::{Outgoing, PumpError};
use frp_http::timer::Deadline;
use frp_http::{Conn, HeadError, Name, Pump, content_type};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::backend::Backend;
use super::plan::Facts;
use super::session::{After, Session, UNWANTED};
use super::site::{Member, Site};
use super::tunnel::Tunnel;
use super::write::{Reply, ResponseBody};

/// How long a user that sends no more of its body keeps a request alive, at least. The original waits for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a backend may take to say `100 Continue` before we do.
const CONTINUE_AFTER: Duration = Duration::from_millis(250);
/// How long the first bytes of a body may hold up its head, where what it is has to be told by them.
const SNIFF_TIMEOUT: Duration = Duration::from_millis(200);
/// How long a user may take to take what came before its backend failed.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// Of what a user sends meanwhile, no more is read.
const READ_AHEAD: usize = 32 * 1024;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The user is gone.
    #[error("the user is gone")]
    User,
    /// The user's body is malformed or not complete.
    #[error("malformed request body")]
    Body,
    #[error("timeout awaiting response headers")]
    Timeout,
    #[error("EOF")]
    Eof,
    #[error("malformed HTTP response: {0}")]
    Malformed(HeadError),
    #[error("backend tried to switch to another protocol than the user asked for")]
    Upgrade,
    #[error(transparent)]
    Io(io::Error),
}

/// A final response whose head has come.
struct Response {
    /// The head are the first bytes of its input.
    backend: Backend,
    /// So many.
    length: usize,
    /// How the body ends.
    framing: Framing,
}

/// A request that is being sent.
struct Upload {
    pump: Pump,
    /// Everything was sent, or the backend takes no more.
    over: bool,
    /// The backend took everything.
    whole: bool,
    /// Nothing of the body is read before somebody has said `100 Continue`.
    held: Option<Deadline>,
    /// Somebody has.
    told: bool,
}

impl Upload {
    fn new(facts: &Facts) -> Self {
        let outgoing = if facts.framing == Framing::Chunked { Outgoing::Chunked } else { Outgoing::Plain };
        let held = facts.expects.then(|| {
            let mut deadline = Deadline::default();
            deadline.set(Some(Instant::now() + CONTINUE_AFTER));
            deadline
        });
        Self { pump: Pump::new(facts.framing, outgoing), over: false, whole: false, held, told: false }
    }

    /// Sends what there is to send, and else looks whether the user is still there.
    fn poll(&mut self, cx: &mut Context<'_>, user: &mut Conn, backend: &mut Conn) -> Result<(), Failure> {
        if !self.over && self.held.is_some() {
            self.hold(cx, user, backend)?;
        }
        if !self.over && self.held.is_none() {
            match self.pump.poll(cx, user, backend) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => (self.over, self.whole) = (true, true),
                Poll::Ready(Err(PumpError::Source(_))) => return Err(Failure::User),
                // Its answer may be there all the same.
                Poll::Ready(Err(PumpError::Sink(_))) => self.over = true,
                Poll::Ready(Err(PumpError::Body(_) | PumpError::Gzip(_))) => return Err(Failure::Body),
            }
        }
        if self.over || self.held.is_some() {
            watch(cx, user)?;
        }
        Ok(())
    }

    fn hold(&mut self, cx: &mut Context<'_>, user: &mut Conn, backend: &mut Conn) -> Result<(), Failure> {
        if let Poll::Ready(Err(_)) = backend.poll_flush(cx) {
            self.over = true;
        }
        watch(cx, user)?;
        let waits = user.input().is_empty() && !user.has_ended();
        if !waits || self.held.as_mut().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
            Reply::go_on(user.output());
            self.held = None;
            self.told = true;
        }
        Ok(())
    }
}

/// Notices a user that fails, and reads a little of what it sends already. Its end is not the end of the exchange.
fn watch(cx: &mut Context<'_>, user: &mut Conn) -> Result<(), Failure> {
    while user.input().len() < READ_AHEAD {
        match user.poll_fill(cx) {
            Poll::Ready(Ok(0)) | Poll::Pending => break,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(_)) => return Err(Failure::User),
        }
    }
    Ok(())
}

impl Session {
    /// Sends a request to its site, brings back the response, and does with both connections what is due.
    pub(super) async fn exchange(&mut self, facts: &Facts, site: &Arc<Site>) -> After {
        let Some(member) = site.next() else { return self.not_found(facts).await };
        let mut may_reuse = true;
        loop {
            let reused = if may_reuse { member.pool.take() } else { None };
            let is_reused = reused.is_some();
            let mut backend = match reused {
                Some(backend) => backend,
                None => match Backend::dial(&member, self.peer).await {
                    Ok(backend) => backend,
                    Err(error) => {
                        warn!("do http proxy request [host: {}] error: {error}", self.host());
                        return self.not_found(facts).await;
                    }
                },
            };
            let before = backend.conn.counts();
            backend.conn.output().extend_from_slice(&self.head);
            let mut upload = Upload::new(facts);
            let failure = match self.response_head(&mut backend.conn, &mut upload, facts).await {
                Ok(length) => match self.examine(&mut backend.conn, length, facts) {
                    Ok(framing) => {
                        let response = Response { backend, length, framing };
                        return self.deliver(facts, (site, &member), response, upload).await;
                    }
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            let after = backend.conn.counts();
            let silent = after.0 == before.0;
            let untouched = after.1 == before.1;
            backend.abandon();
            let broken = matches!(failure, Failure::Eof | Failure::Io(_));
            if is_reused
                && broken
                && silent
                && facts.framing == Framing::None
                && (facts.idempotent || untouched)
            {
                may_reuse = false;
                continue;
            }
            return self.fail(facts, &failure, &upload).await;
        }
    }

    /// Tells the user of a request that got no response.
    async fn fail(&mut self, facts: &Facts, failure: &Failure, upload: &Upload) -> After {
        match failure {
            Failure::User => return After::Drop,
            Failure::Body => return self.refuse(HeadError::Malformed).await,
            _ => warn!("do http proxy request [host: {}] error: {failure}", self.host()),
        }
        // Who is still sending its body has to see that nobody reads it.
        let sent = upload.pump.rest() == (0, true) && upload.held.is_none();
        let facts =
            Facts { keep: facts.keep && sent, expects: false, framing: Framing::None, ..facts.clone() };
        if matches!(failure, Failure::Timeout) {
            return self.gateway_timeout(&facts).await;
        }
        self.not_found(&facts).await
    }

    async fn gateway_timeout(&mut self, facts: &Facts) -> After {
        let reply = facts.reply(true);
        reply.answer(self.user.output(), 504, &[], b"", facts.to_head);
        let after = if reply.keep { After::Next } else { After::Close };
        self.flush_then(after).await
    }

    /// Sends the request and waits for the head of the final response, which is then what the backend's input begins
    /// with. Interim responses are passed on.
    async fn response_head(
        &mut self,
        backend: &mut Conn,
        upload: &mut Upload,
        facts: &Facts,
    ) -> Result<usize, Failure> {
        let patience = self.core.settings.vhost_http_timeout;
        let while_sending = if facts.expects { patience } else { patience.max(BODY_TIMEOUT) };
        self.deadline.set(Some(Instant::now() + while_sending));
        let mut clock = Some(upload.pump.moved());
        loop {
            let Self { user, deadline, .. } = self;
            let mut seen = 0;
            let length = poll_fn(|cx| {
                upload.poll(cx, user, backend)?;
                if let Some(moved) = clock {
                    if upload.over {
                        clock = None;
                        deadline.set(Some(Instant::now() + patience));
                    } else if upload.pump.moved() != moved {
                        clock = Some(upload.pump.moved());
                        deadline.set(Some(Instant::now() + patience.max(BODY_TIMEOUT)));
                    }
                }
                // Whoever does not take the interim responses so far gets no more of them.
                match user.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::User)),
                    Poll::Pending => return deadline.poll(cx).map(|()| Err(Failure::User)),
                }
                match poll_head(cx, backend, &mut seen) {
                    Poll::Pending => deadline.poll(cx).map(|()| Err(Failure::Timeout)),
                    done => done,
                }
            })
            .await?;
            let head = backend.input_mut().get_mut(..length).unwrap_or_default();
            self.response.parse(head).map_err(Failure::Malformed)?;
            let status = self.response.status();
            if status == 101 || status >= 200 {
                return Ok(length);
            }
            // Once is enough.
            let again = status == 100 && upload.told;
            if status == 100 {
                upload.told = true;
                upload.held = None;
            }
            if facts.version == Version::Http11 && !(again && facts.expects) {
                facts.reply(true).interim(self.user.output(), (&self.response, &*head));
            }
            backend.consume(length);
        }
    }

    /// Whether a final response can be passed on, and how its body ends.
    fn examine(&self, backend: &mut Conn, length: usize, facts: &Facts) -> Result<Framing, Failure> {
        let head = backend.input().get(..length).unwrap_or_default();
        let framing =
            framing::of_response(&self.response, head, facts.to_head).map_err(Failure::Malformed)?;
        if self.response.status() == 101 {
            let theirs = self.response.fields().get(head, Name::Upgrade);
            let agree = matches!((&facts.upgrade, theirs), (Some(ours), Some(theirs)) if ours.eq_ignore_ascii_case(theirs));
            if !agree {
                return Err(Failure::Upgrade);
            }
        }
        Ok(framing)
    }

    /// Passes on a final response to a request of which a rest may still be under way.
    async fn deliver(
        &mut self,
        facts: &Facts,
        (site, member): (&Site, &Member),
        response: Response,
        mut upload: Upload,
    ) -> After {
        let Response { mut backend, length, framing } = response;
        if self.response.status() == 101 {
            let head = backend.conn.input().get(..length).unwrap_or_default();
            facts.reply(true).switching(self.user.output(), (&self.response, head), &site.policy);
            backend.conn.consume(length);
            self.deadline.set(None);
            return self.flush_then(After::Tunnel(Box::new(Tunnel::new(backend)))).await;
        }
        let plain = facts.asks_gzip && framing != Framing::None && self.is_gzip(&backend.conn, length);
        let told = matches!(framing, Framing::Length(_)) && !plain;
        let kind =
            if told { self.sniff(&mut backend.conn, &mut upload, length, framing).await } else { None };
        let head = backend.conn.input().get(..length).unwrap_or_default();
        let open_end = framing != Framing::None && !told;
        let chunked = open_end && facts.version == Version::Http11;
        let backend_stays = self.backend_stays(head, framing);
        let (unread, _) = upload.pump.rest();
        let goes_on = (!open_end || chunked) && unread <= UNWANTED && upload.held.is_none();
        let reply = facts.reply(goes_on);
        let body = ResponseBody { chunked, plain, kind };
        reply.response(self.user.output(), (&self.response, head), &body, &site.policy);
        backend.conn.consume(length);
        let mut pump = Pump::new(framing, if chunked { Outgoing::Chunked } else { Outgoing::Plain });
        if plain {
            pump = pump.gunzipping();
        }
        if let Err(failure) = self.response_body(&mut backend.conn, &mut upload, &mut pump).await {
            // The user must not take what it got for the whole.
            backend.abandon();
            if !matches!(failure, Failure::User) {
                let _ = timeout(LAST_BYTES, self.user.flush()).await;
            }
            return After::Drop;
        }
        backend.settle();
        if backend_stays && upload.whole && backend.conn.is_flushed() && backend.conn.input().is_empty() {
            member.pool.put(backend);
        } else {
            backend.abandon();
        }
        if !reply.keep {
            // Who has said that this is the last request sends no more that could reset the answer.
            let said_so = !facts.keep && upload.pump.is_finished() && self.user.input().is_empty();
            return if said_so { After::Drop } else { After::Close };
        }
        if upload.pump.is_finished() {
            return After::Next;
        }
        let (body, payload) = upload.pump.into_rest();
        self.discard(body, payload).await
    }

    fn is_gzip(&self, backend: &Conn, length: usize) -> bool {
        let head = backend.input().get(..length).unwrap_or_default();
        let encoding = self.response.fields().get(head, Name::ContentEncoding);
        encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"gzip"))
    }

    /// Whether the backend's connection can be used again once the body was read.
    fn backend_stays(&self, head: &[u8], framing: Framing) -> bool {
        let says = |token: &[u8]| self.response.fields().has_token(head, Name::Connection, token);
        let keeps = match self.response.version() {
            Version::Http10 => says(b"keep-alive"),
            Version::Http11 => !says(b"close"),
        };
        keeps && framing != Framing::UntilClose
    }

    /// What the body is by its first bytes, where the head does not say it. Go `net/http/server.go`.
    async fn sniff(
        &mut self,
        backend: &mut Conn,
        upload: &mut Upload,
        length: usize,
        framing: Framing,
    ) -> Option<&'static str> {
        let fields = self.response.fields();
        let Framing::Length(body) = framing else { return None };
        if fields.has(Name::ContentType) || fields.has(Name::ContentEncoding) {
            return None;
        }
        let wanted = usize::try_from(body).map_or(content_type::SNIFF, |body| body.min(content_type::SNIFF));
        let Self { user, deadline, .. } = self;
        deadline.set(Some(Instant::now() + SNIFF_TIMEOUT));
        poll_fn(|cx| {
            while backend.input().len() < length + wanted {
                match backend.poll_fill(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {
                        let lost = upload.poll(cx, user, backend).is_err();
                        return if lost { Poll::Ready(()) } else { deadline.poll(cx) };
                    }
                }
            }
            Poll::Ready(())
        })
        .await;
        let bytes = backend.input().get(length..).unwrap_or_default();
        Some(content_type::detect(bytes.get(..wanted).unwrap_or(bytes)))
    }

    /// Moves the body of a response, and what is left of the request's. A user that has ended its direction gets the
    /// rest as long as something moves.
    async fn response_body(
        &mut self,
        backend: &mut Conn,
        upload: &mut Upload,
        pump: &mut Pump,
    ) -> Result<(), Failure> {
        let half_close = self.core.settings.half_close_timeout;
        let Self { user, deadline, .. } = self;
        deadline.set(None);
        let mut moved = 0;
        poll_fn(|cx| {
            match pump.poll(cx, backend, user) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(PumpError::Sink(_))) => return Poll::Ready(Err(Failure::User)),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::Eof)),
                Poll::Pending => {}
            }
            upload.poll(cx, user, backend)?;
            if user.has_ended() && (deadline.get().is_none() || pump.moved() != moved) {
                moved = pump.moved();
                deadline.set(Some(Instant::now() + half_close));
            }
            deadline.poll(cx).map(|()| Err(Failure::User))
        })
        .await
    }
}

/// Reads until the backend's input begins with a whole head. What cannot become one is told at once.
fn poll_head(cx: &mut Context<'_>, backend: &mut Conn, seen: &mut usize) -> Poll<Result<usize, Failure>> {
    const START: &[u8] = b"HTTP/";
    loop {
        let input = backend.input();
        let start = input.len().min(START.len());
        if input.get(..start) != START.get(..start) {
            return Poll::Ready(Err(Failure::Malformed(HeadError::Malformed)));
        }
        let end = find_end(input, *seen);
        *seen = input.len();
        match end {
            Some(end) if end <= MAX_RESPONSE_HEAD => return Poll::Ready(Ok(end)),
            None if *seen <= MAX_RESPONSE_HEAD => {}
            _ => return Poll::Ready(Err(Failure::Malformed(HeadError::TooLarge))),
        }
        match backend.poll_fill(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::Eof)),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Io(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use frp_stream::Stream;
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::core::Core;

    #[tokio::test(start_paused = true)]
    async fn interim_responses_that_a_user_does_not_read_are_left_with_the_backend() {
        const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
        let (near_user, _user) = duplex(64);
        let (near_backend, mut service) = duplex(1024);
        let core = Core::for_tests();
        let mut session = Session::new(core, Stream::boxed(near_user), ([127, 0, 0, 1], 9).into());
        let mut backend = Conn::new(Stream::boxed(near_backend));
        let facts = Facts {
            version: Version::Http11,
            keep: true,
            to_head: false,
            framing: Framing::None,
            expects: false,
            upgrade: None,
            idempotent: true,
            asks_gzip: false,
        };
        let mut upload = Upload::new(&facts);
        let head = session.response_head(&mut backend, &mut upload, &facts);
        let stream = async {
            for _ in 0..10_000 {
                service.write_all(HINTS).await.unwrap();
            }
        };
        let head = tokio::select! {
            head = head => head,
            () = stream => panic!("all of them were taken"),
        };
        assert!(matches!(head, Err(Failure::User)));
        assert!(backend.counts().0 < 100 * 1024, "{}", backend.counts().0);
    }
}
