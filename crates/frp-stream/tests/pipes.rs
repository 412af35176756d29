//! What relays between TCP connections hold of the system's pipes: none while idle, a bounded number while
//! readers are slow, and none that were dropped. One test, because it counts what the process has.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails at its first error")]

use std::{fs, time::Duration};

use frp_stream::relay::{RelayOptions, relay};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// Pipes that are kept while nobody uses them.
const KEPT: usize = 8;

/// Pipes that exist at most.
const MOST: usize = 32;

/// Descriptors that this process has open: of pipes, and others.
fn open() -> (usize, usize) {
    let targets: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .collect();
    let pipes = targets.iter().filter(|target| target.to_string_lossy().starts_with("pipe:")).count();
    (pipes, targets.len() - pipes)
}

/// A connection whose buffers are small at both ends, as far as the relay still fills its own.
async fn tcp_pair() -> (TcpStream, TcpStream) {
    let socket = || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.set_recv_buffer_size(256 * 1024).unwrap();
        socket
    };
    let listening = socket();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let (near, far) = tokio::join!(socket().connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// A relay in a task, and what its service has sent so far.
struct Joined {
    user: TcpStream,
    service: TcpStream,
    relay: AbortHandle,
    sent: usize,
}

impl Joined {
    async fn new(relays: &mut JoinSet<()>) -> Self {
        let (user, near_user) = tcp_pair().await;
        let (service, near_service) = tcp_pair().await;
        let relay = relay(near_user.into(), near_service.into(), RelayOptions::default());
        let relay = relays.spawn(async {
            relay.await;
        });
        Self { user, service, relay, sent: 0 }
    }

    /// The service sends until nothing moves any more, because the user does not read.
    async fn fill(mut self) -> Self {
        let piece = vec![7; 256 * 1024];
        while let Ok(sent) = timeout(Duration::from_millis(500), self.service.write(&piece)).await {
            self.sent += sent.unwrap();
        }
        self
    }

    /// The user reads everything that was sent.
    async fn empty(mut self) -> Self {
        let mut buffer = vec![0; 256 * 1024];
        let mut received = 0;
        while received < self.sent {
            let read = self.user.read(&mut buffer).await.unwrap();
            assert!(read > 0 && buffer[..read].iter().all(|&byte| byte == 7));
            received += read;
        }
        assert_eq!(received, self.sent);
        self
    }
}

async fn all<F>(futures: impl IntoIterator<Item = F>) -> Vec<Joined>
where
    F: Future<Output = Joined> + Send + 'static,
{
    futures.into_iter().collect::<JoinSet<_>>().join_all().await
}

#[tokio::test]
async fn pipes_are_held_while_bytes_are_in_flight_and_their_number_is_bounded() {
    // Whatever the runtime needs is open by then.
    drop(tcp_pair().await);
    let before = open();
    let pipes = || (open().0 - before.0) / 2;

    let mut relays = JoinSet::new();
    let mut joined = Vec::new();
    for _ in 0..MOST + 8 {
        joined.push(Joined::new(&mut relays).await);
    }
    assert_eq!(pipes(), 0);
    let mut full = all(joined.into_iter().map(Joined::fill)).await;
    assert_eq!(pipes(), MOST);

    // Dropped with bytes in flight: nobody gets those pipes.
    let dropped = full.split_off(full.len() / 2);
    for one in &dropped {
        one.relay.abort();
    }
    for _ in &dropped {
        relays.join_next().await;
    }
    drop(dropped);
    assert!(pipes() <= MOST - 8);

    // The others arrive whole, once and again; then the relays live on without a pipe.
    let idle = all(full.into_iter().map(Joined::empty)).await;
    assert!((1..=KEPT).contains(&pipes()), "{} pipes", pipes());
    let full = all(idle.into_iter().map(|one| Joined { sent: 0, ..one }.fill())).await;
    // How many it takes is up to the kernel: a relay that knows how much fits may leave the rest where it is.
    assert!((1..=MOST).contains(&pipes()), "{} pipes", pipes());
    let idle = all(full.into_iter().map(Joined::empty)).await;
    assert!((1..=KEPT).contains(&pipes()), "{} pipes", pipes());

    // And nothing stays but these.
    drop(idle);
    while relays.join_next().await.is_some() {}
    assert!(pipes() <= KEPT);
    assert_eq!(open().1, before.1);
}
