//! A scripted frps.

use std::net::SocketAddr;

use frp_mux::{Config, MuxStream};
use frp_net::tls::{ServerTls, ServerTlsOptions, accept_by_first_byte};
use frp_net::websocket;
use frp_proto::crypto::{Key, key};
use frp_proto::exchange::Channel;
use frp_proto::exchange::server::{FirstMessage, LoginReply, ServerAccept};
use frp_proto::msg::{
    CloseProxy, Login, Message, NewProxy, NewProxyResp, NewVisitorConn, NewWorkConn, Ping, ReqWorkConn,
    StartWorkConn,
};
use frp_stream::Stream;
use frp_stream::message::{MessageReader, MessageWriter, control_channel, write_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{TOKEN, soon};

pub(crate) const VERSION: &str = "0.70.1";

/// A server that does nothing by itself.
pub(crate) struct Frps {
    listener: TcpListener,
    tls: Option<ServerTls>,
    mux: Option<Mux>,
    /// The path of a websocket, and TLS within it.
    websocket: Option<(&'static str, Option<ServerTls>)>,
    token: String,
}

/// The multiplexed connection that streams come from.
#[derive(Default)]
struct Mux {
    session: Option<frp_mux::Session>,
    drivers: JoinSet<frp_mux::SessionEnd>,
}

impl Frps {
    /// Every stream is a TCP connection.
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    /// As [`Frps::start`] at an address that was another server's before.
    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self { listener, tls: None, mux: None, websocket: None, token: TOKEN.to_owned() }
    }

    /// Streams come multiplexed.
    pub(crate) async fn start_mux() -> Self {
        Self { mux: Some(Mux::default()), ..Self::start().await }
    }

    /// Connections are encrypted.
    pub(crate) async fn start_tls(tls: ServerTls) -> Self {
        Self { tls: Some(tls), ..Self::start().await }
    }

    /// Streams come over websockets, within which TLS may have to follow.
    pub(crate) fn over_websocket(mut self, path: &'static str, tls: bool) -> Self {
        let tls = tls.then(|| ServerTls::new(&ServerTlsOptions::default()).unwrap());
        self.websocket = Some((path, tls));
        self
    }

    /// Expects another token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address().port()
    }

    pub(crate) fn is_mux(&self) -> bool {
        self.mux.is_some()
    }

    /// The key of the control channel and of encrypted proxies.
    pub(crate) fn key(&self) -> Key {
        key::derive(self.token.as_bytes())
    }

    /// The next TCP connection.
    pub(crate) async fn connection(&self) -> Stream {
        let (socket, _) = soon(self.listener.accept()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let stream = Stream::from(socket);
        let stream = match &self.tls {
            Some(tls) => soon(accept_by_first_byte(stream, tls, true)).await.unwrap().0,
            None => stream,
        };
        let Some((path, tls)) = &self.websocket else { return stream };
        let stream = soon(websocket::accept(stream, &[*path], None)).await.unwrap();
        match tls {
            Some(tls) => soon(accept_by_first_byte(stream, tls, true)).await.unwrap().0,
            None => stream,
        }
    }

    /// Whom the next TCP connection comes from; it is closed.
    pub(crate) async fn peer(&self) -> SocketAddr {
        soon(self.listener.accept()).await.unwrap().1
    }

    /// The next stream, of whatever kind.
    pub(crate) async fn stream(&mut self) -> Stream {
        loop {
            let session = self.mux.as_ref().map(|mux| mux.session.clone());
            match session {
                None => return self.connection().await,
                Some(Some(session)) => match soon(session.accept()).await {
                    Some(stream) => return Stream::boxed_with(stream, MuxStream::abandon),
                    None => self.mux.as_mut().unwrap().session = None,
                },
                Some(None) => {
                    let session = self.another_mux_session().await;
                    self.mux.as_mut().unwrap().session = Some(session);
                }
            }
        }
    }

    /// The next multiplexed connection, beside the one that streams are taken from.
    pub(crate) async fn another_mux_session(&mut self) -> frp_mux::Session {
        let (session, driver) = frp_mux::Session::server(self.connection().await, Config::default());
        self.mux.as_mut().unwrap().drivers.spawn(driver);
        session
    }

    /// The multiplexed connection that is there now.
    pub(crate) fn mux_session(&self) -> &frp_mux::Session {
        self.mux.as_ref().unwrap().session.as_ref().unwrap()
    }

    /// The next stream with its first message.
    async fn first(&mut self) -> (Stream, FirstMessage) {
        Self::first_on(self.stream().await).await
    }

    async fn first_on(mut stream: Stream) -> (Stream, FirstMessage) {
        let mut accept = ServerAccept::new([0; 32]);
        let mut buffer = [0; 1024];
        loop {
            let wanted = accept.wanted().unwrap().min(buffer.len());
            let read = soon(stream.read(&mut buffer[..wanted])).await.unwrap();
            assert_ne!(read, 0, "the stream ends before its first message");
            if let (_, Some(first)) = accept.receive(&buffer[..read]).unwrap() {
                return (stream, first);
            }
        }
    }

    /// The next stream, which must begin with a login.
    pub(crate) async fn login(&mut self) -> (Stream, Login, LoginReply) {
        match self.first().await {
            (stream, FirstMessage::Login { login, reply }) => (stream, *login, reply),
            (_, other) => panic!("no login: {other:?}"),
        }
    }

    /// Refuses the next login.
    pub(crate) async fn refuse(&mut self, text: &str) {
        let (mut stream, _, reply) = self.login().await;
        stream.write_all(&reply.refuse(VERSION, text).unwrap()).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Accepts the next login.
    pub(crate) async fn accept(&mut self, run_id: &str) -> Control {
        let (mut stream, login, reply) = self.login().await;
        let (answer, channel) = reply.accept(VERSION, run_id, self.token.as_bytes()).unwrap();
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
        let Channel::V1 { key } = channel else { panic!("no v1 channel") };
        let (reader, writer) = control_channel(stream, &key);
        Control { login, reader, writer }
    }

    /// The next stream, which must be a work connection.
    pub(crate) async fn work_conn(&mut self) -> (Stream, NewWorkConn) {
        Self::work_conn_on(self.stream().await).await
    }

    /// The work connection that this stream must be.
    pub(crate) async fn work_conn_on(stream: Stream) -> (Stream, NewWorkConn) {
        match Self::first_on(stream).await {
            (stream, FirstMessage::WorkConn { message, .. }) => (stream, message),
            (_, other) => panic!("no work connection: {other:?}"),
        }
    }

    /// The next stream, which must be a visitor's.
    pub(crate) async fn visitor_conn(&mut self) -> (Stream, NewVisitorConn) {
        match self.first().await {
            (stream, FirstMessage::VisitorConn { message, .. }) => (stream, message),
            (_, other) => panic!("no visitor: {other:?}"),
        }
    }

    /// Asks for a work connection and starts it for a user of `proxy`.
    pub(crate) async fn user(&mut self, control: &mut Control, proxy: &str) -> Stream {
        let start = StartWorkConn {
            proxy_name: proxy.to_owned(),
            src_addr: "10.0.0.1".to_owned(),
            src_port: 50_000,
            dst_addr: "10.0.0.2".to_owned(),
            dst_port: 6000,
            error: String::new(),
        };
        self.user_with(control, start).await
    }

    /// Asks for a work connection and starts it so.
    pub(crate) async fn user_with(&mut self, control: &mut Control, start: StartWorkConn) -> Stream {
        control.send(ReqWorkConn::default()).await;
        let (mut stream, _) = self.work_conn().await;
        soon(write_message(&mut stream, &start.into())).await.unwrap();
        stream
    }
}

/// A session, as the server sees it. Dropping it closes the control stream.
pub(crate) struct Control {
    pub(crate) login: Login,
    reader: MessageReader,
    writer: MessageWriter,
}

impl Control {
    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        soon(self.writer.send(&message.into())).await.unwrap();
    }

    /// The next message, whatever it is; none at the end of the session.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        soon(self.reader.next()).await.ok()
    }

    /// The next message that is not a ping.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match self.message().await.expect("the session has ended") {
                Message::Ping(_) => {}
                other => return other,
            }
        }
    }

    pub(crate) async fn ping(&mut self) -> Ping {
        match self.message().await {
            Some(Message::Ping(ping)) => ping,
            other => panic!("no ping: {other:?}"),
        }
    }

    /// Waits for the end of the session.
    pub(crate) async fn ended(&mut self) {
        while self.message().await.is_some() {}
    }

    /// The next message, which must offer a proxy.
    pub(crate) async fn offered(&mut self) -> NewProxy {
        match self.next().await {
            Message::NewProxy(message) => *message,
            other => panic!("no NewProxy: {other:?}"),
        }
    }

    /// The next message, which must withdraw a proxy.
    pub(crate) async fn withdrawn(&mut self) -> String {
        match self.next().await {
            Message::CloseProxy(CloseProxy { proxy_name }) => proxy_name,
            other => panic!("no CloseProxy: {other:?}"),
        }
    }

    pub(crate) async fn answer(&mut self, proxy: &str, error: &str) {
        let remote_addr = if error.is_empty() { ":6000" } else { "" };
        self.send(NewProxyResp {
            proxy_name: proxy.to_owned(),
            remote_addr: remote_addr.to_owned(),
            error: error.to_owned(),
        })
        .await;
    }

    /// Accepts the next proxy that is offered.
    pub(crate) async fn start(&mut self) -> NewProxy {
        let offer = self.offered().await;
        self.answer(&offer.proxy_name, "").await;
        offer
    }
}
