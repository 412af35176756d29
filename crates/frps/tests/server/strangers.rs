//! Connections that never say who they are, or say rubbish.

use frp_proto::msg::{Message, Ping};
use frp_stream::Stream;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::support::*;

/// How long a connection has from accept to the end of its first message, in seconds.
const FIRST_MESSAGE_TIMEOUT: u64 = 10;

#[tokio::test]
async fn rubbish_is_closed() {
    let frps = Frps::start().await;
    let starts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"FRP\0\x02\r\n........",
        &[0; 32],
        b"o\xff\xff\xff\xff\xff\xff\xff\xff{}",
        b"o\x7f\xff\xff\xff\xff\xff\xff\xff{}",
    ];
    for bytes in starts {
        let mut stream = frps.connect().await;
        stream.write_all(bytes).await.unwrap();
        assert!(closed(&mut stream).await, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_that_opens_nothing_is_closed() {
    let frps = Frps::start().await;
    let (_, answer) = first(&frps, Ping::default()).await;
    assert_eq!(answer, None);
}

#[tokio::test]
async fn plain_connections_are_closed_where_tls_is_forced() {
    let frps = Frps::with(|config| config.transport.tls.force = true).await;
    let (_, answer) = first(&frps, login()).await;
    assert_eq!(answer, None);
}

#[tokio::test]
async fn at_the_cap_the_oldest_stranger_goes_and_a_client_gets_in() {
    let frps = Frps::with(|config| config.transport.max_pending_per_address = 4).await;
    let mut strangers: Vec<Stream> = Vec::new();
    for _ in 0..8 {
        strangers.push(frps.connect().await);
    }
    let mut client = Client::login(&frps).await;
    for stranger in &mut strangers[..5] {
        assert!(closed(stranger).await, "five had to make room");
    }
    // Clients do not count: work connections come in although the table is full of strangers.
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let (mut work, _) = client.serve().await;
    say(&mut user, "x").await;
    hear(&mut work, "x").await;
    let newest = strangers.last_mut().unwrap();
    frp_stream::message::write_message(newest, &login().into()).await.unwrap();
    let answer = soon(frp_stream::message::read_message(newest)).await.unwrap();
    assert!(matches!(answer, Message::LoginResp(response) if response.error.is_empty()));
}

#[tokio::test]
async fn silence_in_any_layer_ends_after_ten_seconds() {
    let tls_hello = [0x16, 3, 1, 2, 0, 1, 0];
    let mux_with_half_a_login =
        [&[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, b'o']];
    let half_a_websocket_frame = [WEBSOCKET_REQUEST, &[0x82, 0x85, 1, 2]].concat();
    let cases: [(bool, Vec<u8>); 11] = [
        (false, Vec::new()),
        (false, b"o\0\0\0\0\0\0\0\x09{\"".to_vec()),
        (false, tls_hello.to_vec()),
        (true, Vec::new()),
        (true, tls_hello.to_vec()),
        (true, mux_with_half_a_login.concat()),
        (false, b"GET /~!frp HTTP/1.1\r\nHost: a.t".to_vec()),
        (false, WEBSOCKET_REQUEST.to_vec()),
        (false, half_a_websocket_frame.clone()),
        (true, WEBSOCKET_REQUEST.to_vec()),
        (true, half_a_websocket_frame),
    ];
    for (tcp_mux, said) in cases {
        let frps = Frps::with(|config| config.transport.tcp_mux = Some(tcp_mux)).await;
        let mut stream = frps.connect().await;
        stream.write_all(&said).await.unwrap();
        // Nothing happens from here on but timers, so the paused clock runs from one to the next.
        tokio::time::pause();
        let start = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(start.elapsed().as_secs(), FIRST_MESSAGE_TIMEOUT, "{said:?}");
        tokio::time::resume();
    }
}
