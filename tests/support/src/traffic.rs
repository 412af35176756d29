//! What users do.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Duration, timeout};

use crate::{LONG, within};

/// Connects to a public port, trying again while nobody listens there yet.
///
/// # Errors
/// Nobody came to listen.
pub async fn connect(port: u16) -> Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    within(&format!("a listener on port {port}"), async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Ok(stream) = TcpStream::connect(address).await {
                return stream;
            }
        }
    })
    .await
}

/// Sends `request` on a new connection and expects it back.
///
/// # Errors
/// Anything else came back, or nothing in time.
pub async fn echo(port: u16, request: &[u8]) -> Result<()> {
    let mut stream = connect(port).await?;
    echo_on(&mut stream, request).await
}

/// Sends `request` on an open connection and expects it back.
///
/// # Errors
/// As [`echo`].
pub async fn echo_on(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> Result<()> {
    let exchange = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        let mut answer = vec![0; request.len()];
        stream.read_exact(&mut answer).await?;
        ensure!(answer == request, "the echo differs");
        Ok(())
    };
    within("an echo", exchange).await?
}

/// Sends `length` pseudo-random bytes through an echo service and checks that exactly they come back, with both
/// directions busy at once.
///
/// # Errors
/// A byte differs, is missing or one too many.
pub async fn bulk_echo(port: u16, length: u64, seed: u64) -> Result<()> {
    bulk_echo_on(connect(port).await?, length, seed).await
}

/// As [`bulk_echo`], on an open connection.
///
/// # Errors
/// As [`bulk_echo`].
pub async fn bulk_echo_on(stream: impl AsyncRead + AsyncWrite, length: u64, seed: u64) -> Result<()> {
    let (mut read, mut write) = split(stream);
    let send = async move {
        let mut source = Noise::new(seed);
        let mut left = length;
        while left > 0 {
            let block = source.block(left);
            write.write_all(block).await.context("send")?;
            left -= block.len() as u64;
        }
        write.flush().await.context("send")?;
        // Held open: the original ends both directions at the first end of stream.
        Ok::<_, anyhow::Error>(write)
    };
    let receive = async move {
        let mut expected = Noise::new(seed);
        let mut left = length;
        let mut buffer = vec![0; BLOCK];
        while left > 0 {
            let block = expected.block(left);
            let got = buffer.get_mut(..block.len()).context("block")?;
            read.read_exact(got).await.with_context(|| format!("{left} of {length} bytes missing"))?;
            ensure!(got == block, "bytes differ within the block at {}", length - left);
            left -= block.len() as u64;
        }
        Ok::<_, anyhow::Error>(())
    };
    // A busy machine with unoptimised programs may need longer than for anything else.
    let both = timeout(LONG * 3, async { tokio::join!(send, receive) }).await;
    let (sent, received) = both.context("waited in vain for the bulk transfer")?;
    received?;
    sent?;
    Ok(())
}

/// Reads what comes until the end of stream.
///
/// # Errors
/// The connection broke, or went on for too long.
pub async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    within("the end of the stream", stream.read_to_end(&mut bytes)).await??;
    Ok(bytes)
}

/// True when the connection ends, in whichever way, within `limit`; what comes before is dropped.
pub async fn ends_within(stream: &mut (impl AsyncRead + Unpin), limit: Duration) -> bool {
    let drain = async {
        let mut buffer = vec![0; BLOCK];
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    };
    timeout(limit, drain).await.is_ok()
}

/// Sends `datagram` until it comes back: a datagram may be lost, also before the proxy stands.
///
/// # Errors
/// Nothing came back, or something else.
pub async fn udp_echo(port: u16, datagram: &[u8]) -> Result<()> {
    let socket = udp_user(port).await?;
    let answer = udp_exchange(&socket, datagram).await?;
    ensure!(answer == datagram, "the echo differs");
    Ok(())
}

/// A socket of a user of a public UDP port.
///
/// # Errors
/// No port.
pub async fn udp_user(port: u16) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(("127.0.0.1", port)).await?;
    Ok(socket)
}

/// Sends `datagram` until one comes back, and gives that.
///
/// # Errors
/// Nothing came back.
pub async fn udp_exchange(socket: &UdpSocket, datagram: &[u8]) -> Result<Vec<u8>> {
    within("a datagram's echo", async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            // Nobody may listen yet: that is reported here or by the next call.
            let _ = socket.send(datagram).await;
            if let Ok(Ok(length)) = timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    })
    .await?
}

/// Sends `count` numbered datagrams of `length` bytes one after another through an echo service, each again until it
/// comes back, and checks every byte.
///
/// # Errors
/// One of them never came back, or other than it was sent.
pub async fn udp_bulk_echo(port: u16, count: u32, length: usize) -> Result<()> {
    let socket = udp_user(port).await?;
    let mut noise = Noise::new(u64::from(count));
    for number in 0..count {
        let mut datagram = number.to_be_bytes().to_vec();
        while datagram.len() < length {
            let left = length - datagram.len();
            datagram.extend_from_slice(noise.block(left as u64));
        }
        loop {
            let answer = udp_exchange(&socket, &datagram).await?;
            // What was sent twice may come back twice.
            if answer.get(..4) == datagram.get(..4) {
                ensure!(answer == datagram, "datagram {number} came back changed");
                break;
            }
        }
    }
    Ok(())
}

const BLOCK: usize = 64 << 10;

/// Reproducible noise in blocks of changing length.
#[derive(Debug)]
pub struct Noise {
    random: SmallRng,
    buffer: Vec<u8>,
}

impl Noise {
    /// The noise of a seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), buffer: vec![0; BLOCK] }
    }

    /// The next block, of at most `left` bytes. Half of them repeat, so that compression has something to do.
    pub fn block(&mut self, left: u64) -> &[u8] {
        let length = 1 + self.random.next_u32() as usize % BLOCK;
        let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        let block = self.buffer.get_mut(..length).unwrap_or_default();
        let half = block.len() / 2;
        let (noise, flat) = block.split_at_mut(half);
        self.random.fill_bytes(noise);
        flat.fill(0x20);
        block
    }

    /// The first `length` bytes of the noise of a seed.
    #[must_use]
    pub fn whole(seed: u64, length: u64) -> Vec<u8> {
        let mut noise = Self::new(seed);
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let left = length - bytes.len() as u64;
            bytes.extend_from_slice(noise.block(left));
        }
        bytes
    }
}
