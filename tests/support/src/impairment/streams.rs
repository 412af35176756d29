//! The relay of TCP connections. No byte is lost and none overtakes another: a line that loses packets shows itself to
//! who reads a connection as delay.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::bottleneck::Bottleneck;
use super::{Conditions, Counts, Statistics};

/// The most that is read at once; at 200 Mb/s this takes half a millisecond.
const PIECE: usize = 12 << 10;
/// Pieces of a connection on their way, however small they are.
const PIECES: usize = 16_384;

/// One direction of all connections.
struct Direction {
    bottleneck: Mutex<Bottleneck>,
    capacity: usize,
    /// Which counts are its own.
    counts: fn(&mut Statistics) -> &mut Counts,
    statistics: Arc<Mutex<Statistics>>,
}

impl Direction {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change((self.counts)(&mut self.statistics.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

/// A piece of a connection on its way.
struct Piece {
    arrives: Instant,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Carries every connection that comes until it is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    conditions: Conditions,
    hole: watch::Receiver<bool>,
    comers: watch::Sender<usize>,
    statistics: Arc<Mutex<Statistics>>,
) {
    let now = Instant::now();
    let direction = |counts| Direction {
        bottleneck: Mutex::new(Bottleneck::new(&conditions, now)),
        capacity: conditions.capacity(),
        counts,
        statistics: Arc::clone(&statistics),
    };
    let ways = Arc::new([direction(|both| &mut both.there), direction(|both| &mut both.back)]);
    let mut connections = JoinSet::new();
    loop {
        if let Ok((near, _)) = listener.accept().await {
            comers.send_modify(|count| *count += 1);
            connections.spawn(connection(near, target, Arc::clone(&ways), hole.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(
    mut near: TcpStream,
    target: SocketAddr,
    ways: Arc<[Direction; 2]>,
    hole: watch::Receiver<bool>,
) {
    closed(&hole).await;
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let [there, back] = &*ways;
    // What breaks one way has broken the connection.
    let _ =
        tokio::try_join!(carry(near_read, far_write, there, &hole), carry(far_read, near_write, back, &hole));
}

/// Waits until there is no black hole.
async fn closed(hole: &watch::Receiver<bool>) {
    let _ = hole.clone().wait_for(|open| !open).await;
}

/// Carries one way, to the end of the stream.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: &Direction,
    hole: &watch::Receiver<bool>,
) -> io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<Piece>(PIECES);
    let take = async move {
        let capacity = way.capacity.clamp(2 * PIECE, Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(capacity));
        let mut buffer = vec![0; PIECE];
        loop {
            let permits = u32::try_from(PIECE).map_err(io::Error::other)?;
            let mut permit = Arc::clone(&room).acquire_many_owned(permits).await.map_err(io::Error::other)?;
            closed(hole).await;
            let read = from.read(&mut buffer).await;
            // It may have come out of the hole.
            closed(hole).await;
            let bytes = buffer.get(..read?).unwrap_or_default().to_vec();
            if bytes.is_empty() {
                return Ok::<_, io::Error>(());
            }
            drop(permit.split(PIECE - bytes.len()));
            way.count(|counts| counts.taken += 1);
            let passage = {
                let mut bottleneck = way.bottleneck.lock().unwrap_or_else(PoisonError::into_inner);
                bottleneck.pass(Instant::now(), bytes.len())
            };
            let piece = Piece { arrives: passage.arrives, bytes, _room: permit };
            sender.send(piece).await.map_err(io::Error::other)?;
        }
    };
    let give = async {
        while let Some(piece) = pieces.recv().await {
            sleep_until(piece.arrives).await;
            closed(hole).await;
            to.write_all(&piece.bytes).await?;
            way.count(|counts| {
                counts.passed += 1;
                counts.bytes += piece.bytes.len() as u64;
            });
        }
        closed(hole).await;
        to.shutdown().await
    };
    tokio::try_join!(take, give).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{DuplexStream, duplex};
    use tokio::time::timeout;

    use super::super::{Impairment, Stall};
    use super::*;
    use crate::service::Service;
    use crate::traffic::{self, Noise};
    use crate::within;

    const MS: Duration = Duration::from_millis(1);

    /// A direction under test, its two ends and its black hole.
    fn start(conditions: Conditions) -> (DuplexStream, DuplexStream, watch::Sender<bool>, JoinSet<()>) {
        let (near, near_end) = duplex(64 << 10);
        let (far, far_end) = duplex(64 << 10);
        let (hole, holes) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let way = Direction {
                bottleneck: Mutex::new(Bottleneck::new(&conditions, Instant::now())),
                capacity: conditions.capacity(),
                counts: |both| &mut both.there,
                statistics: Arc::default(),
            };
            let _ = carry(near_end, far, &way, &holes).await;
        });
        (near, far_end, hole, tasks)
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_comes_at_its_time_and_then_the_end() {
        let began = Instant::now();
        // A byte takes a microsecond.
        let conditions = Conditions {
            rate: Some(8_000_000),
            delay: 100 * MS,
            stall: Some(Stall { every: 70 * MS, length: 10 * MS }),
            ..Conditions::default()
        };
        let (mut near, mut far, _hole, _tasks) = start(conditions);
        let noise = Noise::whole(3, 600_000);
        let send = async {
            near.write_all(&noise).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let receive = async { far.read_to_end(&mut got).await.unwrap() };
        tokio::join!(send, receive);
        assert!(got == noise, "bytes differ");
        // 100 ms for the way, 600 ms for the bytes, 10 for each of 10 stalls; a timer is late by one.
        let took = began.elapsed();
        assert!((795 * MS..=805 * MS).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_taken_than_there_is_room_for() {
        let conditions = Conditions {
            rate: Some(8_000),
            queue: 100_000,
            held_back: Duration::ZERO,
            ..Conditions::default()
        };
        let (mut near, _far, _hole, _tasks) = start(conditions);
        let mut taken = 0;
        while let Ok(written) = timeout(10 * MS, near.write(&[0; 1000])).await {
            taken += written.unwrap();
        }
        // Beside what the two pipes of this test hold.
        assert!(taken <= 100_000 + (128 << 10), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_keeps_bytes_and_the_end_for_later() {
        let (mut near, mut far, hole, _tasks) = start(Conditions::default());
        let mut byte = [0; 6];
        near.write_all(b"before").await.unwrap();
        far.read_exact(&mut byte).await.unwrap();
        hole.send_replace(true);
        near.write_all(b"after").await.unwrap();
        near.shutdown().await.unwrap();
        assert!(timeout(60_000 * MS, far.read(&mut byte)).await.is_err());
        hole.send_replace(false);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"after");
    }

    #[tokio::test]
    async fn connections_through_sockets() {
        let mut service = Service::echo().await.unwrap();
        let conditions = Conditions { rate: Some(500_000_000), delay: 2 * MS, ..Conditions::default() };
        let mut line = Impairment::connections(service.port(), conditions).unwrap();
        let one = traffic::bulk_echo(line.port(), 1 << 20, 1);
        let two = traffic::bulk_echo(line.port(), 1 << 20, 2);
        let (one, two) = tokio::join!(one, two);
        one.unwrap();
        two.unwrap();
        within("two connections", line.wait_comers(2)).await.unwrap();
        let Statistics { there, back } = line.statistics();
        assert!(there.bytes >= 2 << 20 && back.bytes >= 2 << 20, "{there:?} {back:?}");
        // An end is carried, too.
        within("the end", service.wait_ended(2)).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_broken_at_the_other_end() {
        let service = Service::resets().await.unwrap();
        let line = Impairment::connections(service.port(), Conditions::default()).unwrap();
        let mut user = traffic::connect(line.port()).await.unwrap();
        user.write_all(b"x").await.unwrap();
        assert!(traffic::ends_within(&mut user, crate::LONG).await);
    }
}
