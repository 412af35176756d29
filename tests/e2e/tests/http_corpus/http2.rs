//! HTTP/2 with prior knowledge: the requests of the recorded cases, made by a client of HTTP/2.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Setup;
use crate::message::{Side, messages};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";
const TRAILERS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge() -> Result<()> {
    let corpus: Value = serde_json::from_str(&std::fs::read_to_string(crate::corpus())?)?;
    let setup = Setup::start(&corpus["setups"]["base"]).await?;
    setup.services.play(&json!({ "*": [[{ "send": OK }]], "b": [[{ "send": TRAILERS }]] })).await?;
    let tcp = TcpStream::connect(("127.0.0.1", setup.entrance)).await?;
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);

    let request =
        |host: &str, method: &str| Request::builder().method(method).uri(format!("http://{host}/h2?q"));
    let get = request("plain.test", "GET")
        .header("x-forwarded-for", "1.2.3.4")
        .header("te", "trailers")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::new(Bytes::new()))?;
    let post = request("plain.test", "POST").body(Full::new(Bytes::from("hello")))?;
    let hints = request("x.wild.test", "GET").body(Full::new(Bytes::new()))?;
    let nowhere = request("nowhere.test", "GET").body(Full::new(Bytes::new()))?;
    let auth = request("auth.test", "GET").body(Full::new(Bytes::new()))?;
    let mut answers = Vec::new();
    for request in [get, post, hints, nowhere, auth] {
        client.ready().await?;
        let answer = client.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        answers.push((parts, collected.to_bytes(), trailers));
    }
    let statuses: Vec<u16> = answers.iter().map(|(parts, ..)| parts.status.as_u16()).collect();
    ensure!(statuses == [200, 200, 200, 404, 401], "{statuses:?}");
    let (parts, body, _) = answers.first().context("an answer")?;
    ensure!(body == "ok" && parts.headers.get("content-length").is_some_and(|length| length == "2"));
    ensure!(parts.headers.contains_key("date") && !parts.headers.contains_key("connection"));
    let (parts, body, trailers) = answers.get(2).context("an answer")?;
    ensure!(body == "hello" && !parts.headers.contains_key("transfer-encoding"));
    ensure!(trailers.as_ref().is_some_and(|trailers| trailers.get("x-sum").is_some_and(|sum| sum == "7")));

    let served = setup.services.served();
    let requests: Vec<_> =
        served.iter().flat_map(|served| messages(&served.got, Side::Requests, false)).collect();
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    ensure!(lines == ["GET /h2?q HTTP/1.1", "POST /h2?q HTTP/1.1", "GET /h2?q HTTP/1.1"], "{lines:?}");
    let first = requests.first().context("a request")?;
    for (name, value) in [
        ("host", "plain.test"),
        ("cookie", "a=1; b=2"),
        ("te", "trailers"),
        ("x-forwarded-for", "1.2.3.4, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("accept-encoding", "gzip"),
    ] {
        ensure!(first.field(name) == Some(value), "{name}: {:?}", first.field(name));
    }
    ensure!(requests.get(1).context("a request")?.body == b"hello");
    Ok(())
}
