//! A scripted frps.

use std::net::SocketAddr;

use frp_mux::{Config, MuxStream};
use frp_net::quic::{self, QuicOptions};
use frp_net::session::Session;
use frp_net::tls::{ServerTls, ServerTlsOptions, accept_by_first_byte};
use frp_net::websocket;
use frp_proto::crypto::transcript::Direction;
use frp_proto::crypto::{Key, RecordKey, Transcript, key};
use frp_proto::exchange::Channel;
use frp_proto::exchange::server::{FirstMessage, LoginReply, ServerAccept};
use frp_proto::hello::{Agreed, ClientHello, ServerHello};
use frp_proto::msg::{
    CloseProxy, Login, LoginResp, Message, NewProxy, NewProxyResp, NewVisitorConn, NewWorkConn, Ping,
    ReqWorkConn, StartWorkConn,
};
use frp_proto::sniff::V2_MAGIC;
use frp_proto::v2;
use frp_proto::wire::{Framing, WireVersion};
use frp_stream::Stream;
use frp_stream::message::{MessageReader, MessageWriter, read_message_in, session_channel, write_message_in};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::{TOKEN, soon};

pub(crate) const VERSION: &str = "0.70.1";

/// A server that does nothing by itself.
pub(crate) struct Frps {
    listener: TcpListener,
    tls: Option<ServerTls>,
    mux: Option<Mux>,
    quic: Option<Quic>,
    /// The path of a websocket, and TLS within it.
    websocket: Option<(&'static str, Option<ServerTls>)>,
    token: String,
    /// What it says of itself.
    version: String,
    /// That of the session.
    wire: WireVersion,
}

/// The multiplexed connection that streams come from.
#[derive(Default)]
struct Mux {
    session: Option<frp_mux::Session>,
    drivers: JoinSet<frp_mux::SessionEnd>,
}

/// The QUIC connection that streams come from.
struct Quic {
    listener: quic::Listener,
    session: Option<quic::Session>,
}

impl Frps {
    /// Every stream is a TCP connection.
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    /// As [`Frps::start`] at an address that was another server's before.
    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self {
            listener,
            tls: None,
            mux: None,
            quic: None,
            websocket: None,
            token: TOKEN.to_owned(),
            version: VERSION.to_owned(),
            wire: WireVersion::V1,
        }
    }

    /// Streams come multiplexed.
    pub(crate) async fn start_mux() -> Self {
        Self { mux: Some(Mux::default()), ..Self::start().await }
    }

    /// Streams come over QUIC.
    pub(crate) async fn start_quic() -> Self {
        Self::start_quic_at(0, &ServerTlsOptions::default()).await
    }

    /// As [`Frps::start_quic`], on a port that was another server's before, or with a certificate.
    pub(crate) async fn start_quic_at(port: u16, tls: &ServerTlsOptions) -> Self {
        let tls = ServerTls::new(tls).unwrap();
        let (options, tasks) = (QuicOptions::default(), TaskTracker::new());
        let listener = quic::Listener::bind("127.0.0.1", port, &tls, &options, 16, &tasks).unwrap();
        Self { quic: Some(Quic { listener, session: None }), ..Self::start().await }
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

    /// Says that it is of another release.
    pub(crate) fn of_release(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// The wire version of the session.
    pub(crate) fn wire(&self) -> WireVersion {
        self.wire
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.quic {
            Some(quic) => quic.listener.local_addr().unwrap(),
            None => self.listener.local_addr().unwrap(),
        }
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
        if self.quic.is_some() {
            return self.quic_stream().await;
        }
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

    async fn quic_stream(&mut self) -> Stream {
        let quic = self.quic.as_mut().unwrap();
        loop {
            if let Some(session) = &quic.session
                && let Some(stream) = soon(session.accept()).await
            {
                return stream.into_stream();
            }
            quic.session = Some(another(&quic.listener).await);
        }
    }

    /// The next QUIC connection, beside the one that streams are taken from.
    pub(crate) async fn another_quic_session(&mut self) -> quic::Session {
        another(&self.quic.as_ref().unwrap().listener).await
    }

    /// The QUIC connection that is there now.
    pub(crate) fn quic_session(&self) -> &quic::Session {
        self.quic.as_ref().unwrap().session.as_ref().unwrap()
    }

    /// The connection of many streams that is there now.
    pub(crate) fn session(&self) -> Session {
        match self.quic {
            Some(_) => Session::Quic(self.quic_session().clone()),
            None => Session::Mux(self.mux_session().clone()),
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
            let (_, first) = accept.receive(&buffer[..read]).unwrap();
            stream.write_all(&accept.take_output()).await.unwrap();
            stream.flush().await.unwrap();
            if let Some(first) = first {
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
        stream.write_all(&reply.refuse(&self.version, text).unwrap()).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Accepts the next login.
    pub(crate) async fn accept(&mut self, run_id: &str) -> Control {
        let (mut stream, login, reply) = self.login().await;
        self.wire = reply.wire();
        let (answer, channel) = reply.accept(&self.version, run_id, self.token.as_bytes()).unwrap();
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
        let (reader, writer) = session_channel(stream, &channel);
        Control { login, reader, writer }
    }

    /// The next stream, which must begin with a hello: that, and its payload as it came.
    pub(crate) async fn hello(&mut self) -> (Stream, ClientHello, Vec<u8>) {
        let mut stream = self.stream().await;
        let mut head = [0; V2_MAGIC.len() + v2::HEADER_LEN];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let (magic, header) = head.split_at(V2_MAGIC.len());
        assert_eq!(magic, V2_MAGIC);
        let (frame_type, length) = v2::parse_header(header.try_into().unwrap()).unwrap();
        assert_eq!(frame_type, v2::CLIENT_HELLO);
        let mut payload = vec![0; length];
        soon(stream.read_exact(&mut payload)).await.unwrap();
        (stream, ClientHello::decode(&payload).unwrap(), payload)
    }

    /// Answers a hello.
    pub(crate) async fn greet(stream: &mut Stream, hello: &[u8]) {
        let length = u32::try_from(hello.len()).unwrap();
        let frame = [&v2::SERVER_HELLO.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), hello].concat();
        stream.write_all(&frame).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Accepts the next login, of wire version 2, as releases do that know datagrams in JSON only.
    pub(crate) async fn accept_json(&mut self, run_id: &str) -> Control {
        let (mut stream, theirs, payload) = self.hello().await;
        let agreed = Agreed { binary_udp: false, ..theirs.agree().unwrap() };
        let ours = ServerHello::new(agreed, [7; 32]).encode();
        Self::greet(&mut stream, &ours).await;
        let Message::Login(login) = soon(read_message_in(&mut stream, Framing::V2)).await.unwrap() else {
            panic!("no login")
        };
        let answer =
            LoginResp { version: self.version.clone(), run_id: run_id.to_owned(), error: String::new() };
        soon(write_message_in(&mut stream, Framing::V2, &answer.into())).await.unwrap();
        self.wire = WireVersion::V2;
        let transcript = Transcript::new(&payload, &ours);
        let key =
            |direction| RecordKey::derive(self.token.as_bytes(), &transcript, agreed.algorithm, direction);
        let (send, receive) = (key(Direction::ServerToClient), key(Direction::ClientToServer));
        let (reader, writer) = session_channel(stream, &Channel::V2 { send, receive });
        Control { login: *login, reader, writer }
    }

    /// The next stream, which must be a work connection.
    pub(crate) async fn work_conn(&mut self) -> (Stream, NewWorkConn) {
        Self::work_conn_on(self.stream().await).await
    }

    /// The work connection that this stream must be.
    pub(crate) async fn work_conn_on(stream: Stream) -> (Stream, NewWorkConn) {
        let (stream, message, _) = Self::work_conn_in(stream).await;
        (stream, message)
    }

    async fn work_conn_in(stream: Stream) -> (Stream, NewWorkConn, WireVersion) {
        match Self::first_on(stream).await {
            (stream, FirstMessage::WorkConn { message, wire }) => (stream, message, wire),
            (_, other) => panic!("no work connection: {other:?}"),
        }
    }

    /// The next stream, which must be a visitor's.
    pub(crate) async fn visitor_conn(&mut self) -> (Stream, NewVisitorConn) {
        match self.first().await {
            (stream, FirstMessage::VisitorConn { message, wire }) => {
                assert_eq!(wire, self.wire);
                (stream, message)
            }
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
        let (mut stream, _, wire) = Self::work_conn_in(self.stream().await).await;
        assert_eq!(wire, self.wire);
        soon(write_message_in(&mut stream, wire.into(), &start.into())).await.unwrap();
        stream
    }
}

async fn another(listener: &quic::Listener) -> quic::Session {
    let session = soon(soon(listener.accept()).await.unwrap().accept()).await.unwrap();
    session.identified();
    session
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
