//! A server in this process, and a client that does what a test tells it to.

use std::net::SocketAddr;
use std::time::Duration;

use frp_config::ServerConfig;
use frp_proto::crypto::key;
use frp_proto::digest::auth_key;
use frp_proto::msg::{
    CloseProxy, Login, LoginResp, Message, NewProxy, NewProxyResp, NewWorkConn, Ping, StartWorkConn,
};
use frp_stream::Stream;
use frp_stream::message::{MessageReader, MessageWriter, control_channel, read_message, write_message};
use frps::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "secret";

/// A client's whole request for a websocket.
pub(crate) const WEBSOCKET_REQUEST: &[u8] = b"GET /~!frp HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nOrigin: http://a.test\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
/// After this a test has failed: nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened for a long time")
}

/// A running server on a port of the system's choice, without multiplexing unless a test wants it.
pub(crate) struct Frps {
    pub(crate) addr: SocketAddr,
    quic: Option<SocketAddr>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Frps {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig { bind_addr: "127.0.0.1".to_owned(), ..ServerConfig::default() };
        config.auth.token = TOKEN.into();
        config.transport.tcp_mux = Some(false);
        configure(&mut config);
        config.complete();
        // Not a port that a user could configure: the system chooses, unless the test has.
        if config.bind_port == 7000 {
            config.bind_port = 0;
        }
        let server = Server::bind(&config).await.unwrap();
        let addr = server.local_addr().unwrap();
        let quic = server.quic_addr().unwrap();
        let stop = server.stop_token();
        let mut running = JoinSet::new();
        running.spawn(server.run());
        Self { addr, quic, stop, running }
    }

    /// Where clients connect over QUIC, if the test has switched that on.
    pub(crate) fn quic_addr(&self) -> SocketAddr {
        self.quic.unwrap()
    }

    /// Stops the server and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        soon(self.running.join_next()).await.unwrap().unwrap();
    }

    pub(crate) async fn connect(&self) -> Stream {
        TcpStream::connect(self.addr).await.unwrap().into()
    }
}

/// A good login.
pub(crate) fn login() -> Login {
    let timestamp = 1_700_000_000;
    Login {
        version: "0.70.1".to_owned(),
        privilege_key: auth_key(TOKEN.as_bytes(), timestamp),
        timestamp,
        ..Login::default()
    }
}

/// A logged-in client.
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    pub(crate) run_id: String,
    pub(crate) reader: MessageReader,
    pub(crate) writer: MessageWriter,
}

impl Client {
    pub(crate) async fn login(frps: &Frps) -> Self {
        Self::login_as(frps, login()).await.unwrap()
    }

    /// The text of the refusal otherwise.
    pub(crate) async fn login_as(frps: &Frps, login: Login) -> Result<Self, String> {
        Self::login_with_token(frps, login, TOKEN).await
    }

    /// For a server with another token.
    pub(crate) async fn login_with_token(frps: &Frps, login: Login, token: &str) -> Result<Self, String> {
        let (mut stream, answer) = first(frps, login).await;
        let Some(Message::LoginResp(LoginResp { run_id, error, version })) = answer else {
            panic!("no answer to a login: {answer:?}")
        };
        if !error.is_empty() {
            assert!(closed(&mut stream).await);
            return Err(error);
        }
        assert_eq!(version, "0.70.1");
        let (reader, writer) = control_channel(stream, &key::derive(token.as_bytes()));
        Ok(Self { addr: frps.addr, run_id, reader, writer })
    }

    /// On a stream of a connection that carries many.
    pub(crate) async fn login_on(mut stream: Stream) -> Self {
        write_message(&mut stream, &login().into()).await.unwrap();
        let Message::LoginResp(response) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
        assert_eq!(response.error, "");
        let (reader, writer) = control_channel(stream, &key::derive(TOKEN.as_bytes()));
        Self { addr: ([127, 0, 0, 1], 9).into(), run_id: response.run_id, reader, writer }
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        soon(self.writer.send(&message.into())).await.unwrap();
    }

    /// The next message that is not a request for a work connection.
    pub(crate) async fn answer(&mut self) -> Message {
        loop {
            match self.next().await {
                Message::ReqWorkConn(_) => {}
                other => return other,
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Message {
        soon(self.reader.next()).await.unwrap()
    }

    /// Waits for a request for a work connection.
    pub(crate) async fn asked(&mut self) {
        let message = self.next().await;
        assert!(matches!(message, Message::ReqWorkConn(_)), "{message:?}");
    }

    /// The server has closed the control connection.
    pub(crate) async fn ended(&mut self) {
        while soon(self.reader.next()).await.is_ok() {}
    }

    pub(crate) async fn new_proxy(&mut self, message: NewProxy) -> NewProxyResp {
        self.send(message).await;
        match self.answer().await {
            Message::NewProxyResp(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Starts a proxy and returns the port that it got.
    pub(crate) async fn start(&mut self, message: NewProxy) -> u16 {
        self.start_at(message).await.strip_prefix(':').unwrap().parse().unwrap()
    }

    /// Starts a proxy and returns where users find it.
    pub(crate) async fn start_at(&mut self, message: NewProxy) -> String {
        let response = self.new_proxy(message).await;
        assert_eq!(response.error, "");
        response.remote_addr
    }

    /// The text of the refusal.
    pub(crate) async fn refused(&mut self, message: NewProxy) -> String {
        let response = self.new_proxy(message).await;
        assert_eq!(response.remote_addr, "");
        response.error
    }

    pub(crate) async fn close_proxy(&mut self, name: &str) {
        self.send(CloseProxy { proxy_name: name.to_owned() }).await;
    }

    /// The proxy of that name is gone when this returns.
    pub(crate) async fn close_and_wait(&mut self, name: &str) {
        self.close_proxy(name).await;
        self.send(Ping::default()).await;
        assert!(matches!(self.answer().await, Message::Pong(_)));
    }

    /// Offers a work connection.
    pub(crate) async fn work_conn(&self) -> Stream {
        self.work_conn_on(TcpStream::connect(self.addr).await.unwrap().into()).await
    }

    /// The same on a stream that is there.
    pub(crate) async fn work_conn_on(&self, mut stream: Stream) -> Stream {
        let message = NewWorkConn { run_id: self.run_id.clone(), ..NewWorkConn::default() };
        write_message(&mut stream, &message.into()).await.unwrap();
        stream
    }

    /// Serves the next user of any proxy: the work connection, started.
    pub(crate) async fn serve(&self) -> (Stream, StartWorkConn) {
        let mut stream = self.work_conn().await;
        let start = started(&mut stream).await;
        assert_eq!(start.error, "");
        (stream, start)
    }
}

/// Sends a first message on a new connection and reads the answer, if one comes.
pub(crate) async fn first(frps: &Frps, message: impl Into<Message>) -> (Stream, Option<Message>) {
    let mut stream = frps.connect().await;
    write_message(&mut stream, &message.into()).await.unwrap();
    let answer = soon(read_message(&mut stream)).await.ok();
    (stream, answer)
}

pub(crate) async fn started(stream: &mut Stream) -> StartWorkConn {
    match soon(read_message(stream)).await.unwrap() {
        Message::StartWorkConn(start) => start,
        other => panic!("{other:?}"),
    }
}

/// Waits for the end of a stream that has nothing more to say: true when it ends, however it ends.
pub(crate) async fn closed(stream: &mut Stream) -> bool {
    let mut byte = [0];
    matches!(soon(stream.read(&mut byte)).await, Ok(0) | Err(_))
}

pub(crate) fn tcp(name: &str, remote_port: u16) -> NewProxy {
    NewProxy {
        proxy_name: name.to_owned(),
        proxy_type: "tcp".to_owned(),
        remote_port: remote_port.into(),
        ..NewProxy::default()
    }
}

/// A proxy of a kind that users reach by a domain.
pub(crate) fn vhost(kind: &str, name: &str, domains: &[&str]) -> NewProxy {
    NewProxy {
        proxy_name: name.to_owned(),
        proxy_type: kind.to_owned(),
        multiplexer: if kind == "tcpmux" { "httpconnect".to_owned() } else { String::new() },
        custom_domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        ..NewProxy::default()
    }
}

/// The same in the group `g`.
pub(crate) fn vhost_member(kind: &str, name: &str, domain: &str, key: &str) -> NewProxy {
    NewProxy { group: "g".to_owned(), group_key: key.into(), ..vhost(kind, name, &[domain]) }
}

pub(crate) fn udp_proxy(name: &str, remote_port: u16) -> NewProxy {
    NewProxy { proxy_type: "udp".to_owned(), ..tcp(name, remote_port) }
}

pub(crate) async fn user(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

/// Whether nobody listens on a port. Binds nothing.
pub(crate) async fn refuses(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).await.is_err()
}

pub(crate) async fn say(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    soon(stream.write_all(text.as_bytes())).await.unwrap();
    soon(stream.flush()).await.unwrap();
}

pub(crate) async fn hear(stream: &mut (impl AsyncReadExt + Unpin), text: &str) {
    let mut got = vec![0; text.len()];
    soon(stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), text);
}
