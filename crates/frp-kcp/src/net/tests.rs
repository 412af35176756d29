//! Conversations over loopback.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::config::Config;
use crate::fec::Datagram;
use crate::segment::{Command, Segment};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("nothing happened for a long time")
}

struct Server {
    listener: Listener,
    addr: SocketAddr,
    tasks: JoinSet<()>,
}

impl Server {
    async fn start(config: Config) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let (listener, driver) = Listener::new(socket, config).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(std::future::pending()));
        Self { listener, addr, tasks }
    }

    /// A stream and its other end, which has read `hello`.
    async fn pair(&mut self, config: Config) -> (KcpStream, KcpStream) {
        let (mut near, driver) = connect(self.addr, config).await.unwrap();
        self.tasks.spawn(driver);
        near.write_all(b"hello").await.unwrap();
        let mut far = soon(self.listener.accept()).await.unwrap().stream;
        let mut read = [0; 5];
        soon(far.read_exact(&mut read)).await.unwrap();
        assert_eq!(&read, b"hello");
        (near, far)
    }
}

fn begin(conv: u32, sn: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let segment = Segment { conv, command: Command::Push, fragment: 0, window: 128, ts: 0, sn, una: 0 };
    segment.encode(payload.len(), &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn bytes_go_both_ways_and_ends_arrive() {
    let mut server = Server::start(Config::multiplexed()).await;
    let (mut near, mut far) = server.pair(Config::multiplexed()).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let expected = bytes.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut read, mut write) = tokio::io::split(&mut far);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        write.shutdown().await.unwrap();
    });
    let (mut read, mut write) = tokio::io::split(&mut near);
    let writes = async {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut came = Vec::new();
    let reads = async {
        read.read_to_end(&mut came).await.unwrap();
    };
    soon(async { tokio::join!(writes, reads) }).await;
    assert!(came == expected);
}

#[tokio::test]
async fn who_drops_a_stream_is_noticed() {
    let mut server = Server::start(Config::single()).await;
    let (near, mut far) = server.pair(Config::single()).await;
    drop(near);
    assert_eq!(soon(far.read(&mut [0])).await.unwrap(), 0);
    assert_eq!(soon(write_error(&mut far)).await.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_write_after_the_end_fails_and_reading_goes_on() {
    let mut server = Server::start(Config::single()).await;
    let (mut near, mut far) = server.pair(Config::single()).await;
    near.shutdown().await.unwrap();
    assert_eq!(soon(near.write(b"x")).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    near.flush().await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(soon(far.read(&mut [0])).await.unwrap(), 0);
    far.write_all(b"answer").await.unwrap();
    let mut read = [0; 6];
    soon(near.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"answer");
}

#[tokio::test]
async fn what_was_written_before_a_drop_arrives() {
    let mut server = Server::start(Config::single()).await;
    let (mut near, mut far) = server.pair(Config::single()).await;
    near.write_all(&[7; 100_000]).await.unwrap();
    drop(near);
    let mut came = Vec::new();
    soon(far.read_to_end(&mut came)).await.unwrap();
    assert!(came == [7; 100_000]);
}

#[tokio::test]
async fn a_port_that_nobody_has_is_told() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let (mut stream, driver) = connect(addr, Config::multiplexed()).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    stream.write_all(b"hello").await.unwrap();
    let error = soon(stream.read(&mut [0])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::ConnectionRefused, "connection refused")
    );
}

#[tokio::test]
async fn two_ends_that_know_their_number_need_no_listener() {
    let sockets =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let [one, other] = sockets;
    one.connect(addresses[1]).await.unwrap();
    other.connect(addresses[0]).await.unwrap();
    let mut tasks = JoinSet::new();
    let (mut one, driver) = over(one, 1, Config::tunnel()).unwrap();
    tasks.spawn(driver);
    let (mut other, driver) = over(other, 1, Config::tunnel()).unwrap();
    tasks.spawn(driver);
    other.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    soon(one.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn the_end_of_the_driver_ends_its_streams() {
    let mut server = Server::start(Config::single()).await;
    let (_near, mut far) = server.pair(Config::single()).await;
    server.tasks.abort_all();
    assert_eq!(soon(far.read(&mut [0])).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(soon(server.listener.accept()).await.is_none());
}

/// What a peer that has left had sent before may not come any more.
#[tokio::test]
async fn a_reader_of_a_peer_that_left_does_not_wait_longer_than_the_conversation_lasts() {
    for is_replaced in [false, true] {
        let mut server = Server::start(Config::multiplexed()).await;
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut stream = left_without_its_tail(&mut server, &peer).await;
        assert!(polled(&mut stream, &mut [0]).await.is_pending());
        let expected = if is_replaced {
            peer.send_to(&begin(5, 0, b"new"), server.addr).await.unwrap();
            ErrorKind::ConnectionReset
        } else {
            server.tasks.abort_all();
            ErrorKind::NotConnected
        };
        assert_eq!(soon(stream.read(&mut [0])).await.unwrap_err().kind(), expected);
    }
}

#[tokio::test]
async fn a_reader_of_a_peer_that_left_without_its_tail_waits_for_a_bounded_time() {
    let mut server = Server::start(Config::multiplexed()).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut stream = left_without_its_tail(&mut server, &peer).await;
    tokio::time::pause();
    let read = timeout(Duration::from_secs(60), async { stream.read(&mut [0]).await }).await;
    assert_eq!(read.expect("it waits").unwrap_err().kind(), ErrorKind::TimedOut);
}

/// A conversation with number 4 whose peer has sent `hello`, and has left after segments that never came.
async fn left_without_its_tail(server: &mut Server, peer: &UdpSocket) -> KcpStream {
    peer.send_to(&begin(4, 0, b"hello"), server.addr).await.unwrap();
    peer.send_to(&leaves(4, 5), server.addr).await.unwrap();
    let mut stream = soon(server.listener.accept()).await.unwrap().stream;
    soon(stream.read_exact(&mut [0; 5])).await.unwrap();
    assert_eq!(soon(write_error(&mut stream)).await.kind(), ErrorKind::BrokenPipe);
    stream
}

/// Says that the stream ends before segment `sn`, and that nobody reads.
fn leaves(conv: u32, sn: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let segment = Segment { conv, command: Command::Tell, fragment: 1 | 4, window: 2048, ts: 0, sn, una: 0 };
    segment.encode(0, &mut bytes);
    bytes
}

/// Writes until that fails.
async fn write_error(stream: &mut KcpStream) -> std::io::Error {
    loop {
        if let Err(error) = stream.write_all(b"x").await {
            return error;
        }
        tokio::task::yield_now().await;
    }
}

/// What reading comes to at this moment.
async fn polled(stream: &mut KcpStream, into: &mut [u8]) -> Poll<std::io::Result<()>> {
    let mut into = ReadBuf::new(into);
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut into))).await
}

/// Nobody is accepted twice, and only who begins is accepted.
#[tokio::test]
async fn a_newer_conversation_takes_the_place_of_an_older_one_once_it_is_proven() {
    let mut server = Server::start(Config::single()).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let send = async |datagram: &[u8]| assert!(peer.send_to(datagram, server.addr).await.is_ok());
    // None of these begins anything.
    send(&begin(1, 40, b"late")).await;
    send(&begin(2, 0, b"")).await;
    send(&begin(4, 0, b"old")).await;
    let mut old = soon(server.listener.accept()).await.unwrap().stream;
    send(&begin(4, 0, b"old")).await;
    prove(&peer, &mut old, server.addr, 4).await;
    // Now it has its place, until somebody else has proved to be there.
    send(&begin(5, 3, b"late")).await;
    send(&begin(5, 0, b"new")).await;
    let mut new = soon(server.listener.accept()).await.unwrap().stream;
    let mut read = [0; 3];
    soon(old.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"old");
    soon(new.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"new");
    // Whoever has begun does not yet take the place.
    assert!(polled(&mut old, &mut read).await.is_pending());
    prove(&peer, &mut new, server.addr, 5).await;
    assert_eq!(soon(old.read(&mut read)).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Acknowledges what the listener sends on this conversation.
async fn prove(peer: &UdpSocket, stream: &mut KcpStream, to: SocketAddr, conv: u32) {
    stream.write_all(b"prove it").await.unwrap();
    let mut buffer = [0; 2000];
    loop {
        let length = soon(peer.recv(&mut buffer)).await.unwrap();
        let mut rest = &buffer[8..length];
        while let Ok(Some((segment, _, after))) = Segment::decode(rest) {
            rest = after;
            if segment.conv == conv && segment.command == Command::Push {
                let mut bytes = Vec::new();
                let ack = Segment { command: Command::Ack, una: segment.sn + 1, window: 128, ..segment };
                ack.encode(0, &mut bytes);
                peer.send_to(&bytes, to).await.unwrap();
                return;
            }
        }
    }
}

/// Waits until everything that was sent on this conversation has been taken.
async fn answered(peer: &UdpSocket, to: SocketAddr, conv: u32) {
    let mut bytes = Vec::new();
    let ask = Segment { conv, command: Command::Ask, fragment: 0, window: 128, ts: 0, sn: 0, una: 1 };
    ask.encode(0, &mut bytes);
    peer.send_to(&bytes, to).await.unwrap();
    let mut buffer = [0; 2000];
    loop {
        let length = soon(peer.recv(&mut buffer)).await.unwrap();
        let mut rest =
            Datagram::parse(&buffer[..length]).and_then(|datagram| datagram.segments()).unwrap_or_default();
        while let Ok(Some((segment, _, after))) = Segment::decode(rest) {
            rest = after;
            if segment.command == Command::Tell {
                return;
            }
        }
    }
}

#[tokio::test]
async fn little_is_kept_of_a_peer_until_it_is_proven() {
    let mut server = Server::start(Config::single()).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for sn in 0..70 {
        peer.send_to(&begin(4, sn, b"x"), server.addr).await.unwrap();
    }
    let mut stream = soon(server.listener.accept()).await.unwrap().stream;
    prove(&peer, &mut stream, server.addr, 4).await;
    answered(&peer, server.addr, 4).await;
    peer.send_to(&begin(4, 70, b"x"), server.addr).await.unwrap();
    soon(stream.read_exact(&mut [0; 64])).await.unwrap();
    assert!(polled(&mut stream, &mut [0]).await.is_pending());
    for sn in (64..200).rev() {
        peer.send_to(&begin(4, sn, b"x"), server.addr).await.unwrap();
    }
    soon(stream.read_exact(&mut [0; 200 - 64])).await.unwrap();
}

#[tokio::test]
async fn strangers_have_a_bound_and_the_oldest_goes() {
    let mut server = Server::start(Config::single()).await;
    let mut accepted = Vec::new();
    for source in 0..=UNPROVEN {
        let [.., high, low] = source.to_be_bytes();
        let stranger = UdpSocket::bind((std::net::Ipv4Addr::new(127, 1, high, low), 0)).await.unwrap();
        stranger.send_to(&begin(9, 0, b"x"), server.addr).await.unwrap();
        accepted.push(soon(server.listener.accept()).await.unwrap().stream);
    }
    let mut buffer = [0; 2];
    let mut accepted = accepted.into_iter();
    let mut oldest = accepted.next().unwrap();
    let gone = async {
        loop {
            if let Err(error) = oldest.read(&mut buffer).await {
                return error.kind();
            }
        }
    };
    assert_eq!(soon(gone).await, ErrorKind::ConnectionReset);
    for mut other in accepted {
        assert_eq!(soon(other.read(&mut buffer)).await.unwrap(), 1);
    }
}
