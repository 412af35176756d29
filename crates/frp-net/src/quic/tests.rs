use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::resolve::Resolver;
use crate::tls::{ClientTls, ClientTlsOptions, ServerTls, ServerTlsOptions};

/// What a stranger may have open.
const STREAMS: u32 = 4;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), what).await.expect("nothing happened for a long time")
}

/// Both ends, and the tasks that drive them.
struct Ends {
    listener: Listener,
    server: Session,
    client: Session,
    tasks: TaskTracker,
}

impl Ends {
    async fn new() -> Self {
        let tasks = TaskTracker::new();
        let listener = listener(&ServerTlsOptions::default(), &tasks);
        let options = ClientTlsOptions::default();
        let dialled = dial_with(&listener, &options, &tasks);
        let accepted = async { listener.accept().await.unwrap().accept().await.unwrap() };
        let (client, server) = soon(async { tokio::join!(dialled, accepted) }).await;
        Self { listener, server, client: client.unwrap(), tasks }
    }

    /// A stream, from both ends, after one byte towards the server.
    async fn stream(&self) -> (QuicStream, QuicStream) {
        let mut near = soon(self.client.open()).await.unwrap();
        near.write_all(b"x").await.unwrap();
        let mut far = soon(self.server.accept()).await.unwrap();
        assert_eq!(soon(far.read_u8()).await.unwrap(), b'x');
        (near, far)
    }
}

fn listener(options: &ServerTlsOptions, tasks: &TaskTracker) -> Listener {
    let tls = ServerTls::new(options).unwrap();
    Listener::bind("127.0.0.1", 0, &tls, &QuicOptions::default(), STREAMS, tasks).unwrap()
}

async fn dial_with(
    listener: &Listener,
    options: &ClientTlsOptions,
    tasks: &TaskTracker,
) -> Result<Session, DialError> {
    dial_to(listener.local_addr().unwrap(), options, tasks).await
}

async fn dial_to(
    address: SocketAddr,
    options: &ClientTlsOptions,
    tasks: &TaskTracker,
) -> Result<Session, DialError> {
    let tls = ClientTls::new(options).unwrap();
    let dialling =
        DialOptions { timeout: Duration::from_secs(10), local_ip: None, quic: QuicOptions::default() };
    dial(&Resolver::system(), "127.0.0.1", address.port(), &tls, &dialling, tasks).await
}

#[tokio::test]
async fn a_direction_ends_while_the_other_goes_on() {
    let ends = Ends::new().await;
    let (mut near, mut far) = ends.stream().await;
    near.write_all(b"request").await.unwrap();
    near.shutdown().await.unwrap();
    let mut request = String::new();
    soon(far.read_to_string(&mut request)).await.unwrap();
    assert_eq!(request, "request");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(near.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn what_was_written_before_a_stream_is_dropped_arrives() {
    let ends = Ends::new().await;
    let (mut near, mut far) = ends.stream().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let sending = async {
        near.write_all(&sent).await.unwrap();
        drop(near);
    };
    let mut received = Vec::new();
    let receiving = async { far.read_to_end(&mut received).await.unwrap() };
    soon(async { tokio::join!(sending, receiving) }).await;
    assert!(received == sent);
    // And nobody reads there any more.
    let piece = [0; 1024];
    let refused = async {
        loop {
            if let Err(error) = far.write_all(&piece).await {
                return error.to_string();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon(refused).await, "stream 0 canceled by remote with error code 0");
}

#[tokio::test]
async fn bytes_are_passed_on_without_a_copy() {
    let ends = Ends::new().await;
    let (mut near, mut far) = ends.stream().await;
    let mut piece = bytes::Bytes::from(vec![7; 100_000]);
    let sending = async {
        while !piece.is_empty() {
            let written =
                std::future::poll_fn(|cx| std::pin::Pin::new(&mut near).poll_write_bytes(cx, &mut piece));
            assert_ne!(written.await.unwrap(), 0);
        }
        near.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let receiving = async { far.read_to_end(&mut received).await.unwrap() };
    soon(async { tokio::join!(sending, receiving) }).await;
    assert_eq!(received, vec![7; 100_000]);
}

#[tokio::test]
async fn a_stranger_has_few_streams_and_a_client_many() {
    let ends = Ends::new().await;
    let mut held = Vec::new();
    for _ in 0..STREAMS {
        held.push(soon(ends.client.open()).await.unwrap());
    }
    assert_eq!(ends.client.num_streams(), held.len());
    let one_more = ends.client.open();
    tokio::pin!(one_more);
    assert!(futures_util::poll!(&mut one_more).is_pending());
    ends.server.identified();
    held.push(soon(one_more).await.unwrap());
    for _ in 0..100 {
        held.push(soon(ends.client.open()).await.unwrap());
    }
}

#[tokio::test]
async fn a_stranger_may_send_little_that_nobody_reads() {
    let ends = Ends::new().await;
    // A byte of the window is used by now.
    let (mut near, mut far) = ends.stream().await;
    let piece = vec![0; 1 << 20];
    let mut sent = 1;
    while sent < 256 * 1024 {
        sent += soon(near.write(&piece)).await.unwrap();
    }
    assert_eq!(sent, 256 * 1024);
    // Nothing more is taken, also after the server has had the occasion to allow it. Our own window is not what is full:
    // it is twice as large.
    far.write_all(b"x").await.unwrap();
    assert_eq!(soon(near.read_u8()).await.unwrap(), b'x');
    assert!(futures_util::poll!(pin!(near.write(&piece))).is_pending());
    ends.server.identified();
    assert_ne!(soon(near.write(&piece)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_close_ends_both_sides_and_their_tasks() {
    let ends = Ends::new().await;
    let (mut near, mut far) = ends.stream().await;
    ends.client.close();
    assert_eq!(soon(ends.server.closed()).await.to_string(), "Application error 0x0 (remote)");
    assert!(ends.server.is_closed() && ends.client.is_closed());
    assert_eq!(near.read(&mut [0]).await.unwrap_err().to_string(), "Application error 0x0 (local)");
    assert_eq!(far.read(&mut [0]).await.unwrap_err().to_string(), "Application error 0x0 (remote)");
    assert!(soon(ends.server.accept()).await.is_none());
    ends.listener.close();
    ends.tasks.close();
    soon(ends.tasks.wait()).await;
}

#[tokio::test]
async fn a_connection_that_nobody_holds_closes() {
    let Ends { listener: _listener, server, client, .. } = Ends::new().await;
    drop(client);
    assert!(soon(server.closed()).await.is_close());
}

#[tokio::test]
async fn a_listener_ends_with_its_sessions() {
    let Ends { listener, client, tasks, server: _server } = Ends::new().await;
    drop(listener);
    assert!(soon(client.closed()).await.is_close());
    drop(client);
    tasks.close();
    soon(tasks.wait()).await;
}

#[tokio::test]
async fn addresses_are_those_of_the_sockets() {
    let ends = Ends::new().await;
    assert_eq!(ends.server.local_addr(), ends.listener.local_addr().unwrap());
    assert_eq!(ends.client.peer_addr(), ends.server.local_addr());
    assert_eq!(ends.server.peer_addr().port(), ends.client.local_addr().port());
}

#[tokio::test]
async fn a_client_that_is_asked_to_comes_again_with_its_address_proved() {
    let tasks = TaskTracker::new();
    let listener = listener(&ServerTlsOptions::default(), &tasks);
    let options = ClientTlsOptions::default();
    let dialled = dial_with(&listener, &options, &tasks);
    let accepted = async {
        let first = listener.accept().await.unwrap();
        assert!(!first.is_validated());
        first.retry();
        let second = listener.accept().await.unwrap();
        assert!(second.is_validated());
        second.accept().await.unwrap()
    };
    let (client, _server) = soon(async { tokio::join!(dialled, accepted) }).await;
    client.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let authority = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, authority.cert.der());
    std::fs::write(&path, format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let trusted_ca_file = path.to_str().unwrap().to_owned();
    let tasks = TaskTracker::new();

    let server = listener(&ServerTlsOptions::default(), &tasks);
    let strict = ClientTlsOptions { trusted_ca_file: trusted_ca_file.clone(), ..ClientTlsOptions::default() };
    let dialled = dial_with(&server, &strict, &tasks);
    let accepted = async { server.accept().await.unwrap().accept().await };
    let (client, server) = soon(async { tokio::join!(dialled, accepted) }).await;
    let error = client.unwrap_err().to_string();
    assert!(
        error.starts_with("CRYPTO_ERROR 0x1")
            && error.contains(" (local): tls: failed to verify certificate: x509: "),
        "{error}"
    );
    let error = server.unwrap_err().to_string();
    assert!(error.starts_with("CRYPTO_ERROR 0x1") && error.contains(" (remote): tls: "), "{error}");

    // And so is a client without a certificate where the server asks for one.
    let server = listener(&ServerTlsOptions { trusted_ca_file, ..ServerTlsOptions::default() }, &tasks);
    let options = ClientTlsOptions::default();
    let dialled = async {
        // With TLS 1.3 it learns of it after its own handshake.
        match dial_with(&server, &options, &tasks).await {
            Ok(session) => session.closed().await.to_string(),
            Err(error) => error.to_string(),
        }
    };
    let accepted = async { server.accept().await.unwrap().accept().await };
    let (client, refused) = soon(async { tokio::join!(dialled, accepted) }).await;
    assert!(refused.is_err());
    assert!(client.starts_with("CRYPTO_ERROR 0x174 (remote): tls: "), "{client}");
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let tasks = TaskTracker::new();
    let listener = listener(&ServerTlsOptions::default(), &tasks);
    let tls = ClientTls::new(&ClientTlsOptions::default()).unwrap();
    let (mut crypto, _) = tls.for_quic();
    crypto.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ClientConfig::new(std::sync::Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint.connect_with(config, listener.local_addr().unwrap(), "x").unwrap();
    let accepted = async { listener.accept().await.unwrap().accept().await };
    let (client, server) = soon(async { tokio::join!(connecting, accepted) }).await;
    assert!(client.is_err() && server.is_err());
    let error = ConnectionError(client.unwrap_err()).to_string();
    assert!(error.starts_with("CRYPTO_ERROR 0x178 (remote): tls: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tasks = TaskTracker::new();
    let error =
        dial_to(silent.local_addr().unwrap(), &ClientTlsOptions::default(), &tasks).await.unwrap_err();
    assert_eq!(error.to_string(), "timeout: no recent network activity");
    tasks.close();
    soon(tasks.wait()).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let tls = ServerTls::new(&ServerTlsOptions::default()).unwrap();
    let bound = Listener::bind("127.0.0.1", port, &tls, &QuicOptions::default(), 1, &TaskTracker::new());
    let error = bound.err().unwrap().to_string();
    assert_eq!(error, format!("listen udp 127.0.0.1:{port}: bind: address already in use"));
}

#[tokio::test]
async fn streams_do_not_hold_each_other_up() {
    let ends = Ends::new().await;
    ends.server.identified();
    let (mut stuck, _unread) = ends.stream().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let piece = vec![0; 1 << 20];
        while stuck.write_all(&piece).await.is_ok() {}
    });
    // The stuck one has all that it gets.
    let (mut near, mut far) = ends.stream().await;
    for _ in 0..32 {
        near.write_all(&[1; 100_000]).await.unwrap();
        soon(far.read_exact(&mut vec![0; 100_000])).await.unwrap();
    }
}
