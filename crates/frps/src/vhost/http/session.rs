//! A user's connection: one request after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use frp_http::body::{Body, Piece};
use frp_http::head::{MAX_REQUEST_HEAD, RequestHead, ResponseHead, empty_lines, find_end};
use frp_http::timer::Deadline;
use frp_http::{Conn, HeadError, content_type};
use frp_stream::Stream;
use tokio::time::{Instant, timeout};

use super::h2;
use super::plan::{Desk, Facts, Plan, plan};
use super::tunnel::{self, Tunnel};
use super::write::Reply;
use crate::core::{Core, WRITE_TIMEOUT};
use crate::vhost::not_found;

/// How long a head may take: the first from accept, later ones from their first byte. Upstream
/// `server/service.go`, `ReadHeaderTimeout`.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// What is read of a body that nobody wants, so that the connection can go on. Go `net/http/server.go`,
/// `maxPostHandlerReadBytes`.
pub(super) const UNWANTED: u64 = 256 << 10;
/// How long that may take.
const UNWANTED_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of a connection may take, and what is read of the user meanwhile: closing a connection with unread
/// bytes resets it, and a reset may destroy an answer that is under way.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 1 << 20;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// See the module.
pub(super) struct Session {
    pub(super) core: Arc<Core>,
    pub(super) user: Conn,
    pub(super) peer: SocketAddr,
    peer_text: String,
    request: RequestHead,
    pub(super) response: ResponseHead,
    /// The head for the backend, kept to be sent once more.
    pub(super) head: Vec<u8>,
    authority: Vec<u8>,
    pub(super) deadline: Deadline,
}

/// What follows a request.
pub(super) enum After {
    /// The next one.
    Next,
    /// The end, in good order.
    Close,
    /// The end at once: what was begun cannot be ended.
    Drop,
    /// Other bytes.
    Tunnel(Box<Tunnel>),
}

/// What comes in.
enum Incoming {
    /// A head of so many bytes.
    Head(usize),
    Http2,
    /// Nothing more.
    Nothing,
    Refused(HeadError),
}

impl Session {
    pub(super) fn new(core: Arc<Core>, stream: Stream, peer: SocketAddr) -> Self {
        Self {
            core,
            user: Conn::new(stream),
            peer,
            peer_text: peer.ip().to_string(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
            head: Vec::new(),
            authority: Vec::new(),
            deadline: Deadline::default(),
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        self.deadline.set(Some(Instant::now() + HEAD_TIMEOUT));
        let mut first = true;
        loop {
            let after = match self.incoming(first).await {
                Incoming::Head(length) => Box::pin(self.serve(length)).await,
                Incoming::Http2 => {
                    return Box::pin(h2::serve(self.core, self.user.into_stream(), self.peer)).await;
                }
                Incoming::Nothing => After::Drop,
                Incoming::Refused(error) => Box::pin(self.refuse(error)).await,
            };
            first = false;
            self.deadline.set(None);
            match after {
                After::Next => {}
                After::Close => return Box::pin(farewell(self.user)).await,
                After::Drop => return,
                After::Tunnel(tunnel) => return tunnel::run(&self.core, self.user, *tunnel).await,
            }
        }
    }

    /// Waits for a whole head. Holds no buffer before its first byte.
    async fn incoming(&mut self, first: bool) -> Incoming {
        let Self { user, deadline, .. } = self;
        let mut seen = 0;
        poll_fn(|cx| {
            loop {
                let empty = empty_lines(user.input());
                user.consume(empty);
                let input = user.input();
                if first && input.starts_with(b"PRI ") {
                    if input.starts_with(PREFACE) {
                        return Poll::Ready(Incoming::Http2);
                    }
                    if !PREFACE.starts_with(input) {
                        return Poll::Ready(Incoming::Refused(HeadError::Malformed));
                    }
                } else if let Some(end) = find_end(input, seen) {
                    let fits = end <= MAX_REQUEST_HEAD;
                    return Poll::Ready(if fits {
                        Incoming::Head(end)
                    } else {
                        Incoming::Refused(HeadError::TooLarge)
                    });
                } else if input.len() > MAX_REQUEST_HEAD {
                    return Poll::Ready(Incoming::Refused(HeadError::TooLarge));
                }
                seen = input.len();
                if seen > 0 && deadline.get().is_none() {
                    deadline.set(Some(Instant::now() + HEAD_TIMEOUT));
                }
                match user.poll_fill(cx) {
                    Poll::Ready(Ok(0)) if seen > 0 => {
                        return Poll::Ready(Incoming::Refused(HeadError::Malformed));
                    }
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Incoming::Nothing),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {
                        ready!(deadline.poll(cx));
                        return Poll::Ready(Incoming::Nothing);
                    }
                }
            }
        })
        .await
    }

    /// Serves the request whose head are the first `length` bytes of the user's input.
    async fn serve(&mut self, length: usize) -> After {
        self.deadline.set(None);
        let mut desk = Desk { head: &mut self.head, authority: &mut self.authority, peer: &self.peer_text };
        let bytes = self.user.input_mut().get_mut(..length).unwrap_or_default();
        let plan = plan(&self.core.http, &mut self.request, bytes, &mut desk);
        self.user.consume(length);
        match plan {
            Ok(Plan::Forward(facts, site)) => self.exchange(&facts, &site).await,
            Ok(Plan::Connect(site)) => self.connect(&site).await,
            Ok(Plan::ConnectNowhere) => self.connect_nowhere().await,
            Ok(Plan::NotFound(facts)) => self.not_found(&facts).await,
            Ok(Plan::Unauthorized(facts, for_proxy)) => self.unauthorized(&facts, for_proxy).await,
            Ok(Plan::Options(facts)) => self.answer(&facts, 200, &[], b"").await,
            Ok(Plan::Expectation) => {
                let reply = Reply { version: self.request.version(), keep: false };
                reply.answer(self.user.output(), 417, &[], b"", false);
                self.flush_then(After::Close).await
            }
            Err(error) => self.refuse(error).await,
        }
    }

    pub(super) async fn not_found(&mut self, facts: &Facts) -> After {
        let page = not_found::page(&self.core.settings.config.custom_404_page).await;
        let kind = content_type::detect(&page);
        self.answer(facts, 404, &[("Content-Type", kind)], &page).await
    }

    async fn unauthorized(&mut self, facts: &Facts, for_proxy: bool) -> After {
        const REALM: &str = "Basic realm=\"Restricted\"";
        let (status, name, body) = if for_proxy {
            (407, "Proxy-Authenticate", "Proxy Authentication Required\n")
        } else {
            (401, "Www-Authenticate", "Unauthorized\n")
        };
        let fields = [
            ("Content-Type", "text/plain; charset=utf-8"),
            (name, REALM),
            ("X-Content-Type-Options", "nosniff"),
        ];
        self.answer(facts, status, &fields, body.as_bytes()).await
    }

    /// Answers a request that goes to no backend, then reads its body.
    async fn answer(&mut self, facts: &Facts, status: u16, fields: &[(&str, &str)], body: &[u8]) -> After {
        let unread = Body::new(facts.framing);
        let keep = !facts.expects && unread.rest().0 <= UNWANTED;
        let reply = facts.reply(keep);
        reply.answer(self.user.output(), status, fields, body, facts.to_head);
        match self.flush_then(After::Next).await {
            After::Next if reply.keep => self.discard(unread, 0).await,
            After::Next => After::Close,
            failed => failed,
        }
    }

    /// Reads the rest of a body that nobody wants; `payload` bytes of it come before what `body` knows of.
    pub(super) async fn discard(&mut self, mut body: Body, payload: usize) -> After {
        self.user.consume(payload);
        if body.is_done() {
            return After::Next;
        }
        let user = &mut self.user;
        let all = timeout(UNWANTED_TIMEOUT, async {
            let mut left = UNWANTED;
            loop {
                let length = match body.next(user.input()).ok()? {
                    Piece::More => {
                        if user.fill().await.ok()? == 0 {
                            return None;
                        }
                        0
                    }
                    Piece::Framing(length) | Piece::Data(length) => length,
                    Piece::End { all, .. } => {
                        user.consume(all);
                        return Some(());
                    }
                };
                user.consume(length);
                left = left.checked_sub(length as u64)?;
            }
        });
        if matches!(all.await, Ok(Some(()))) { After::Next } else { After::Close }
    }

    /// Refuses what is no request.
    pub(super) async fn refuse(&mut self, error: HeadError) -> After {
        Reply::refusal(self.user.output(), error.status(), &error.to_string());
        self.flush_then(After::Close).await
    }

    /// Writes what waits, to a user that takes it in time.
    pub(super) async fn flush_then(&mut self, after: After) -> After {
        let flushed = timeout(WRITE_TIMEOUT, self.user.flush()).await;
        if matches!(flushed, Ok(Ok(()))) { after } else { After::Drop }
    }

    /// The host of the request, for logs.
    pub(super) fn host(&self) -> impl std::fmt::Display {
        self.authority.escape_ascii()
    }
}

/// Ends our direction and reads on until the user ends its own.
async fn farewell(mut user: Conn) {
    let _ = timeout(FAREWELL, async {
        user.shutdown().await?;
        let (start, _) = user.counts();
        loop {
            let waiting = user.input().len();
            user.consume(waiting);
            if user.fill().await? == 0 || user.counts().0 - start > FAREWELL_BYTES {
                return Ok::<_, std::io::Error>(());
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_user_that_does_not_take_an_answer_is_dropped() {
        // Refused, answered by us, and a tunnel to nobody.
        for request in [
            "nonsense\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
        ] {
            let (ours, mut user) = duplex(64);
            let session = Session::new(Core::for_tests(), Stream::boxed(ours), ([127, 0, 0, 1], 9).into());
            let start = Instant::now();
            let ((), ()) =
                tokio::join!(session.run(), async { user.write_all(request.as_bytes()).await.unwrap() });
            assert_eq!(start.elapsed(), WRITE_TIMEOUT, "{request}");
        }
    }
}
