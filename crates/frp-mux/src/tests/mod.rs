mod cancel;
mod close;
mod load;
mod peer;
mod rules;
mod turns;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;

use crate::frame::{Flags, HEADER_LEN, Header, Kind};
use crate::{Config, MuxStream, Session, SessionEnd};

/// A session of ours and the task of its driver.
struct Running {
    session: Session,
    driver: JoinSet<SessionEnd>,
}

impl Running {
    fn start<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        client: bool,
        io: T,
        config: Config,
    ) -> Self {
        let (session, driver) =
            if client { Session::client(io, config) } else { Session::server(io, config) };
        let mut tasks = JoinSet::new();
        tasks.spawn(driver);
        Self { session, driver: tasks }
    }

    async fn end(&mut self) -> SessionEnd {
        self.driver.join_next().await.unwrap().unwrap()
    }
}

/// Two sessions of ours, joined by a pipe of `pipe` bytes.
fn pair(pipe: usize) -> (Running, Running) {
    pair_with(pipe, Config::default())
}

fn pair_with(pipe: usize, config: Config) -> (Running, Running) {
    let (left, right) = duplex(pipe);
    (Running::start(true, left, config.clone()), Running::start(false, right, config))
}

/// A stream of the client and its other end.
async fn stream_pair(client: &Running, server: &Running) -> (MuxStream, MuxStream) {
    let near = client.session.open().await.unwrap();
    let far = server.session.accept().await.unwrap();
    assert_eq!(near.id(), far.id());
    (near, far)
}

/// A peer that sends and expects single frames.
struct RawPeer {
    io: DuplexStream,
}

impl RawPeer {
    async fn send(&mut self, header: Header) {
        self.io.write_all(&header.encode()).await.unwrap();
    }

    async fn send_data(&mut self, id: u32, payload: &[u8]) {
        self.send(Header::data(id, u32::try_from(payload.len()).unwrap())).await;
        self.io.write_all(payload).await.unwrap();
    }

    /// The next frame of the other side.
    async fn frame(&mut self) -> (Header, Vec<u8>) {
        let mut bytes = [0; HEADER_LEN];
        self.io.read_exact(&mut bytes).await.unwrap();
        let header = Header::decode(bytes).unwrap();
        let len = if header.kind == Kind::Data { header.length as usize } else { 0 };
        let mut payload = vec![0; len];
        self.io.read_exact(&mut payload).await.unwrap();
        (header, payload)
    }

    async fn expect(&mut self, header: Header) {
        assert_eq!(self.frame().await.0, header);
    }

    async fn expect_data(&mut self, id: u32, payload: &[u8]) {
        let (header, data) = self.frame().await;
        assert_eq!((header, &data[..]), (Header::data(id, header.length), payload));
    }

    async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.io.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }
}

/// A server session of ours and a scripted client.
fn server_and_peer() -> (Running, RawPeer) {
    server_and_peer_with(Config::default())
}

fn server_and_peer_with(config: Config) -> (Running, RawPeer) {
    let (ours, theirs) = duplex(1 << 20);
    (Running::start(false, ours, config), RawPeer { io: theirs })
}

/// A client session of ours and a scripted server.
fn client_and_peer() -> (Running, RawPeer) {
    let (ours, theirs) = duplex(1 << 20);
    (Running::start(true, ours, Config::default()), RawPeer { io: theirs })
}

/// A stream that the scripted client has opened and we have accepted.
async fn accepted(server: &Running, peer: &mut RawPeer, id: u32) -> MuxStream {
    peer.send(Header::window(id, Flags::SYN, 0)).await;
    let stream = server.session.accept().await.unwrap();
    peer.expect(Header::window(id, Flags::ACK, 0)).await;
    stream
}
