//! What TLS costs: CPU seconds per GB through a loopback connection, both ends together, and handshakes.
//!
//! `cargo run --release -p frp-net --example tls [MiB]`. One thread does the work of both ends, so the figures are
//! those of one core; each is the best of several rounds. Linux only: the time is the kernel's account of the thread.

#![expect(clippy::unwrap_used, reason = "a measuring program may end at its first error")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use frp_net::tls::{ClientTls, ClientTlsOptions, ServerTls, ServerTlsOptions};
use frp_stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PIECE: usize = 64 * 1024;
const ROUNDS: usize = 8;
const HANDSHAKES: u32 = 200;

/// Nanoseconds of CPU that this thread has had.
fn cpu() -> f64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    account.split(' ').next().unwrap().parse().unwrap()
}

async fn pair(listener: &TcpListener) -> (Stream, Stream) {
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near.into(), far.into())
}

/// Gives the stream back: closed while tickets of the peer wait in it unread, it would be reset.
async fn send(mut stream: Stream, total: usize, piece: usize) -> Stream {
    let bytes = vec![7; piece];
    let mut left = total;
    while left > 0 {
        let written = stream.write(bytes.get(..left.min(piece)).unwrap()).await.unwrap();
        stream.flush().await.unwrap();
        left -= written;
    }
    stream
}

async fn take(mut stream: Stream, total: usize) -> u32 {
    let mut buffer = vec![0; PIECE];
    let (mut left, mut reads) = (total, 0);
    while left > 0 {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0);
        left -= read;
        reads += 1;
    }
    reads
}

/// CPU seconds per GB, and how many reads there were per MB.
async fn bulk(ends: (Stream, Stream), total: usize, piece: usize) -> (f64, f64) {
    let start = cpu();
    let (_sender, reads) = tokio::join!(send(ends.0, total, piece), take(ends.1, total));
    let bytes = f64::from(u32::try_from(total).unwrap());
    ((cpu() - start) / bytes, f64::from(reads) / bytes * 1e6)
}

fn best(rounds: impl IntoIterator<Item = (f64, f64)>) -> (f64, f64) {
    rounds.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mib: usize = std::env::args().nth(1).map_or(256, |mib| mib.parse().unwrap());
    let total = mib << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ServerTls::new(&ServerTlsOptions::default()).unwrap();
    let client = ClientTls::new(&ClientTlsOptions::default()).unwrap();
    for piece in [PIECE, 4 * 1024] {
        let mut plain = Vec::new();
        let mut tls = Vec::new();
        for _ in 0..ROUNDS {
            let total = total / (PIECE / piece);
            plain.push(bulk(pair(&listener).await, total, piece).await);
            let (near, far) = pair(&listener).await;
            let (near, far) = tokio::join!(client.connect(near), server.accept(far));
            tls.push(bulk((near.unwrap(), far.unwrap()), total, piece).await);
        }
        let (plain, tls) = (best(plain), best(tls));
        println!(
            "writes of {piece}: plain {:.3} s/GB in {:.1} reads/MB, TLS {:.3} s/GB in {:.1} reads/MB",
            plain.0, plain.1, tls.0, tls.1
        );
    }
    let mut full = f64::INFINITY;
    let mut resumed = f64::INFINITY;
    for _ in 0..ROUNDS {
        for (fresh, least) in [(true, &mut full), (false, &mut resumed)] {
            let start = cpu();
            for _ in 0..HANDSHAKES {
                let (near, far) = pair(&listener).await;
                let other = fresh.then(|| ClientTls::new(&ClientTlsOptions::default()).unwrap());
                let client = other.as_ref().unwrap_or(&client);
                let far = async {
                    let mut far = server.accept(far).await.unwrap();
                    far.write_all(b"!").await.unwrap();
                    far
                };
                let (near, _far) = tokio::join!(client.connect(near), far);
                near.unwrap().read_u8().await.unwrap();
            }
            *least = least.min((cpu() - start) / f64::from(HANDSHAKES) / 1e3);
        }
    }
    println!("connection with handshake: full {full:.0} us, resumed {resumed:.0} us of CPU, both ends");
}
