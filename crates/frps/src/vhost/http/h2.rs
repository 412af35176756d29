//! HTTP/2 with prior knowledge: every stream becomes a connection of HTTP/1.1 with one request, which never leaves the
//! process and is served like any other. `Upgrade: h2c` is not for us: it is handled like any other upgrade.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use frp_http::Conn;
use frp_http::body::{Body, Piece};
use frp_http::framing;
use frp_http::head::{Fields, MAX_REQUEST_HEAD, MAX_RESPONSE_HEAD, ResponseHead, find_end, parse_trailers};
use frp_stream::Stream;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use super::write;
use crate::core::Core;

/// Streams at a time. The original's `SETTINGS_MAX_CONCURRENT_STREAMS`.
const STREAMS: u32 = 250;
/// What of a body may be under way between a stream and its connection.
const ROOM: usize = 16 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(core: Arc<Core>, stream: Stream, peer: SocketAddr) {
    let mut builder = http2::Builder::new(Tasks(Arc::clone(&core)));
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(MAX_REQUEST_HEAD).unwrap_or(u32::MAX));
    let service = service_fn(move |request| {
        let core = Arc::clone(&core);
        async move { Ok::<_, Infallible>(exchange(&core, request, peer).await) }
    });
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        debug!("http2 connection of [{peer}]: {error}");
    }
}

/// Streams are served in tasks of the server.
#[derive(Clone)]
struct Tasks(Arc<Core>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let stop = self.0.stop.clone();
        self.0.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }
}

async fn exchange(core: &Arc<Core>, request: Request<Incoming>, peer: SocketAddr) -> Response<StreamBody> {
    if request.method() == Method::CONNECT {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let (to_session, from_stream) = tokio::io::duplex(ROOM);
    let (from_session, to_stream) = tokio::io::duplex(ROOM);
    let joined = Stream::boxed(tokio::io::join(from_stream, to_stream));
    core.tasks.spawn(super::boxed_user(Arc::clone(core), joined, peer));
    let to_head = request.method() == Method::HEAD;
    let chunked = !request.body().is_end_stream() && !request.headers().contains_key(header::CONTENT_LENGTH);
    let head = request_head(&request, chunked);
    // The session must not see its user leave before the response is over.
    let over = CancellationToken::new();
    let sending = Sending { session: to_session, body: request.into_body(), chunked, over: over.clone() };
    Tasks(Arc::clone(core)).execute(sending.run(head));
    let over = over.drop_guard();
    response(Conn::new(Stream::boxed(from_session)), to_head, over)
        .await
        .unwrap_or_else(|| status(StatusCode::BAD_GATEWAY))
}

fn request_head(request: &Request<Incoming>, chunked: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let uri = request.uri();
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let fields = request.headers();
    let host = uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(host) = host.or_else(|| fields.get(header::HOST).map(HeaderValue::as_bytes)) {
        write::field(&mut out, b"Host", host);
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in fields {
        if name == header::COOKIE {
            cookies.push(value.as_bytes());
        } else if !is_of_connection(name.as_str()) && name != header::HOST && name != header::EXPECT {
            write::field(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        write::field(&mut out, b"Cookie", &cookies.join(&b"; "[..]));
    }
    if chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Fields that HTTP/2 has no place for.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection" | "transfer-encoding" | "upgrade" | "keep-alive" | "proxy-connection" | "http2-settings"
    )
}

/// A request on its way to its session. A body that breaks off does not look whole there.
struct Sending {
    session: DuplexStream,
    body: Incoming,
    chunked: bool,
    over: CancellationToken,
}

impl Sending {
    async fn run(mut self, head: Vec<u8>) {
        if self.send(head).await.is_some() {
            self.over.cancelled().await;
        }
    }

    /// `None` when the session takes no more or the client breaks off.
    async fn send(&mut self, head: Vec<u8>) -> Option<()> {
        let mut out = head;
        loop {
            self.session.write_all(&out).await.ok()?;
            out.clear();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            let Some(frame) = frame else { break };
            match frame.ok()?.into_data() {
                Ok(data) if self.chunked => frp_http::body::write_chunk(&mut out, &data),
                Ok(data) => out.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return self.end(&trailers).await;
                }
            }
        }
        self.end(&HeaderMap::new()).await
    }

    async fn end(&mut self, trailers: &HeaderMap) -> Option<()> {
        if !self.chunked {
            return Some(());
        }
        let mut out = b"0\r\n".to_vec();
        for (name, value) in trailers {
            write::field(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.session.write_all(&out).await.ok()
    }
}

/// Reads a response from its session. Interim ones have no way through.
async fn response(mut session: Conn, to_head: bool, over: DropGuard) -> Option<Response<StreamBody>> {
    let mut head = ResponseHead::default();
    loop {
        let mut seen = 0;
        let length = loop {
            match find_end(session.input(), seen) {
                Some(length) => break length,
                None if session.input().len() > MAX_RESPONSE_HEAD => return None,
                None => seen = session.input().len(),
            }
            if session.fill().await.ok()? == 0 {
                return None;
            }
        };
        let bytes = session.input_mut().get_mut(..length)?;
        head.parse(bytes).ok()?;
        if head.status() < 200 {
            session.consume(length);
            continue;
        }
        let framing = framing::of_response(&head, bytes, to_head).ok()?;
        let mut response =
            Response::new(StreamBody { session: None, body: Body::new(framing), _over: Some(over) });
        *response.status_mut() = StatusCode::from_u16(head.status()).ok()?;
        put(head.fields(), bytes, response.headers_mut());
        session.consume(length);
        response.body_mut().session = Some(session);
        return Some(response);
    }
}

fn put(fields: &Fields, bytes: &[u8], to: &mut HeaderMap) {
    for field in fields.iter() {
        let name = HeaderName::from_bytes(field.name.of(bytes));
        let value = HeaderValue::from_bytes(field.value.of(bytes));
        if let (Ok(name), Ok(value)) = (name, value)
            && !is_of_connection(name.as_str())
        {
            to.append(name, value);
        }
    }
}

fn status(status: StatusCode) -> Response<StreamBody> {
    let mut response =
        Response::new(StreamBody { session: None, body: Body::new(framing::Framing::None), _over: None });
    *response.status_mut() = status;
    response
}

/// The body of a response.
struct StreamBody {
    session: Option<Conn>,
    body: Body,
    /// Ends the session when nobody reads any more.
    _over: Option<DropGuard>,
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Self { session, body, .. } = &mut *self;
        let broken = |error| Poll::Ready(Some(Err(std::io::Error::other(error))));
        let Some(session) = session else { return Poll::Ready(None) };
        loop {
            if body.is_done() {
                return Poll::Ready(None);
            }
            match body.next(session.input()) {
                Err(error) => return broken(error),
                Ok(Piece::Framing(length)) => session.consume(length),
                Ok(Piece::Data(length)) => {
                    let data = session.input().get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
                    session.consume(length);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Piece::End { trailers, all }) => {
                    let (mut fields, mut map) = (Fields::default(), HeaderMap::new());
                    let lines = session.input_mut().get_mut(..trailers).unwrap_or_default();
                    if parse_trailers(&mut fields, lines).is_ok() {
                        put(&fields, lines, &mut map);
                    }
                    session.consume(all);
                    return if map.is_empty() {
                        Poll::Ready(None)
                    } else {
                        Poll::Ready(Some(Ok(Frame::trailers(map))))
                    };
                }
                Ok(Piece::More) => match ready!(session.poll_fill(cx)) {
                    Ok(0) => {
                        if let Err(error) = body.ended() {
                            return broken(error);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_done()
    }
}
