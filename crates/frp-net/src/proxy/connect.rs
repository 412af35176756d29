//! HTTP proxies: the CONNECT request, with credentials where there are some.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use frp_proto::Secret;
use frp_stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Credentials, NtlmError, ProxyError, ntlm as messages};
use crate::http_response::{Response, read_response};

/// The head of an answer is no longer than this.
const MAX_HEAD: usize = 64 * 1024;
/// The page that comes with a refusal is read so far, where the connection is needed once more.
const MAX_PAGE: u64 = 256 * 1024;

/// Asks once, with `Basic` credentials.
pub(super) async fn http(
    mut stream: Stream,
    target: &str,
    credentials: Option<&Credentials>,
) -> Result<Stream, ProxyError> {
    let authorization = credentials.map(basic);
    let authorization = authorization.as_ref().map(Secret::expose);
    let response = ask(&mut stream, target, authorization).await?;
    match response.status() {
        200 => Ok(stream.with_prefix(response.into_rest())),
        status => Err(ProxyError::Status(status)),
    }
}

/// The value of `Proxy-Authorization`.
pub(super) fn basic(Credentials { user, password }: &Credentials) -> Secret {
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))).into()
}

/// What came of NTLM.
pub(super) enum Ntlm {
    /// The proxy has connected us.
    Connected(Stream),
    /// The proxy has closed the connection and wants that scheme on a new one.
    Again(&'static str),
}

/// Proves who we are in two more messages, on one connection. The original knows `Negotiate`; most proxies want
/// `NTLM`, with the same messages.
pub(super) async fn ntlm(
    mut stream: Stream,
    target: &str,
    credentials: Option<&Credentials>,
    scheme: &'static str,
) -> Result<Ntlm, ProxyError> {
    let mut scheme = scheme;
    let mut offers_left = 1;
    loop {
        let opening =
            credentials.map(|_| format!("{scheme} {}", STANDARD.encode(messages::negotiate_message())));
        let mut response = ask(&mut stream, target, opening.as_deref()).await?;
        if let (407, Some(credentials)) = (response.status(), credentials) {
            match offer(&response) {
                Some(Offer::Challenge(scheme, challenge)) => {
                    let proof = messages::authenticate_message(
                        &challenge,
                        &credentials.user,
                        credentials.password.expose(),
                    )?;
                    let closing = is_closing(&response);
                    stream =
                        after_page(stream, response).await?.filter(|_| !closing).ok_or(NtlmError::Closed)?;
                    let answer = format!("{scheme} {}", STANDARD.encode(proof));
                    response = ask(&mut stream, target, Some(&answer)).await?;
                }
                Some(Offer::Scheme(offered)) if offered != scheme && offers_left > 0 => {
                    offers_left -= 1;
                    scheme = offered;
                    let closing = is_closing(&response);
                    match after_page(stream, response).await?.filter(|_| !closing) {
                        Some(same) => stream = same,
                        None => return Ok(Ntlm::Again(scheme)),
                    }
                    continue;
                }
                _ => {}
            }
        }
        return match response.status() {
            200 => Ok(Ntlm::Connected(stream.with_prefix(response.into_rest()))),
            status => Err(ProxyError::NtlmStatus(status)),
        };
    }
}

/// How a proxy asks for NTLM.
enum Offer {
    /// With its challenge, under a scheme.
    Challenge(&'static str, Vec<u8>),
    /// A scheme it would like better.
    Scheme(&'static str),
}

fn offer(response: &Response) -> Option<Offer> {
    let mut offered = None;
    for value in response.fields(b"proxy-authenticate") {
        let value = String::from_utf8_lossy(value);
        let (name, token) = value.trim().split_once(' ').unwrap_or_else(|| (value.trim(), ""));
        let scheme = if name.eq_ignore_ascii_case("NTLM") {
            "NTLM"
        } else if name.eq_ignore_ascii_case("Negotiate") {
            "Negotiate"
        } else {
            continue;
        };
        match STANDARD.decode(token.trim()) {
            Ok(challenge) if !challenge.is_empty() => return Some(Offer::Challenge(scheme, challenge)),
            _ if offered.is_none() || scheme == "NTLM" => offered = Some(Offer::Scheme(scheme)),
            _ => {}
        }
    }
    offered
}

async fn ask(stream: &mut Stream, target: &str, authorization: Option<&str>) -> Result<Response, ProxyError> {
    let authorization =
        authorization.map(|value| format!("Proxy-Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: Mozilla/5.0\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    Ok(read_response(stream, MAX_HEAD).await?)
}

/// Whether the proxy is about to close the connection.
fn is_closing(response: &Response) -> bool {
    [&b"connection"[..], b"proxy-connection"]
        .into_iter()
        .flat_map(|name| response.fields(name))
        .any(|value| value.eq_ignore_ascii_case(b"close"))
}

/// The connection behind the page that came with an answer; none if its end is not known, or is too far.
async fn after_page(stream: Stream, response: Response) -> Result<Option<Stream>, ProxyError> {
    let length = match response.field(b"content-length") {
        Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u64>().ok()),
        None => response.field(b"transfer-encoding").is_none().then_some(0),
    };
    let Some(length) = length.filter(|length| *length <= MAX_PAGE) else { return Ok(None) };
    let mut stream = stream.with_prefix(response.into_rest());
    let read = tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
    Ok((read == length).then_some(stream))
}
