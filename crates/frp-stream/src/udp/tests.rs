//! Datagrams over work connections, and the forwarder with a local service over loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use frp_proto::{
    crypto::key,
    limits::{MAX_MESSAGE, MAX_V1_PAYLOAD_MESSAGE},
    msg::{Message, MessageKind, Ping, Pong, UdpAddr, UdpPacket},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UdpSocket,
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{
    Layers, Stream,
    message::{ReadError, write_message},
    testing::{Choppy, Random, Script, pipe, recorded},
};

/// Longer than anything over loopback takes; never waited for in a test that passes.
const SOON: Duration = Duration::from_secs(20);

fn user(port: u16) -> UdpAddr {
    SocketAddr::from(([10, 0, 0, 1], port)).into()
}

fn datagram(content: &[u8], port: u16) -> Received {
    Received::Datagram(Datagram { content: content.to_vec(), user: user(port) })
}

#[tokio::test]
async fn recorded_payloads_decode_and_encode_to_the_same_bytes() {
    let payloads = recorded("v1-udp");
    assert_eq!(payloads.len(), 2);
    for payload in payloads {
        for seed in 0..50 {
            let stream = Stream::boxed(Choppy::new(Script::new(&payload.wire), seed, 20));
            let (mut reader, _) = datagram_channel(stream);
            let (near, mut far) = tokio::io::duplex(4096);
            let (near_reader, mut writer) = datagram_channel(Stream::boxed(near));
            for message in &payload.messages {
                let received = reader.next().await.unwrap();
                match (message["name"].as_str().unwrap(), received) {
                    ("UDPPacket", Received::Datagram(Datagram { content, user })) => {
                        let hello = message["json"].as_str().unwrap().contains("aGVsbG8=");
                        assert_eq!(content, if hello { &b"hello"[..] } else { b"" });
                        assert_eq!(writer.send(&content, &user).await.unwrap(), Sent::Sent);
                    }
                    ("Ping", Received::Ping) => writer.ping().await.unwrap(),
                    (name, other) => panic!("{other:?} instead of {name}"),
                }
            }
            assert!(matches!(reader.next().await, Err(ReadError::Closed)));
            drop((writer, near_reader));
            let mut wire = Vec::new();
            far.read_to_end(&mut wire).await.unwrap();
            assert_eq!(wire, payload.wire, "{}", payload.name);
        }
    }
}

#[tokio::test]
async fn the_longest_datagram_passes_and_a_longer_one_is_dropped_alone() {
    let (near, far) = pipe(100_000);
    let (_near_reader, mut writer) = datagram_channel(near);
    let (mut reader, _far_writer) = datagram_channel(far);
    // Upstream's limit by measurement, with a user's address of these lengths.
    let local = SocketAddr::from(([127, 0, 0, 1], 57_556)).into();
    let content = Random::new(1).bytes(65_507);
    for (len, sent) in [
        (0, Sent::Sent),
        (7638, Sent::Sent),
        (7639, Sent::TooLong),
        (MAX_MESSAGE, Sent::TooLong),
        (65_507, Sent::TooLong),
        (1, Sent::Sent),
    ] {
        assert_eq!(writer.send(&content[..len], &local).await.unwrap(), sent, "{len} bytes");
        if sent == Sent::Sent {
            let Received::Datagram(received) = reader.next().await.unwrap() else { panic!("no datagram") };
            assert!(received.content == content[..len] && received.user == local);
        }
    }
}

/// A peer of a coming release, in wire version 1.
#[tokio::test]
async fn longer_datagrams_are_read_than_are_sent() {
    let (near, mut far) = pipe(1 << 20);
    let (mut reader, _writer) = datagram_channel(near);
    let content = Random::new(1).bytes(65_507);
    let user = UdpAddr::from(SocketAddr::from(([127, 0, 0, 1], 57_556)));
    let mut body = Vec::new();
    let message =
        UdpPacket { content: content.clone(), remote_addr: Some(user.clone()), ..UdpPacket::default() };
    Message::from(message).write_json(&mut body);
    let frame = |length: usize| [&b"u"[..], &(length as u64).to_be_bytes()].concat();
    far.write_all(&[frame(body.len()), body].concat()).await.unwrap();
    write_message(&mut far, &Ping::default().into()).await.unwrap();
    let Received::Datagram(received) = reader.next().await.unwrap() else { panic!("no datagram") };
    assert!(received.content == content && received.user == user);
    assert_eq!(reader.next().await.unwrap(), Received::Ping);
    // Nothing is waited for beyond the bound.
    far.write_all(&frame(MAX_V1_PAYLOAD_MESSAGE + 1)).await.unwrap();
    assert!(matches!(reader.next().await, Err(ReadError::Decode(_))));
}

#[tokio::test]
async fn what_is_no_datagram_is_told_apart() {
    let (near, mut far) = pipe(4096);
    let (mut reader, _writer) = datagram_channel(near);
    let nobody = UdpPacket { content: b"x".to_vec(), ..UdpPacket::default() };
    for message in [Message::from(Ping::default()), Pong::default().into(), nobody.into()] {
        write_message(&mut far, &message).await.unwrap();
    }
    assert_eq!(reader.next().await.unwrap(), Received::Ping);
    assert_eq!(reader.next().await.unwrap(), Received::Other(MessageKind::Pong));
    assert_eq!(reader.next().await.unwrap(), Received::Other(MessageKind::UdpPacket));
    far.write_all(b"\0").await.unwrap();
    assert!(matches!(reader.next().await, Err(ReadError::Decode(_))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_work_connection_times_out() {
    let (near, _far) = pipe(64);
    let (mut reader, _writer) = datagram_channel(near);
    assert!(matches!(reader.next_within(READ_TIMEOUT).await, Err(ReadError::Timeout)));
}

/// A local service that answers every datagram with its own bytes, behind `prefix` of the sender's port.
struct Echo {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
}

impl Echo {
    async fn start() -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        Self { address: socket.local_addr().unwrap(), socket }
    }

    /// The next datagram and who sent it.
    async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 65_536];
        let (len, from) = timeout(SOON, self.socket.recv_from(&mut buffer)).await.unwrap().unwrap();
        buffer.truncate(len);
        (buffer, from)
    }
}

/// A forwarder under way, and the server's side of its work connection.
struct Forwarding {
    reader: DatagramReader,
    writer: DatagramWriter,
    tasks: JoinSet<ForwarderReport>,
}

impl Forwarding {
    fn start(options: ForwarderOptions) -> Self {
        let layers = Layers { encryption: Some(key::derive(b"")), compression: true, limiter: None };
        let (near, far) = pipe(16 * 1024);
        let (reader, writer) = datagram_channel(layers.clone().apply(near));
        let mut tasks = JoinSet::new();
        tasks.spawn(Forwarder::new(options).run(layers.apply(far)));
        Self { reader, writer, tasks }
    }

    async fn send(&mut self, content: &[u8], port: u16) {
        assert_eq!(self.writer.send(content, &user(port)).await.unwrap(), Sent::Sent);
    }

    async fn receive(&mut self) -> Received {
        self.reader.next_within(SOON).await.unwrap()
    }

    async fn end(mut self) -> ForwarderReport {
        drop((self.reader, self.writer));
        timeout(SOON, self.tasks.join_next()).await.unwrap().unwrap().unwrap()
    }
}

#[tokio::test]
async fn every_user_has_a_socket_of_its_own() {
    let echo = Echo::start().await;
    let mut forwarding = Forwarding::start(ForwarderOptions::new(echo.address));
    let mut sources = Vec::new();
    for port in 1..=20_u16 {
        forwarding.send(&port.to_be_bytes(), port).await;
        let (content, from) = echo.receive().await;
        assert_eq!(content, port.to_be_bytes());
        sources.push((port, from));
    }
    // Answers in another order find their users, also the empty one.
    for (port, from) in sources.iter().rev() {
        echo.socket.send_to(b"", from).await.unwrap();
        assert_eq!(forwarding.receive().await, datagram(b"", *port));
    }
    // A second datagram comes from the same socket.
    forwarding.send(b"again", 7).await;
    assert_eq!(echo.receive().await, (b"again".to_vec(), sources[6].1));
    let mut different: Vec<_> = sources.iter().map(|(_, from)| from).collect();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 20);
    let report = forwarding.end().await;
    assert!(matches!(report.end, ForwarderEnd::Read(ReadError::Closed)));
    assert_eq!((report.to_service, report.to_user), (45, 0));
}

#[tokio::test]
async fn replies_are_cut_to_the_packet_size_and_dropped_if_no_message_holds_them() {
    let echo = Echo::start().await;
    let options = ForwarderOptions { packet_size: 9000, ..ForwarderOptions::new(echo.address) };
    let mut forwarding = Forwarding::start(options);
    // What a user sends is not cut here.
    let long = Random::new(1).bytes(7000);
    forwarding.send(&long, 1).await;
    let (content, from) = echo.receive().await;
    assert!(content == long);
    for len in [9000, 20_000, 5] {
        echo.socket.send_to(&vec![1; len], from).await.unwrap();
    }
    assert_eq!(forwarding.receive().await, datagram(&[1; 5], 1));
    assert_eq!(forwarding.end().await.too_long, 2);

    let mut forwarding = Forwarding::start(ForwarderOptions::new(echo.address));
    forwarding.send(&long, 1).await;
    let (_, from) = echo.receive().await;
    echo.socket.send_to(&long, from).await.unwrap();
    assert_eq!(forwarding.receive().await, datagram(&long[..1500], 1));
}

#[tokio::test]
async fn the_header_precedes_the_first_datagram_of_each_user() {
    let echo = Echo::start().await;
    let header: HeaderFn =
        Arc::new(|user, local| (user.port != 3).then(|| format!("{} {};", user.port, local.port()).into()));
    let options = ForwarderOptions { header: Some(header), ..ForwarderOptions::new(echo.address) };
    let mut forwarding = Forwarding::start(options);
    let local = echo.address.port();
    for (port, content) in
        [(1, format!("1 {local};x")), (1, "x".into()), (2, format!("2 {local};x")), (3, "x".into())]
    {
        forwarding.send(b"x", port).await;
        assert_eq!(echo.receive().await.0, content.as_bytes());
    }
    assert_eq!(forwarding.end().await.to_service, 4);
}

#[tokio::test]
async fn one_user_too_many_ends_the_session_idle_longest() {
    let echo = Echo::start().await;
    let options = ForwarderOptions { max_sessions: 2, ..ForwarderOptions::new(echo.address) };
    let mut forwarding = Forwarding::start(options);
    let mut sources = Vec::new();
    for port in [1, 2, 1, 3, 1, 2] {
        pass(Duration::from_millis(10)).await;
        forwarding.send(b"x", port).await;
        sources.push(echo.receive().await.1);
    }
    assert_eq!((sources[0], sources[0]), (sources[2], sources[4]));
    assert_ne!(sources[1], sources[5]);
}

#[tokio::test]
async fn a_service_that_comes_later_gets_the_next_datagram() {
    let echo = Echo::start().await;
    let address = echo.address;
    drop(echo);
    let mut forwarding = Forwarding::start(ForwarderOptions::new(address));
    for port in [1, 1, 1, 2] {
        forwarding.send(b"lost", port).await;
    }
    // Once a later session is answered, all before was sent, and refused.
    let socket = Arc::new(UdpSocket::bind(address).await.unwrap());
    let echo = Echo { address, socket };
    forwarding.send(b"here", 3).await;
    while echo.receive().await.0 != b"here" {}
    forwarding.send(b"here", 1).await;
    assert_eq!(echo.receive().await.0, b"here");
}

/// Lets time pass for timers alone: while a socket is awaited, a paused clock would run ahead.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn idle_sessions_end_and_activity_either_way_keeps_them() {
    let echo = Echo::start().await;
    let mut forwarding = Forwarding::start(ForwarderOptions::new(echo.address));
    forwarding.send(b"x", 1).await;
    let (_, first) = echo.receive().await;
    let almost = SESSION_IDLE - Duration::from_secs(1);
    for _ in 0..3 {
        pass(almost).await;
        echo.socket.send_to(b"y", first).await.unwrap();
        while forwarding.receive().await == Received::Ping {}
    }
    for _ in 0..3 {
        pass(almost).await;
        forwarding.send(b"x", 1).await;
        assert_eq!(echo.receive().await.1, first);
    }
    pass(SESSION_IDLE + Duration::from_secs(1)).await;
    forwarding.send(b"x", 1).await;
    assert_ne!(echo.receive().await.1, first);
}

#[tokio::test(start_paused = true)]
async fn pings_come_every_thirty_seconds_and_the_first_after_thirty() {
    let (near, far) = pipe(4096);
    let (mut reader, _writer) = datagram_channel(near);
    let mut tasks = JoinSet::new();
    tasks.spawn(Forwarder::new(ForwarderOptions::new(([127, 0, 0, 1], 9).into())).run(far));
    let start = tokio::time::Instant::now();
    for beat in 1..4 {
        assert_eq!(reader.next().await.unwrap(), Received::Ping);
        assert_eq!(start.elapsed().as_secs(), 30 * beat);
    }
}

#[tokio::test]
async fn a_bad_message_ends_the_forwarder_and_closes_its_work_connection() {
    let (mut near, far) = pipe(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(Forwarder::new(ForwarderOptions::new(([127, 0, 0, 1], 9).into())).run(far));
    near.write_all(&[b'u', 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]).await.unwrap();
    let report = tasks.join_next().await.unwrap().unwrap();
    let ForwarderEnd::Read(error) = report.end else { panic!("{report:?}") };
    assert_eq!(error.to_string(), "message length exceed the limit");
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_flood_of_users_and_replies_stays_bounded() {
    let echo = Echo::start().await;
    let options = ForwarderOptions { max_sessions: 8, ..ForwarderOptions::new(echo.address) };
    let mut forwarding = Forwarding::start(options);
    let answered = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (answered, socket) = (answered.clone(), echo.socket.clone());
        async move {
            let mut buffer = [0; 100];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                // Some sessions are gone by now.
                let _ = socket.send_to(&buffer[..len], from).await;
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    // Nobody reads the answers for a while; datagrams are dropped and the forwarder lives.
    for port in 0..3000 {
        forwarding.send(b"flood", port).await;
    }
    forwarding.send(b"alive", 4000).await;
    while forwarding.receive().await != datagram(b"alive", 4000) {}
    assert!(answered.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn batches_are_the_messages_in_order_however_they_are_cut() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let (near, far) = tokio::io::duplex(60_000);
        let (_near_reader, mut writer) = datagram_channel(Stream::boxed(near));
        let (mut reader, _far_writer) = datagram_channel(Stream::boxed(Choppy::new(far, seed, 5000)));
        let mut sent = Vec::new();
        let write = async {
            for _ in 0..200 {
                let (length, port) = (random.size(2000) - 1, random.byte() % 3);
                let content = random.bytes(length);
                assert_eq!(writer.feed(&content, &user(port.into())).await.unwrap(), Sent::Sent);
                sent.push((user(port.into()), content));
                if random.byte() < 50 {
                    writer.flush().await.unwrap();
                }
                if random.byte() < 10 {
                    writer.ping().await.unwrap();
                }
            }
            writer.flush().await.unwrap();
        };
        let mut received = Vec::new();
        let read = async {
            while received.len() < 200 {
                let batch = reader.batch().await.unwrap();
                for (user, mut bytes, lengths) in batch.runs() {
                    assert!(!lengths.is_empty());
                    for &length in lengths {
                        let (datagram, rest) = bytes.split_at(length);
                        received.push((user.clone(), datagram.to_vec()));
                        bytes = rest;
                    }
                    assert!(bytes.is_empty());
                }
            }
        };
        tokio::join!(write, read);
        assert!(received == sent, "seed {seed}");
    }
}

#[tokio::test]
async fn what_stands_before_a_bad_message_is_delivered() {
    let (near, far) = pipe(10_000);
    let (mut reader, _writer) = datagram_channel(near);
    let (far_reader, mut writer) = datagram_channel(far);
    writer.send(b"good", &user(1)).await.unwrap();
    drop((far_reader, writer));
    let batch = reader.batch().await.unwrap();
    assert_eq!(batch.bytes, b"good");
    assert!(matches!(reader.batch().await, Err(ReadError::Closed)));
}

/// Counts of a port.
#[derive(Default)]
struct Counts {
    inbound: AtomicUsize,
    outbound: AtomicUsize,
    too_long: AtomicUsize,
}

impl Meter for Arc<Counts> {
    fn inbound(&self, bytes: u64) {
        self.inbound.fetch_add(usize::try_from(bytes).unwrap(), Ordering::Relaxed);
    }
    fn outbound(&self, bytes: u64) {
        self.outbound.fetch_add(usize::try_from(bytes).unwrap(), Ordering::Relaxed);
    }
    fn too_long(&self, length: usize) {
        self.too_long.fetch_add(length, Ordering::Relaxed);
    }
}

/// A port under way whose work connection leads to a forwarder, and a user of it.
struct Ported {
    user: UdpSocket,
    port: Arc<UserPort<Arc<Counts>>>,
    counts: Arc<Counts>,
    tasks: JoinSet<()>,
}

impl Ported {
    async fn start(bind: &str, packet_size: usize) -> Self {
        let socket = UdpSocket::bind(bind).await.unwrap();
        let address = socket.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let port = Arc::new(UserPort::new(socket, packet_size, counts.clone()));
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.connect(("127.0.0.1", address.port())).await.unwrap();
        let mut tasks = JoinSet::new();
        let receiving = port.clone();
        tasks.spawn(async move { match receiving.receive().await {} });
        Self { user, port, counts, tasks }
    }

    fn exchange(&mut self) -> Stream {
        let (near, far) = pipe(64 * 1024);
        let port = self.port.clone();
        self.tasks.spawn(async move {
            port.exchange(near).await;
        });
        far
    }

    async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = timeout(SOON, self.user.recv(&mut buffer)).await.unwrap().unwrap();
        buffer.truncate(length);
        buffer
    }
}

#[tokio::test]
async fn a_port_carries_datagrams_both_ways_and_counts_them() {
    for bind in ["127.0.0.1:0", "[::]:0"] {
        let echo = Echo::start().await;
        let mut ported = Ported::start(bind, 9000).await;
        let far = ported.exchange();
        let options = ForwarderOptions { packet_size: 9000, ..ForwarderOptions::new(echo.address) };
        ported.tasks.spawn(async move {
            Forwarder::new(options).run(far).await;
        });
        let mut bytes = 0;
        for length in [0, 1, 1500, 7600, 0] {
            let content = Random::new(length as u64).bytes(length);
            ported.user.send(&content).await.unwrap();
            let (received, from) = echo.receive().await;
            assert!(received == content);
            echo.socket.send_to(&content, from).await.unwrap();
            assert!(ported.receive().await == content);
            bytes += length;
        }
        // Too long for a message: gone alone, and counted.
        ported.user.send(&vec![1; 7660]).await.unwrap();
        ported.user.send(&vec![2; 8000]).await.unwrap();
        ported.user.send(b"last").await.unwrap();
        assert_eq!(echo.receive().await.0, b"last");
        let counts = &ported.counts;
        assert_eq!(counts.too_long.load(Ordering::Relaxed), 7660 + 8000);
        assert_eq!(counts.outbound.load(Ordering::Relaxed), bytes);
    }
}

#[tokio::test]
async fn a_port_cuts_what_is_longer_than_its_packet_size() {
    let mut ported = Ported::start("127.0.0.1:0", 1500).await;
    let (mut reader, _writer) = datagram_channel(ported.exchange());
    for length in [1499, 1500, 1501, 65_507] {
        ported.user.send(&vec![7; length]).await.unwrap();
        let Received::Datagram(datagram) = reader.next_within(SOON).await.unwrap() else { panic!() };
        assert_eq!(datagram.content, vec![7; length.min(1500)]);
        assert_eq!(datagram.user, ported.user.local_addr().unwrap().into());
    }
}

#[tokio::test]
async fn what_comes_between_two_work_connections_waits_or_is_discarded() {
    let mut ported = Ported::start("127.0.0.1:0", 1500).await;
    ported.user.send(b"first").await.unwrap();
    timeout(SOON, ported.port.waiting()).await.unwrap();
    ported.port.discard();
    ported.user.send(b"second").await.unwrap();
    timeout(SOON, ported.port.waiting()).await.unwrap();
    for expected in [&b"second"[..], b"third"] {
        let far = ported.exchange();
        let (mut reader, writer) = datagram_channel(far);
        let Received::Datagram(datagram) = reader.next_within(SOON).await.unwrap() else { panic!() };
        assert_eq!(datagram.content, expected);
        // It fails, and the next one gets what comes then.
        drop((reader, writer));
        while ported.tasks.len() > 1 {
            timeout(SOON, ported.tasks.join_next()).await.unwrap().unwrap().unwrap();
        }
        ported.user.send(b"third").await.unwrap();
    }
}

#[tokio::test]
async fn a_work_connection_that_takes_nothing_bounds_what_waits() {
    let mut ported = Ported::start("127.0.0.1:0", 1500).await;
    let (mut reader, _writer) = datagram_channel(ported.exchange());
    // Nobody reads; far more is sent than the queue and the socket hold.
    for number in 0..20_000_u32 {
        ported.user.send(&[&number.to_be_bytes()[..], &[0; 1000]].concat()).await.unwrap();
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut last = None;
    let mut count = 0;
    // What was kept comes in order; then what is sent now comes, too.
    while let Ok(Received::Datagram(datagram)) = reader.next_within(Duration::from_millis(300)).await {
        let number = u32::from_be_bytes(datagram.content[..4].try_into().unwrap());
        assert!(last < Some(number));
        last = Some(number);
        count += 1;
    }
    assert!((QUEUE..20_000).contains(&count), "{count}");
    ported.user.send(b"now").await.unwrap();
    let Received::Datagram(datagram) = reader.next_within(SOON).await.unwrap() else { panic!() };
    assert_eq!(datagram.content, b"now");
}

#[tokio::test]
async fn ten_thousand_users_keep_to_the_bound() {
    let echo = Echo::start().await;
    let options = ForwarderOptions { max_sessions: 100, ..ForwarderOptions::new(echo.address) };
    let mut forwarding = Forwarding::start(options);
    let mut sources = std::collections::HashSet::new();
    for port in 0..10_000 {
        forwarding.send(b"x", port).await;
        sources.insert(echo.receive().await.1);
        if port % 50 == 0 {
            // One who comes again and again keeps its socket.
            forwarding.send(b"steady", 20_000).await;
            let (content, from) = echo.receive().await;
            assert_eq!(content, b"steady");
            assert!(port == 0 || sources.contains(&from));
            sources.insert(from);
        }
    }
    // All answers of those that are there still arrive.
    for port in 9_950..10_000 {
        forwarding.send(b"y", port).await;
        let (_, from) = echo.receive().await;
        echo.socket.send_to(b"z", from).await.unwrap();
        assert_eq!(forwarding.receive().await, datagram(b"z", port));
    }
}
