//! A small web site over hyper: what stands behind the http proxies of the tests.
//!
//! | path | answer |
//! | --- | --- |
//! | `/reflect` | the request as it came: method, target, headers in the order of their names, body |
//! | `/echo` | the body, with its length |
//! | `/name` | the name that the site was given |
//! | `/take/SEED/LENGTH` | `same` when the body is that noise |
//! | `/noise/SEED/LENGTH`, `/chunked/SEED/LENGTH` | noise, with its length or in chunks |
//! | `/status/CODE` | that status, with a short body |
//! | `/headers/COUNT/LENGTH` | so many headers of that length |
//! | `/cookies` | several `Set-Cookie`, an empty and a Latin-1 header |
//! | `/packed` | a text, by gzip for those who accept it |
//! | `/bare` | no `Content-Type`, no `Date` |

use std::convert::Infallible;

use anyhow::{Context, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::service::Service;
use crate::traffic::Noise;

type Body = BoxBody<Bytes, Infallible>;

/// The text of `/packed`.
pub const TEXT: &str = "the same words again and again. ";
/// How often it stands there.
pub const REPEATED: usize = 8;
/// The same, packed.
const PACKED: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 43, 201, 72, 85, 40, 78, 204, 77, 85, 40, 207, 47, 74, 41, 86, 72, 76,
    79, 204, 204, 83, 72, 204, 75, 129, 176, 244, 20, 74, 134, 185, 60, 0, 150, 179, 192, 189, 0, 1, 0, 0,
];

impl Service {
    /// A site that gives `name` when asked for it.
    ///
    /// # Errors
    /// No port.
    pub async fn site(name: &'static str) -> Result<Self> {
        Self::tcp(move |peer| serve(peer, name)).await
    }
}

async fn serve(peer: TcpStream, name: &'static str) {
    let _ = peer.set_nodelay(true);
    let service = service_fn(move |request| async move {
        let answer = answer(request, name).await;
        Ok::<_, Infallible>(answer.unwrap_or_else(|error| {
            let mut answer = Response::new(whole(format!("{error:#}")));
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            answer
        }))
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.half_close(true).max_buf_size(2 << 20).auto_date_header(false);
    let _ = server.serve_connection(TokioIo::new(peer), service).await;
}

async fn answer(request: Request<Incoming>, name: &'static str) -> Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches('/').split('/');
    let kind = parts.next().unwrap_or_default().to_owned();
    let mut number = || parts.next().context("a number")?.parse::<u64>().context("a number");
    let mut answer = match kind.as_str() {
        "reflect" => Response::new(whole(reflect(request).await?)),
        "echo" => Response::new(whole(request.into_body().collect().await?.to_bytes())),
        "name" => Response::new(whole(name)),
        "take" => {
            let (seed, length) = (number()?, number()?);
            Response::new(whole(take(request.into_body(), seed, length).await?))
        }
        "noise" => {
            let (seed, length) = (number()?, number()?);
            Response::new(whole(Noise::whole(seed, length)))
        }
        "chunked" => {
            let (seed, length) = (number()?, number()?);
            Response::new(chunks(&Noise::whole(seed, length)))
        }
        "status" => {
            let mut answer = Response::new(whole("a status"));
            *answer.status_mut() = StatusCode::from_u16(u16::try_from(number()?)?)?;
            answer
        }
        "headers" => {
            let (count, length) = (number()?, usize::try_from(number()?)?);
            let mut answer = Response::new(whole("headers"));
            for index in 0..count {
                let name = HeaderName::from_bytes(format!("x-{index}").as_bytes())?;
                answer.headers_mut().insert(name, HeaderValue::from_str(&"v".repeat(length))?);
            }
            answer
        }
        "cookies" => {
            let mut answer = Response::new(whole("cookies"));
            for value in [&b"b=2; Path=/"[..], b"a=1", b"b=2; Path=/"] {
                answer.headers_mut().append("set-cookie", HeaderValue::from_bytes(value)?);
            }
            answer.headers_mut().append("x-empty", HeaderValue::from_static(""));
            answer.headers_mut().append("x-latin", HeaderValue::from_bytes(b"gr\xfc\xdf")?);
            answer
        }
        "packed" => {
            let wanted = request.headers().get("accept-encoding");
            let wanted = wanted.is_some_and(|value| value.as_bytes().windows(4).any(|word| word == b"gzip"));
            let mut answer = if wanted {
                Response::new(whole(PACKED))
            } else {
                Response::new(whole(TEXT.repeat(REPEATED)))
            };
            if wanted {
                answer.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
            }
            answer.headers_mut().insert("vary", HeaderValue::from_static("Accept-Encoding"));
            answer
        }
        _ => Response::new(whole("a page")),
    };
    if kind != "bare" {
        let headers = answer.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
        headers.insert("date", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        headers.insert("server", HeaderValue::from_static("site"));
    }
    Ok(answer)
}

/// Headers that a gateway adds, or that concern its own connection to the site.
const NOT_REFLECTED: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
];

async fn reflect(request: Request<Incoming>) -> Result<Vec<u8>> {
    let mut text = format!("{} {}\n", request.method(), request.uri()).into_bytes();
    let mut names: Vec<_> = request.headers().keys().cloned().collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    // A gateway may ask for gzip where the user said nothing; `/packed` shows that the user does not notice.
    names.retain(|name| !NOT_REFLECTED.contains(&name.as_str()));
    for name in names {
        for value in request.headers().get_all(&name) {
            text.extend_from_slice(format!("{name}: ").as_bytes());
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
    }
    let body = request.into_body().collect().await?;
    for (name, value) in body.trailers().into_iter().flatten() {
        text.extend_from_slice(format!("trailer {name}: ").as_bytes());
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(&body.to_bytes());
    Ok(text)
}

async fn take(mut body: Incoming, seed: u64, length: u64) -> Result<String> {
    let expected = Noise::whole(seed, length);
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if expected.get(at..at + data.len()) != Some(&data[..]) {
            return Ok(format!("differs after byte {at}"));
        }
        at += data.len();
    }
    Ok(if at == expected.len() { "same".to_owned() } else { format!("ends after byte {at}") })
}

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body whose length is not told.
fn chunks(bytes: &[u8]) -> Body {
    let pieces: Vec<_> =
        bytes.chunks(10_000).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(pieces)))
}
