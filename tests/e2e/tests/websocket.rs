//! WebSocket frames of every kind and size, through each type of proxy that carries them.

use anyhow::{Context, Result, ensure};
use frp_test_support::kind::{Access, Doors, Kind};
use frp_test_support::programs::{Maker, Role};
use frp_test_support::service::Service;
use frp_test_support::traffic::Noise;
use frp_test_support::tunnel::{Setting, Tunnel};
use frp_test_support::websocket::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use frp_test_support::{tls, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SETTING: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };
const HOST: &str = "ws.site.test";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Lengths on either side of each bound of the format, and some of no frame's business.
const LENGTHS: [usize; 12] = [0, 1, 124, 125, 126, 127, 4096, 65_535, 65_536, 65_537, 1 << 20, (4 << 20) + 3];

async fn frames_pass(kind: Kind) -> Result<()> {
    if !kind.built() {
        return Ok(());
    }
    let service = Service::tcp(move |peer| async move {
        let _ = peer.set_nodelay(true);
        let _ = match kind {
            Kind::Https => match tls::accept(peer).await {
                Ok(peer) => websocket::serve(peer).await,
                Err(error) => Err(error),
            },
            _ => websocket::serve(peer).await,
        };
    })
    .await?;
    let doors = Doors::free();
    let proxy = kind.proxy("ws", service.port(), HOST);
    let access = Access::new(kind, doors.of(kind, &proxy), HOST);
    let _tunnel = Tunnel::start_with(SETTING, &[proxy], &doors.ini(), "").await?;

    // The original's http proxy loses what comes in the same breath as the request.
    let early = kind != Kind::Http || Maker::from_env(Role::Frps) == Maker::Ours;
    let first = Frame::new(TEXT, "at once");
    let early_bytes = if early { first.encode(Some(MASK)) } else { Vec::new() };
    let handshake = websocket::connect(access.stream().await?, HOST, &early_bytes);
    let (mut stream, greeting) = within("a handshake", handshake).await??;
    let (read, mut write) = tokio::io::split(&mut stream);
    let mut read = greeting.as_slice().chain(read);
    let mut next = async || -> Result<Frame> {
        within("a frame", Frame::read(&mut read)).await??.context("the end instead of a frame")
    };
    ensure!(next().await? == Frame::new(PING, "greeting"), "what came with the handshake");
    if early {
        ensure!(next().await? == first, "what was sent with the handshake");
    }

    let mut frames = vec![
        Frame::new(PING, ""),
        Frame::new(PING, vec![9; 125]),
        // A message in three frames with a ping in its midst.
        Frame { last: false, ..Frame::new(TEXT, "a ") },
        Frame { last: false, ..Frame::new(CONTINUATION, "message in ") },
        Frame::new(PING, "amidst"),
        Frame::new(CONTINUATION, "pieces"),
        Frame::new(CONTINUATION, ""),
    ];
    for (seed, length) in (0..).zip(LENGTHS) {
        let payload = Noise::whole(seed, length as u64);
        frames.push(Frame::new(TEXT, "x".repeat(length)));
        frames.push(Frame::new(BINARY, payload));
    }
    let expected: Vec<Frame> = frames
        .iter()
        .map(
            |frame| {
                if frame.opcode == PING { Frame { opcode: PONG, ..frame.clone() } } else { frame.clone() }
            },
        )
        .collect();
    let send = async {
        // An answer to the greeting, of which the server says nothing.
        write.write_all(&Frame::new(PONG, "greeting").encode(Some(MASK))).await?;
        for frame in &frames {
            write.write_all(&frame.encode(Some(MASK))).await?;
        }
        // And some that go a byte at a time.
        for byte in Frame::new(TEXT, "slowly").encode(Some(MASK)) {
            write.write_all(&[byte]).await?;
            write.flush().await?;
        }
        let farewell = [&1000_u16.to_be_bytes()[..], b"bye"].concat();
        write.write_all(&Frame::new(CLOSE, farewell).encode(Some(MASK))).await?;
        write.flush().await?;
        Ok::<_, anyhow::Error>(())
    };
    let receive = async {
        for expected in &expected {
            let frame = next().await?;
            let (opcode, length) = (expected.opcode, expected.payload.len());
            ensure!(
                frame == *expected,
                "opcode {opcode} of {length} bytes came as {} of {}",
                frame.opcode,
                frame.payload.len()
            );
        }
        ensure!(next().await? == Frame::new(TEXT, "slowly"), "a byte at a time");
        let farewell = next().await?;
        ensure!(farewell.opcode == CLOSE && farewell.payload.get(2..) == Some(b"bye"), "{farewell:?}");
        Ok(())
    };
    let (sent, received) = tokio::join!(send, receive);
    received?;
    sent?;
    // The server ends the connection after that.
    let mut rest = Vec::new();
    let _ = within("the end", read.read_to_end(&mut rest)).await?;
    ensure!(rest.is_empty(), "more after the end");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_http() -> Result<()> {
    frames_pass(Kind::Http).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_https() -> Result<()> {
    frames_pass(Kind::Https).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_tcp() -> Result<()> {
    frames_pass(Kind::Tcp).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_tcpmux() -> Result<()> {
    frames_pass(Kind::Tcpmux).await
}
