//! Clients over websockets, with TLS within or around them.

use frp_net::tls::{ClientTls, ClientTlsOptions, ServerTls, ServerTlsOptions};
use frp_net::websocket::{self, ClientOptions, HandshakeError, PATH};
use frp_proto::msg::Message;
use frp_proto::v1;
use frp_stream::Stream;
use frp_stream::message::{read_message, write_message};
use frp_test_support::ports;
use frp_test_support::websocket::{BINARY, Frame, PING};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::*;

async fn upgraded(stream: Stream, path: &str) -> Result<Stream, HandshakeError> {
    let options = ClientOptions { path: path.to_owned(), host: "a.test".to_owned(), ping: None };
    soon(websocket::connect(stream, &options)).await
}

async fn secured(stream: Stream) -> Stream {
    secured_as("a.test", stream).await
}

async fn secured_as(name: &str, stream: Stream) -> Stream {
    let options = ClientTlsOptions { server_name: name.to_owned(), ..ClientTlsOptions::default() };
    soon(ClientTls::new(&options).unwrap().connect(stream)).await.unwrap()
}

/// Whether a login is answered.
async fn logs_in(mut stream: Stream) -> bool {
    if write_message(&mut stream, &login().into()).await.is_err() {
        return false;
    }
    matches!(soon(read_message(&mut stream)).await, Ok(Message::LoginResp(answer)) if answer.error.is_empty())
}

#[tokio::test]
async fn tls_within_or_around_or_none() {
    let frps = Frps::start().await;
    assert!(logs_in(upgraded(frps.connect().await, PATH).await.unwrap()).await);
    assert!(logs_in(secured(upgraded(frps.connect().await, PATH).await.unwrap()).await).await);
    assert!(logs_in(upgraded(secured(frps.connect().await).await, PATH).await.unwrap()).await);
    // And TLS alone, as ever.
    assert!(logs_in(secured(frps.connect().await).await).await);
}

#[tokio::test]
async fn forced_tls_may_be_on_either_side() {
    let frps = Frps::with(|config| config.transport.tls.force = true).await;
    assert!(!logs_in(upgraded(frps.connect().await, PATH).await.unwrap()).await);
    assert!(logs_in(secured(upgraded(frps.connect().await, PATH).await.unwrap()).await).await);
    assert!(logs_in(upgraded(secured(frps.connect().await).await, PATH).await.unwrap()).await);
}

#[tokio::test]
async fn another_path_is_granted_besides_the_usual_one() {
    let frps = Frps::with(|config| config.transport.websocket_path = "/own/path".to_owned()).await;
    for path in [PATH, "/own/path", "/own/path?a=b"] {
        assert!(logs_in(upgraded(frps.connect().await, path).await.unwrap()).await, "{path}");
        assert!(logs_in(upgraded(secured(frps.connect().await).await, path).await.unwrap()).await, "{path}");
    }
    assert!(upgraded(frps.connect().await, "/own").await.is_err());
    let refused = upgraded(frps.connect().await, "/~!frp/x").await;
    assert!(matches!(refused, Err(HandshakeError::Status(404))));
    // Anything else is what it was.
    assert!(logs_in(frps.connect().await).await);
}

#[tokio::test]
async fn a_port_that_is_shared_with_users_of_https() {
    let port = ports::free();
    let frps = Frps::with(|config| {
        config.bind_port = port.into();
        config.vhost_https_port = port.into();
    })
    .await;
    let connect = || async { Stream::from(TcpStream::connect(("127.0.0.1", port)).await.unwrap()) };
    assert!(logs_in(upgraded(secured(connect().await).await, PATH).await.unwrap()).await);
    assert!(logs_in(secured(upgraded(connect().await, PATH).await.unwrap()).await).await);
    // TLS alone is for https proxies there, unless the first byte says otherwise.
    assert!(!logs_in(secured(connect().await).await).await);
    frps.stop().await;
}

#[tokio::test]
async fn an_https_proxy_of_the_name_goes_before_a_websocket_within_tls() {
    let port = ports::free();
    let frps = Frps::with(|config| {
        config.bind_port = port.into();
        config.vhost_https_port = port.into();
    })
    .await;
    let mut client = Client::login(&frps).await;
    client.start_at(vhost("https", "a", &["a.test"])).await;
    let service = async {
        let (work, started) = client.serve().await;
        assert_eq!(started.proxy_name, "a");
        soon(ServerTls::new(&ServerTlsOptions::default()).unwrap().accept(work)).await.unwrap()
    };
    let (mut user, mut service) = tokio::join!(secured_as("a.test", frps.connect().await), service);
    let request = format!("GET {PATH} HTTP/1.1\r\n");
    say(&mut user, &request).await;
    hear(&mut service, &request).await;
    // What no proxy has may be a client's.
    let other = secured_as("b.test", frps.connect().await).await;
    assert!(logs_in(upgraded(other, PATH).await.unwrap()).await);
    client.close_and_wait("a").await;
    let same = secured_as("a.test", frps.connect().await).await;
    assert!(logs_in(upgraded(same, PATH).await.unwrap()).await);
    frps.stop().await;
}

/// Proxies on the way close what is silent for a minute.
#[tokio::test]
async fn without_multiplexing_pings_keep_a_websocket_alive() {
    let frps = Frps::start().await;
    let mut stream = frps.connect().await;
    stream.write_all(WEBSOCKET_REQUEST).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(soon(stream.read_u8()).await.unwrap());
    }
    let login = v1::encode(&login().into()).unwrap();
    stream.write_all(&Frame::new(BINARY, login).encode(Some([1, 2, 3, 4]))).await.unwrap();
    // The answer, and what asks for work connections.
    assert_eq!(soon(Frame::read(&mut stream)).await.unwrap().unwrap().opcode, BINARY);
    tokio::time::pause();
    let mut silent_since = Instant::now();
    for _ in 0..2 {
        while Frame::read(&mut stream).await.unwrap().unwrap().opcode != PING {}
        let silent = silent_since.elapsed().as_secs();
        assert!(silent <= 40, "{silent} s");
        silent_since = Instant::now();
    }
}
