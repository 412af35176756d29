//! The other ways to the server: websockets, and through proxies.

use frp_net::tls::{ServerTls, ServerTlsOptions};
use frp_net::websocket::PATH;
use frp_stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Frpc, Frps, Text, serves, soon};

#[tokio::test]
async fn a_websocket_with_and_without_tls_within() {
    for (mux, tls) in [(false, false), (false, true), (true, false), (true, true)] {
        let frps = if mux { Frps::start_mux().await } else { Frps::start().await }.over_websocket(PATH, tls);
        let text = Text::with_token(&frps)
            .line("transport.protocol = \"websocket\"")
            .replace("transport.tls.enable = false", &format!("transport.tls.enable = {tls}"));
        serves(frps, text).await;
    }
}

#[tokio::test]
async fn a_websocket_within_tls_on_a_path_of_our_own() {
    let tls = ServerTls::new(&ServerTlsOptions::default()).unwrap();
    let frps = Frps::start_tls(tls).await.over_websocket("/own", false);
    let text = Text::with_token(&frps)
        .line("transport.protocol = \"wss\"")
        .line("transport.websocketPath = \"/own\"")
        .line("transport.websocketHost = \"a.test\"");
    serves(frps, text).await;
}

/// The lines of the request for a websocket, but for its key.
async fn asked(stream: &mut Stream) -> Vec<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(soon(stream.read_u8()).await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    let lines = request.split("\r\n").filter(|line| !line.starts_with("Sec-WebSocket-Key: "));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn what_the_server_is_asked() {
    let frps = Frps::start().await;
    let text = Text::with_token(&frps).line("transport.protocol = \"websocket\"");
    let frpc = text.start();
    let mut stream = frps.connection().await;
    let address = frps.address();
    assert_eq!(
        asked(&mut stream).await,
        [
            "GET /~!frp HTTP/1.1",
            &format!("Host: {address}"),
            "Upgrade: websocket",
            "Connection: Upgrade",
            &format!("Origin: http://{address}"),
            "Sec-WebSocket-Version: 13",
            "",
            "",
        ]
    );
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let error = frpc.end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: websocket: bad status 404."), "{error}");
}

#[tokio::test]
async fn the_server_is_asked_for_the_configured_path_and_host() {
    let frps = Frps::start().await;
    let text = Text::with_token(&frps)
        .line("transport.protocol = \"websocket\"")
        .line("transport.websocketPath = \"/own\"")
        .line("transport.websocketHost = \"a.test:8443\"");
    let frpc = text.start();
    let lines = asked(&mut frps.connection().await).await;
    assert_eq!(lines[..2], ["GET /own HTTP/1.1", "Host: a.test:8443"]);
    assert!(lines.contains(&"Origin: http://a.test:8443".to_owned()), "{lines:?}");
    frpc.end().await.unwrap_err();
}

/// A proxy that takes any CONNECT request to where it wants, once per connection.
struct HttpProxy {
    port: u16,
    _tasks: JoinSet<()>,
}

impl HttpProxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut relays = JoinSet::new();
            loop {
                let (user, _) = listener.accept().await.unwrap();
                relays.spawn(Self::relay(user));
            }
        });
        Self { port, _tasks: tasks }
    }

    async fn relay(mut user: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(user.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
        let mut server = TcpStream::connect(target).await.unwrap();
        user.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut user, &mut server).await;
    }
}

#[tokio::test]
async fn through_a_proxy() {
    let proxy = HttpProxy::start().await;
    let line = format!("transport.proxyURL = \"http://127.0.0.1:{}\"", proxy.port);
    let frps = Frps::start_mux().await;
    let text = Text::with_token(&frps).line(&line);
    serves(frps, text).await;
    let frps = Frps::start().await.over_websocket(PATH, true);
    let text = Text::with_token(&frps)
        .line(&line)
        .line("transport.protocol = \"websocket\"")
        .replace("transport.tls.enable = false", "transport.tls.enable = true");
    serves(frps, text).await;
}

#[tokio::test]
async fn the_environments_proxy_and_its_exceptions() {
    // Nobody listens there.
    let nowhere = "http://127.0.0.1:1";
    let frps = Frps::start().await;
    let setup = Text::with_token(&frps).setup_in(&[("http_proxy", nowhere)]);
    let error = Frpc::start(setup).end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: dial tcp 127.0.0.1:1: connect: "), "{error}");
    let setup = Text::with_token(&frps).setup_in(&[("http_proxy", nowhere), ("no_proxy", "127.0.0.0/8")]);
    assert_eq!(setup.common.transport.proxy_url.expose(), "");
}
