//! Datagrams through udp and sudp: their sizes, and more users than anybody has room for.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role, both_ours};
use frp_test_support::service::Service;
use frp_test_support::traffic::{udp_echo, udp_exchange, udp_user};
use frp_test_support::tunnel::{Proxy, Setting, Tunnel};
use frp_test_support::within;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SETTING: Setting = Setting { tls: true, mux: true, encryption: false, compression: false };

/// A tunnel whose programs take datagrams of that length.
async fn tunnel(packet_size: usize) -> Result<(Tunnel, Service, u16)> {
    let echo = Service::udp_echo().await?;
    let proxy = Proxy::new("udp", "udp", echo.port());
    let line = format!("udp_packet_size = {packet_size}");
    let tunnel = Tunnel::start_with(SETTING, std::slice::from_ref(&proxy), &line, &line).await?;
    Ok((tunnel, echo, proxy.remote))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_are_cut_at_the_packet_size() -> Result<()> {
    let (_tunnel, _echo, port) = tunnel(1500).await?;
    let datagram: Vec<u8> = (0..65_507_u32).map(|index| index.to_le_bytes()[index as usize % 2]).collect();
    for length in [0, 1, 2, 511, 1472, 1499, 1500, 1501, 9000, 65_507] {
        let user = udp_user(port).await?;
        let sent = datagram.get(..length).context("a length")?;
        let answer = udp_exchange(&user, sent).await.with_context(|| format!("{length} bytes"))?;
        ensure!(answer == sent.get(..1500).unwrap_or(sent), "{length} bytes came back as {}", answer.len());
    }
    Ok(())
}

/// What one message of the wire protocol holds, when the user's address has as many digits as possible.
const LARGEST: usize = 7630;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_too_long_for_the_wire_is_the_only_one_lost() -> Result<()> {
    let (_tunnel, _echo, port) = tunnel(65_507).await?;
    for length in [0, 1500, 1501, LARGEST] {
        let user = udp_user(port).await?;
        let sent = vec![length.to_le_bytes()[0]; length];
        ensure!(udp_exchange(&user, &sent).await? == sent, "{length} bytes");
    }
    if !both_ours() {
        println!("skipped: the original's proxy is dead for good after a longer one");
        return Ok(());
    }
    let user = udp_user(port).await?;
    for length in [LARGEST + 20, 20_000, 65_507] {
        user.send(&vec![1; length]).await?;
    }
    ensure!(udp_exchange(&user, b"after").await? == b"after", "the proxy must live on");
    Ok(())
}

/// More than anybody has room for.
const PEERS: usize = 10_000;
/// Users of a proxy that a client of ours keeps at a time.
const BOUND: usize = 4096;
/// One test at a time opens so many sockets: the system's range of ports has no room for two.
static CROWD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Files that a client holds besides.
const OTHER_FILES: usize = 100;

/// An echo that notes from how many addresses datagrams have come.
async fn counting_echo() -> Result<(u16, Arc<Mutex<HashSet<SocketAddr>>>, JoinSet<()>)> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let port = socket.local_addr()?.port();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let mut task = JoinSet::new();
    let noted = Arc::clone(&seen);
    task.spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
            let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), peer).await;
        }
    });
    Ok((port, seen, task))
}

/// How many files a process has open; `None` where that cannot be read.
fn open_files(process: &Process) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{}/fd", process.id()?)).ok()?.count())
}

/// A socket for each of `count` users, or as many as this process may have.
async fn users(port: u16, count: usize) -> Result<Vec<Arc<UdpSocket>>> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let room = files.maximum.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
    ensure!(room > count + 1000, "this test needs {count} open files, the system allows {room}");
    let mut users = Vec::with_capacity(count);
    for _ in 0..count {
        users.push(Arc::new(udp_user(port).await?));
    }
    Ok(users)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_users_are_all_served_and_never_held_together() -> Result<()> {
    let _alone = CROWD.lock().await;
    let (service, seen, _echo) = counting_echo().await?;
    let proxy = Proxy::new("udp", "udp", service);
    let tunnel = Tunnel::start(SETTING, std::slice::from_ref(&proxy)).await?;
    udp_echo(proxy.remote, b"the first").await?;
    let ours = Maker::from_env(Role::Frpc) == Maker::Ours;

    // So many at a time that none is the longest idle while it waits.
    let at_once = Arc::new(Semaphore::new(64));
    let mut exchanges = JoinSet::new();
    for (number, user) in users(proxy.remote, PEERS).await?.into_iter().enumerate() {
        let at_once = Arc::clone(&at_once);
        exchanges.spawn(async move {
            let _permit = at_once.acquire().await?;
            let datagram = number.to_be_bytes();
            let answer = udp_exchange(&user, &datagram).await.with_context(|| format!("user {number}"))?;
            ensure!(answer == datagram, "user {number} got another's datagram");
            Ok(())
        });
    }
    while let Some(exchange) = exchanges.join_next().await {
        exchange??;
    }
    let addresses = seen.lock().unwrap_or_else(PoisonError::into_inner).len();
    if !ours {
        ensure!(addresses >= PEERS, "{addresses} addresses towards the service for {PEERS} users");
        println!("skipped: the original's table has no bound");
        return Ok(());
    }
    // A port that one user has left may be the next one's.
    ensure!(addresses >= BOUND, "{addresses} addresses towards the service for {PEERS} users");
    if let Some(open) = open_files(&tunnel.frpc) {
        ensure!(open <= BOUND + OTHER_FILES, "{open} open files");
    }
    udp_echo(proxy.remote, b"one more").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_strangers_keeps_nobody_out() -> Result<()> {
    let _alone = CROWD.lock().await;
    let (service, _seen, _echo) = counting_echo().await?;
    let proxy = Proxy::new("udp", "udp", service);
    let tunnel = Tunnel::start(SETTING, std::slice::from_ref(&proxy)).await?;
    let friend = udp_user(proxy.remote).await?;
    udp_exchange(&friend, b"before").await?;
    // Each is a user for as long as it takes to send, and never hears the answer.
    for number in 0..PEERS {
        let [.., high, low] = number.to_be_bytes();
        let source = SocketAddr::from(([127, 1, high, low.max(1)], 0));
        // Only Linux has all of 127.0.0.0/8.
        let Ok(stranger) = UdpSocket::bind(source).await else {
            println!("skipped: no address {source}");
            return Ok(());
        };
        let _ = stranger.send_to(&[0x5a; 200], ("127.0.0.1", proxy.remote)).await;
        if number % 1000 == 0 {
            let answer = within("a friend's answer", udp_exchange(&friend, b"amidst")).await??;
            ensure!(answer == b"amidst" || answer == b"before", "a stranger's datagram");
        }
    }
    udp_echo(proxy.remote, b"after").await?;
    if Maker::from_env(Role::Frpc) == Maker::Ours
        && let Some(open) = open_files(&tunnel.frpc)
    {
        ensure!(open <= BOUND + OTHER_FILES, "{open} open files");
    }
    Ok(())
}
