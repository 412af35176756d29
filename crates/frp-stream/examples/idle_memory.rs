//! What an idle relay costs in resident memory, after it has carried a request and its answer.
//!
//! `cargo run --release -p frp-stream --example idle_memory [connections]`, on Linux. The figure holds
//! all of one relay: its task, its two streams with their layers and registrations, and the far ends of
//! both in the same process. Kernel memory is not in it.

#![expect(clippy::unwrap_used, reason = "a measuring program may end at its first error")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::fs;

use frp_proto::crypto::key;
use frp_stream::{
    Layers,
    relay::{Relay, RelayOptions, relay},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Bytes, from the page count in `/proc/self/statm`.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Returns what must stay for the next figure to be its own.
async fn measure(name: &str, layers: &Layers, connections: usize) -> impl Sized + use<> {
    let mut tasks = JoinSet::new();
    let mut ends = Vec::with_capacity(connections);
    let mut before = 0;
    // The first ones warm up buffers and allocator.
    for n in 0..connections + 100 {
        if n == 100 {
            before = resident();
        }
        let (mut user, near_user) = tcp_pair().await;
        let (service, near_service) = tcp_pair().await;
        tasks.spawn(relay(
            near_user.into(),
            layers.clone().apply(near_service.into()),
            RelayOptions::default(),
        ));
        let mut service = layers.clone().apply(service.into());
        let mut bytes = vec![7; 5000];
        user.write_all(&bytes).await.unwrap();
        service.read_exact(&mut bytes).await.unwrap();
        service.write_all(&bytes).await.unwrap();
        service.flush().await.unwrap();
        user.read_exact(&mut bytes).await.unwrap();
        ends.push((user, service));
    }
    println!("{name:<30} {:>6} bytes per relay", resident().saturating_sub(before) / connections);
    (tasks, ends)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let connections = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    println!("{:<30} {:>6} bytes", "the relay's future", size_of::<Relay>());
    let _plain = measure("plain", &Layers::default(), connections).await;
    let both = Layers { encryption: Some(key::derive(b"123")), compression: true, limiter: None };
    let _both = measure("both layers, on both ends", &both, connections).await;
}
