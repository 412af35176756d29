//! Hostile peers on bindPort, with a legitimate client in their midst.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use frp_kcp::segment::{Command, Segment};
use frp_proto::digest;
use frp_proto::msg::{Login, Message};
use frp_proto::v1;
use frp_test_support::ports;
use frp_test_support::tunnel::Setting;
use rand::RngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::scene::Outcome;
use crate::victim::Victim;

/// How long an attacker waits for the server's reaction before it gives up.
const PATIENCE: Duration = Duration::from_secs(15);

const HALF_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half a hello";

/// One kind of attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Whether the server multiplexes, as by default.
    mux: bool,
    /// One of these stands in the line that frps logs.
    logs: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Random bytes, a thousand connections.
    Garbage,
    /// A Login cut in the middle, a thousand connections that then stay silent.
    Truncated,
    /// A header that announces 2^63 bytes.
    HugeLength,
    /// Logins with a pool of that size.
    PoolCount(i64),
    /// Half a TLS hello, two thousand connections.
    HalfHello,
    /// A hundred thousand streams over five connections, before any login.
    Streams,
    /// Mux data frames that announce 4 GiB.
    MuxLength,
    /// Five thousand connections that never say a word.
    Silent,
    /// A hundred thousand KCP conversations with forged addresses, which begin with half a TLS hello.
    Conversations,
}

/// Every attack.
pub(crate) const ALL: [Attack; 10] = [
    Attack::new("garbage", false, &["message type error"], Kind::Garbage),
    Attack::new("truncated frames", false, &["timeout", "EOF"], Kind::Truncated),
    Attack::new("length 2^63", false, &["message length"], Kind::HugeLength),
    Attack::new("pool_count negative", false, &["client login info"], Kind::PoolCount(i64::MIN)),
    Attack::new("pool_count huge", false, &["client login info"], Kind::PoolCount(i64::MAX)),
    Attack::new("half a TLS hello", true, &["TLS", "tls", "timeout"], Kind::HalfHello),
    Attack::new("streams before login", true, &["stream"], Kind::Streams),
    Attack::new("mux impossible length", true, &["window", "mux", "session"], Kind::MuxLength),
    Attack::new("kcp conversations", true, &["kcp", "timeout", "closing the oldest"], Kind::Conversations),
    Attack::new("silent connections", true, &["timeout", "closing the oldest"], Kind::Silent),
];

impl Attack {
    const fn new(name: &'static str, mux: bool, logs: &'static [&'static str], kind: Kind) -> Self {
        Self { name, mux, logs, kind }
    }
}

/// Runs one attack against a fresh server.
pub(crate) async fn run(attack: &Attack) -> Result<Outcome> {
    let setting = Setting { mux: attack.mux, tls: attack.mux, ..Setting::default() };
    let port = ports::free();
    // What is on the same number is another port.
    let kcp = matches!(attack.kind, Kind::Conversations);
    let server = if kcp { format!("kcp_bind_port = {port}") } else { String::new() };
    let victim = Victim::start(setting, port, &server).await?;
    let mut attackers = JoinSet::new();
    launch(attack.kind, port, &mut attackers);
    let client = if kcp { "protocol = kcp" } else { "" };
    victim.withstands(attackers, port, client, attack.logs).await
}

fn launch(kind: Kind, port: u16, attackers: &mut JoinSet<Result<()>>) {
    let count = match kind {
        Kind::Garbage | Kind::Truncated | Kind::HugeLength | Kind::MuxLength => 1000,
        Kind::PoolCount(_) => 20,
        Kind::HalfHello => 2000,
        Kind::Streams => 5,
        Kind::Silent => 5000,
        Kind::Conversations => 200,
    };
    for number in 0..count {
        attackers.spawn(async move {
            // Being cut off is what an attacker has to expect.
            let _ = timeout(PATIENCE * 2, one(kind, port, number)).await;
            Ok(())
        });
    }
}

/// Five hundred conversations, each from an address of its own that never answers.
async fn conversations(port: u16, number: usize) -> Result<()> {
    let high = u8::try_from(number)?;
    for low in 0..500_u32 {
        let [.., middle, low_byte] = low.to_be_bytes();
        let socket = UdpSocket::bind((Ipv4Addr::new(127, high, 64 + middle, low_byte), 0)).await?;
        let mut datagram = Vec::new();
        let segment =
            Segment { conv: low, command: Command::Push, fragment: 0, window: 128, ts: 0, sn: 0, una: 0 };
        segment.encode(HALF_HELLO.len(), &mut datagram);
        datagram.extend_from_slice(HALF_HELLO);
        socket.send_to(&datagram, (Ipv4Addr::LOCALHOST, port)).await?;
    }
    Ok(())
}

/// One hostile connection, from its first byte to the server's reaction.
async fn one(kind: Kind, port: u16, number: usize) -> Result<()> {
    if matches!(kind, Kind::Conversations) {
        return conversations(port, number).await;
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    match kind {
        // See above.
        Kind::Conversations => {}
        Kind::Garbage => {
            let mut bytes = vec![0; 1 + number * 4];
            rand::rng().fill_bytes(&mut bytes);
            stream.write_all(&bytes).await?;
        }
        Kind::Truncated => {
            let bytes = login(0)?;
            let cut = number % bytes.len();
            stream.write_all(bytes.get(..cut).unwrap_or_default()).await?;
        }
        Kind::HugeLength => stream.write_all(b"o\x80\0\0\0\0\0\0\0{}").await?,
        Kind::PoolCount(count) => stream.write_all(&login(count)?).await?,
        Kind::HalfHello => stream.write_all(HALF_HELLO).await?,
        Kind::Streams => {
            let mut frames = Vec::with_capacity(12 * 20_000);
            for stream_number in 0..20_000_u32 {
                frames.extend(mux_frame(1, 1, 1 + stream_number * 2, 0));
            }
            // The answers are read, so that nothing but the server's bound stops this.
            let (mut read, mut write) = stream.split();
            let drain = async {
                let mut buffer = vec![0; 64 << 10];
                while matches!(timeout(PATIENCE, read.read(&mut buffer)).await, Ok(Ok(1..))) {}
            };
            let send = async {
                let _ = write.write_all(&frames).await;
            };
            tokio::join!(drain, send);
            return Ok(());
        }
        Kind::MuxLength => {
            stream.write_all(&mux_frame(1, 1, 1, 0)).await?;
            stream.write_all(&mux_frame(0, 0, 1, u32::MAX)).await?;
            // More of it than any window: the server must not take it all.
            let _ = timeout(PATIENCE, stream.write_all(&[0x41; 64 << 10])).await;
        }
        Kind::Silent => {}
    }
    let mut buffer = [0; 1024];
    while matches!(timeout(PATIENCE, stream.read(&mut buffer)).await, Ok(Ok(1..))) {}
    Ok(())
}

/// A Login with the right token.
fn login(pool_count: i64) -> Result<Vec<u8>> {
    let timestamp = 1_700_000_000;
    let login = Login {
        version: "0.70.1".to_owned(),
        privilege_key: digest::auth_key(b"secret", timestamp),
        timestamp,
        pool_count,
        ..Login::default()
    };
    Ok(v1::encode(&Message::from(login))?)
}

/// A yamux header: type (0 data, 1 window update), flags (1 SYN), stream, length or delta.
fn mux_frame(kind: u8, flags: u16, stream: u32, length: u32) -> [u8; 12] {
    let mut frame = [0; 12];
    let (head, tail) = frame.split_at_mut(4);
    head.copy_from_slice(&[0, kind, flags.to_be_bytes()[0], flags.to_be_bytes()[1]]);
    let (id, size) = tail.split_at_mut(4);
    id.copy_from_slice(&stream.to_be_bytes());
    size.copy_from_slice(&length.to_be_bytes());
    frame
}
