//! Users of tcp proxies.

use frp_proto::msg::StartWorkConn;
use frp_stream::{Layers, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Duration, Instant};

use crate::support::{Control, Echo, Frpc, Frps, Log, Text, closed, ended, hear, say, soon};

/// A running proxy `web` to a local service of the test's own.
async fn running(more: &str) -> (Frps, Frpc, Control, TcpListener) {
    let local = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", local.local_addr().unwrap().port(), more).start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    (frps, frpc, control, local)
}

async fn accept(local: &TcpListener) -> Stream {
    soon(local.accept()).await.unwrap().0.into()
}

#[tokio::test]
async fn bytes_pass_both_ways_through_every_layer() {
    for (encryption, compression) in [(false, false), (true, false), (false, true), (true, true)] {
        let more =
            format!("transport.useEncryption = {encryption}\ntransport.useCompression = {compression}");
        let echo = Echo::start().await;
        let mut frps = Frps::start().await;
        let frpc = Text::with_token(&frps).tcp("web", echo.port, &more).start();
        let mut control = frps.accept("0123456789abcdef").await;
        let offer = control.start().await;
        assert_eq!((offer.use_encryption, offer.use_compression), (encryption, compression));
        let layers = Layers { encryption: encryption.then(|| frps.key()), compression, ..Layers::default() };
        let mut user = layers.apply(frps.user(&mut control, "web").await);
        // What was sent is answered at once, not when a buffer is full.
        say(&mut user, "hello").await;
        hear(&mut user, "hello").await;
        let bulk: Vec<u8> = (0..1_000_000_u32).map(|number| (number / 7).to_le_bytes()[0]).collect();
        let (mut read, mut write) = tokio::io::split(user);
        let mut got = Vec::new();
        let (sent, received) = soon(async {
            tokio::join!(
                async {
                    write.write_all(&bulk).await?;
                    write.shutdown().await
                },
                read.read_to_end(&mut got)
            )
        })
        .await;
        sent.unwrap();
        received.unwrap();
        assert!(got == bulk, "{encryption} {compression}");
        frpc.stop().await;
    }
}

#[tokio::test]
async fn the_proxy_header_comes_first() {
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02".to_vec();
    v2.extend([50_000_u16.to_be_bytes(), 6000_u16.to_be_bytes()].concat());
    for (version, header) in [("v1", b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 6000\r\n".to_vec()), ("v2", v2)] {
        let (mut frps, frpc, mut control, local) =
            running(&format!("transport.proxyProtocolVersion = \"{version}\"")).await;
        let mut user = frps.user(&mut control, "web").await;
        let mut service = accept(&local).await;
        say(&mut user, "hello").await;
        let mut got = vec![0; header.len()];
        soon(service.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, header, "{version}");
        hear(&mut service, "hello").await;
        frpc.stop().await;
    }
}

#[tokio::test]
async fn without_a_users_address_there_is_no_proxy_header() {
    let (mut frps, frpc, mut control, local) = running("transport.proxyProtocolVersion = \"v1\"").await;
    let start = StartWorkConn { proxy_name: "web".to_owned(), ..StartWorkConn::default() };
    let mut user = frps.user_with(&mut control, start).await;
    say(&mut user, "hello").await;
    hear(&mut accept(&local).await, "hello").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_header_that_cannot_be_written_drops_the_user() {
    let log = Log::capture();
    let (mut frps, frpc, mut control, _local) = running("transport.proxyProtocolVersion = \"v2\"").await;
    let start = StartWorkConn {
        proxy_name: "web".to_owned(),
        src_addr: "10.0.0.1".to_owned(),
        src_port: 1,
        dst_addr: "2001:db8::1".to_owned(),
        dst_port: 2,
        error: String::new(),
    };
    closed(&mut frps.user_with(&mut control, start).await).await;
    assert!(log.has("ERROR [0123456789abcdef] [web] write proxy protocol header to local conn error: "));
    frpc.stop().await;
}

#[tokio::test]
async fn a_user_that_stops_writing_still_gets_its_answer() {
    let (mut frps, frpc, mut control, local) = running("").await;
    let mut user = frps.user(&mut control, "web").await;
    let mut service = accept(&local).await;
    say(&mut user, "question").await;
    user.shutdown().await.unwrap();
    hear(&mut service, "question").await;
    ended(&mut service).await;
    say(&mut service, "answer").await;
    drop(service);
    hear(&mut user, "answer").await;
    ended(&mut user).await;
    frpc.stop().await;
}

#[tokio::test]
async fn the_services_end_is_the_users() {
    let (mut frps, frpc, mut control, local) = running("").await;
    let mut user = frps.user(&mut control, "web").await;
    let mut service = accept(&local).await;
    say(&mut service, "good bye").await;
    service.shutdown().await.unwrap();
    hear(&mut user, "good bye").await;
    ended(&mut user).await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_dead_service_closes_the_work_connection() {
    let mut log = Log::capture();
    let (mut frps, frpc, mut control, local) = running("").await;
    let port = local.local_addr().unwrap().port();
    drop(local);
    closed(&mut frps.user(&mut control, "web").await).await;
    log.line(&format!(
        "ERROR [0123456789abcdef] [web] connect to local service [127.0.0.1:{port}] error: dial tcp \
         127.0.0.1:{port}: connect: connection refused"
    ))
    .await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_lost_control_cuts_no_user() {
    let (mut frps, frpc, mut control, local) = running("").await;
    let mut user = frps.user(&mut control, "web").await;
    let mut service = accept(&local).await;
    say(&mut user, "before").await;
    hear(&mut service, "before").await;
    drop(control);
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    say(&mut user, "after").await;
    hear(&mut service, "after").await;
    frpc.stop().await;
}

#[tokio::test]
async fn the_connections_of_a_proxy_share_its_limit() {
    const LIMIT: usize = 20 * 1024;
    let (mut frps, frpc, mut control, local) = running("transport.bandwidthLimit = \"20KB\"").await;
    let mut users = [frps.user(&mut control, "web").await, frps.user(&mut control, "web").await];
    let mut services = [accept(&local).await, accept(&local).await];
    let began = Instant::now();
    for (user, service) in users.iter_mut().zip(&mut services) {
        soon(service.write_all(&vec![0; LIMIT])).await.unwrap();
        soon(user.read_exact(&mut vec![0; LIMIT])).await.unwrap();
    }
    // A full bucket to begin with; the rest takes its second. With a bucket each it would take none.
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    frpc.stop().await;
}
