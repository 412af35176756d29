//! A relay between TCP connections, where bytes are copied or moved within the kernel by what they are: every byte arrives
//! in its place, and every end is seen, whatever was under way.

#![expect(clippy::unwrap_used, reason = "a test fails at its first error")]

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use frp_stream::relay::{Relay, RelayEnd, RelayOptions, relay};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

/// Long enough for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);
/// What goes each way in one test of whole transfers.
const TOTAL: usize = 6_000_000;

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn joined() -> (TcpStream, TcpStream, Relay) {
    let (user, near_user) = tcp_pair().await;
    let (service, near_service) = tcp_pair().await;
    (user, service, relay(near_user.into(), near_service.into(), RelayOptions::default()))
}

fn digest(state: u64, data: &[u8]) -> u64 {
    data.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes random bytes in pieces of random size, at times waiting until all have arrived, so that the direction turns
/// bulk and idle again; then ends, when `all_is_there` the other way. Gives a digest.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    seed: u64,
    mut arrived: watch::Receiver<usize>,
    all_is_there: Option<watch::Receiver<usize>>,
) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut sent, mut state) = (0, 0);
    while sent < TOTAL {
        let most = [10, 2_000, 70_000, 600_000][random.random_range(0..4)];
        let mut piece = vec![0; random.random_range(1..=most).min(TOTAL - sent)];
        random.fill_bytes(&mut piece);
        state = digest(state, &piece);
        to.write_all(&piece).await.unwrap();
        sent += piece.len();
        if random.random_range(0..20) == 0 {
            arrived.wait_for(|&count| count == sent).await.unwrap();
        }
    }
    if let Some(mut other_way) = all_is_there {
        other_way.wait_for(|&count| count == TOTAL).await.unwrap();
    }
    to.shutdown().await.unwrap();
    state
}

/// Reads up to the end in pieces of random size, at times slowly. Gives the length and a digest.
async fn read(mut from: impl AsyncRead + Unpin, seed: u64, arrived: watch::Sender<usize>) -> (usize, u64) {
    let mut random = StdRng::seed_from_u64(seed ^ 0xfeed);
    let (mut total, mut state, mut buffer) = (0, 0, vec![0; 300_000]);
    loop {
        let most = [50, 5_000, 300_000][random.random_range(0..3)];
        let size = random.random_range(1..=most);
        let count = from.read(&mut buffer[..size]).await.unwrap();
        if count == 0 {
            return (total, state);
        }
        state = digest(state, &buffer[..count]);
        total += count;
        arrived.send_replace(total);
        if random.random_range(0..8) == 0 {
            for _ in 0..random.random_range(0..200) {
                yield_now().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_of_any_size_arrive_whole_both_ways() {
    for seed in 0..4 {
        let (user, service, relay) = joined().await;
        let mut relays = JoinSet::new();
        relays.spawn(relay);
        let mut ends = JoinSet::new();
        let (user_read, user_write) = user.into_split();
        let (service_read, service_write) = service.into_split();
        let ((up, uploaded), (down, downloaded)) = (watch::channel(0), watch::channel(0));
        // The service's end is everyone's, so it waits until it has all.
        let all_is_up = Some(uploaded.clone());
        for (way, from, to, count, counted, all_is_there) in [
            (0, service_read, user_write, up, uploaded, None),
            (1, user_read, service_write, down, downloaded, all_is_up),
        ] {
            let seed = seed * 2 + way;
            ends.spawn(async move { (way, TOTAL, write(to, seed, counted, all_is_there).await) });
            ends.spawn(async move {
                let (total, state) = read(from, seed, count).await;
                (way, total, state)
            });
        }
        let mut all = ends.join_all().await;
        all.sort_unstable();
        assert!(all[0] == all[1] && all[2] == all[3], "seed {seed}: {all:?}");
        let report = relays.join_next().await.unwrap().unwrap();
        assert_eq!((report.to_service, report.to_user), (TOTAL as u64, TOTAL as u64));
        assert!(matches!(report.end, RelayEnd::Closed { .. }), "{:?}", report.end);
    }
}

/// Writes until that fails.
async fn flood(to: &mut (impl AsyncWrite + Unpin)) {
    let piece = vec![9; 100_000];
    while to.write_all(&piece).await.is_ok() {}
}

/// Reads until there is an end of either kind.
async fn to_the_end(from: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = vec![0; 100_000];
    while let Ok(1..) = from.read(&mut buffer).await {}
}

#[tokio::test]
async fn a_reset_in_the_middle_of_bulk_is_an_end_on_the_other_side() {
    for (writer_resets, to_service) in [(true, true), (true, false), (false, true), (false, false)] {
        let (user, service, relay) = joined().await;
        let (mut from, mut to) = if to_service { (user, service) } else { (service, user) };
        let ends = async {
            let mut head = vec![0; 3_000_000];
            tokio::select! {
                read = to.read_exact(&mut head) => assert_eq!(read.unwrap(), head.len()),
                () = flood(&mut from) => unreachable!("the flood ended"),
            }
            let (gone, mut left) = if writer_resets { (from, to) } else { (to, from) };
            gone.set_zero_linger().unwrap();
            drop(gone);
            if writer_resets { to_the_end(&mut left).await } else { flood(&mut left).await }
        };
        let (report, ()) = timeout(PATIENCE, async { tokio::join!(relay, ends) }).await.unwrap();
        assert!(!matches!(report.end, RelayEnd::HalfCloseTimeout), "{:?}", report.end);
    }
}

#[tokio::test]
async fn a_relay_can_be_dropped_after_any_number_of_polls() {
    for polls in (0..40).chain([100, 200]) {
        let (mut user, mut service, relay) = joined().await;
        let mut relay = Some(Box::pin(relay));
        let run = async {
            for _ in 0..polls {
                let Some(relay) = relay.as_mut() else { break };
                let over = poll_fn(|cx| Poll::Ready(relay.as_mut().poll(cx).is_ready())).await;
                assert!(!over);
                yield_now().await;
            }
            drop(relay.take());
        };
        let (mut user_read, mut user_write) = user.split();
        let (mut service_read, mut service_write) = service.split();
        // Whatever was under way: everyone sees an end.
        let ends = async {
            tokio::join!(
                flood(&mut user_write),
                flood(&mut service_write),
                to_the_end(&mut user_read),
                to_the_end(&mut service_read),
            )
        };
        timeout(PATIENCE, async { tokio::join!(run, ends) }).await.unwrap();
    }
}
