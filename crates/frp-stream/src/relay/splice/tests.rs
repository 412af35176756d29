//! Relays that splice: what moves, how it ends, and what is held.

use std::{
    future::poll_fn,
    hash::{DefaultHasher, Hasher},
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{JoinSet, yield_now},
    time::timeout,
};

use super::{super::*, *};
use crate::testing::{Random, tcp_pair};

const OPTIONS: RelayOptions = RelayOptions { half_close_timeout: Duration::from_secs(60) };

/// More than one poll moves, and than a pipe and the buffers of a connection take.
const MUCH: usize = 6_000_000;

/// A relay that remembers in which directions, and how often, it turned to splicing.
struct Watched {
    relay: Relay,
    was: [bool; 2],
    turns: [usize; 2],
}

impl Future for Watched {
    type Output = (RelayReport, [usize; 2]);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.relay).poll(cx);
        let is = self.relay.is_bulk();
        for (n, is) in is.into_iter().enumerate() {
            self.turns[n] += usize::from(is && !self.was[n]);
        }
        self.was = is;
        polled.map(|report| (report, self.turns))
    }
}

async fn joined() -> (TcpStream, TcpStream, Watched) {
    let (user, near_user) = tcp_pair().await;
    let (service, near_service) = tcp_pair().await;
    let relay = relay(near_user.into(), near_service.into(), OPTIONS);
    (user, service, Watched { relay, was: [false; 2], turns: [0; 2] })
}

/// A connection whose two buffers are small, so that it is soon full.
async fn narrow_pair() -> (TcpStream, TcpStream) {
    let socket = || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket
    };
    let listening = socket();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.listen(1).unwrap();
    let (near, far) = tokio::join!(socket().connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Writes `len` random bytes: much at once, then little by little, in turns. Tells their hash.
async fn write_in_turns(to: &mut OwnedWriteHalf, seed: u64, len: usize) -> u64 {
    let (mut random, mut hasher, mut left) = (Random::new(seed), DefaultHasher::new(), len);
    let source = random.bytes(1_000_000);
    while left > 0 {
        let bulk = random.next().is_multiple_of(2);
        for _ in 0..20 {
            let n = random.size(if bulk { source.len() } else { 5_000 }).min(left);
            let piece = &source[random.size(source.len() - n + 1) - 1..][..n];
            to.write_all(piece).await.unwrap();
            hasher.write(piece);
            left -= n;
            if !bulk {
                // Lets the small piece arrive by itself.
                for _ in 0..random.size(8) {
                    yield_now().await;
                }
            }
        }
    }
    hasher.finish()
}

/// Reads to the end in random pieces. Tells the hash of all, and how much it was.
async fn read_in_pieces(mut from: OwnedReadHalf, seed: u64) -> (u64, u64) {
    let (mut random, mut hasher, mut total) = (Random::new(seed), DefaultHasher::new(), 0);
    let mut buffer = vec![0; 300_000];
    loop {
        let room = random.size(buffer.len());
        let n = from.read(&mut buffer[..room]).await.unwrap();
        if n == 0 {
            return (hasher.finish(), total);
        }
        hasher.write(&buffer[..n]);
        total += n as u64;
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_while_the_directions_turn() {
    let mut turned = [0; 2];
    for seed in 0..4 {
        let (user, service, relay) = joined().await;
        let (user_read, mut user_write) = user.into_split();
        let (service_read, mut service_write) = service.into_split();
        let ((report, turns), sent_up, (received_up, sent_down), received_down) = tokio::join!(
            relay,
            async {
                let sent = write_in_turns(&mut user_write, seed, MUCH).await;
                user_write.shutdown().await.unwrap();
                sent
            },
            async {
                let done = tokio::join!(
                    read_in_pieces(service_read, seed + 1),
                    write_in_turns(&mut service_write, seed + 2, MUCH)
                );
                service_write.shutdown().await.unwrap();
                done
            },
            read_in_pieces(user_read, seed + 3),
        );
        assert_eq!((received_up, received_down), ((sent_up, MUCH as u64), (sent_down, MUCH as u64)));
        assert_eq!((report.to_service, report.to_user), (MUCH as u64, MUCH as u64));
        turned[0] += turns[0];
        turned[1] += turns[1];
    }
    assert!(turned.iter().all(|&turns| turns > 3), "{turned:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_relays_share_the_pipes() {
    let mut relays = JoinSet::new();
    let mut ends = JoinSet::new();
    for seed in 0..2 * pipe::MOST as u64 {
        let (user, service, relay) = joined().await;
        relays.spawn(relay);
        let (user_read, mut user_write) = user.into_split();
        let (service_read, service_write) = service.into_split();
        ends.spawn(async move {
            let (sent, received, nothing) = tokio::join!(
                async {
                    let sent = write_in_turns(&mut user_write, seed, 600_000).await;
                    user_write.shutdown().await.unwrap();
                    sent
                },
                async {
                    let received = read_in_pieces(service_read, seed).await;
                    drop(service_write);
                    received
                },
                read_in_pieces(user_read, seed),
            );
            assert_eq!((received, nothing.1), ((sent, 600_000), 0));
        });
    }
    while let Some(end) = ends.join_next().await {
        end.unwrap();
    }
    let mut turns = 0;
    while let Some(end) = relays.join_next().await {
        let (report, turned) = end.unwrap();
        assert!(matches!(report.end, RelayEnd::Closed { .. }));
        turns += turned[0];
    }
    assert!(turns > 0);
}

#[tokio::test]
async fn bytes_put_back_come_before_those_that_are_spliced() {
    let (mut user, near_user) = tcp_pair().await;
    let (mut service, near_service) = tcp_pair().await;
    let (first, then) = (Random::new(1).bytes(300_000), Random::new(2).bytes(MUCH));
    let near_user = Stream::from(near_user).with_prefix(Bytes::from(first.clone()));
    let relay =
        Watched { relay: relay(near_user, near_service.into(), OPTIONS), was: [false; 2], turns: [0; 2] };
    let mut received = Vec::new();
    let ((report, turns), ..) = tokio::join!(
        relay,
        async {
            user.write_all(&then).await.unwrap();
            user.shutdown().await.unwrap();
        },
        async {
            service.read_to_end(&mut received).await.unwrap();
            drop(service);
        }
    );
    assert!(received == [first, then].concat());
    assert_eq!((report.to_service, turns[0]), (received.len() as u64, 1));
}

#[tokio::test]
async fn an_answer_goes_on_after_the_users_end_in_mid_splice() {
    let (mut user, mut service, relay) = joined().await;
    let (up, down) = (Random::new(1).bytes(MUCH), Random::new(2).bytes(MUCH));
    let ((report, turns), ..) = tokio::join!(
        relay,
        async {
            let (mut read, mut write) = user.split();
            let mut received = Vec::new();
            let (written, read) = tokio::join!(
                async {
                    write.write_all(&up).await?;
                    write.shutdown().await
                },
                read.read_to_end(&mut received)
            );
            written.unwrap();
            read.unwrap();
            assert!(received == down);
        },
        async {
            let mut received = Vec::new();
            service.read_to_end(&mut received).await.unwrap();
            assert!(received == up);
            service.write_all(&down).await.unwrap();
            service.shutdown().await.unwrap();
        }
    );
    assert_eq!(turns, [1, 1]);
    assert!(matches!(report.end, RelayEnd::Closed { first: Side::User }));
    assert_eq!((report.to_service, report.to_user), (MUCH as u64, MUCH as u64));
}

#[tokio::test]
async fn a_reset_in_mid_splice_is_an_end_on_the_other_side() {
    for reset_reader in [false, true] {
        for user_sends in [false, true] {
            let (user, service, relay) = joined().await;
            let (sender, reader) = if user_sends { (user, service) } else { (service, user) };
            let ((report, turns), ()) = tokio::join!(relay, async {
                let (mut sender, mut reader) = (sender, reader);
                let piece = vec![1; 1_000_000];
                let (mut sent, mut received) = (0, 0);
                let mut buffer = vec![0; 300_000];
                while received < MUCH {
                    tokio::select! {
                        n = sender.write(&piece) => sent += n.unwrap(),
                        n = reader.read(&mut buffer) => received += n.unwrap(),
                    }
                }
                assert!(sent >= received);
                let (gone, mut left) = if reset_reader { (reader, sender) } else { (sender, reader) };
                gone.set_zero_linger().unwrap();
                drop(gone);
                let end = async {
                    let mut discarded = Vec::new();
                    if reset_reader {
                        while left.write_all(&piece).await.is_ok() {}
                    } else {
                        let _ = left.read_to_end(&mut discarded).await;
                    }
                };
                timeout(Duration::from_secs(5), end).await.unwrap();
            });
            assert_eq!(turns[usize::from(!user_sends)], 1);
            let RelayEnd::Failed(error) = report.end else { panic!("{report:?}") };
            let gone = if reset_reader == user_sends { Side::Service } else { Side::User };
            assert_eq!(error.side, gone, "{error}");
        }
    }
}

#[tokio::test]
async fn a_slow_reader_holds_back_the_writer_and_gets_everything() {
    let (mut user, near_user) = narrow_pair().await;
    let (near_service, service) = narrow_pair().await;
    let mut relay = pin!(relay(near_user.into(), near_service.into(), OPTIONS));
    let bytes = Random::new(1).bytes(MUCH);
    let (_service_read, mut service) = service.into_split();
    // The user takes just enough for the direction to turn, and then nothing.
    let mut received = vec![0; 1_000_000];
    let mut sent = 0;
    {
        let mut received_so_far = 0;
        let flow = async {
            loop {
                tokio::select! {
                    n = user.read(&mut received[received_so_far..]), if received_so_far < 1_000_000 => {
                        received_so_far += n.unwrap();
                    }
                    n = service.write(&bytes[sent..]) => sent += n.unwrap(),
                    _ = &mut relay => panic!("ended"),
                }
            }
        };
        assert!(timeout(Duration::from_millis(300), flow).await.is_err());
        assert_eq!(received_so_far, 1_000_000);
    }
    assert!(relay.is_bulk()[1]);
    // Two connections with two buffers each, whose size the system doubles, and a pipe.
    let bound = 1_000_000 + CAPACITY + 4 * 2 * 64 * 1024;
    assert!(sent < bound, "{} bytes in flight", sent - 1_000_000);

    let rest = async {
        service.write_all(&bytes[sent..]).await.unwrap();
        service.shutdown().await.unwrap();
    };
    let (report, (), read) = tokio::join!(relay, rest, async {
        let read = user.read_to_end(&mut received).await;
        drop(user);
        read
    });
    read.unwrap();
    assert!(received == bytes);
    assert_eq!(report.to_user, MUCH as u64);
}

#[tokio::test]
async fn a_direction_turns_back_when_pieces_get_small() {
    let (mut user, mut service, relay) = joined().await;
    let mut relay = pin!(relay);
    let bytes = vec![1; MUCH];
    let mut buffer = vec![0; MUCH];
    {
        let bulk = async { tokio::join!(user.write_all(&bytes), service.read_exact(&mut buffer)) };
        tokio::select! { biased; _ = relay.as_mut() => panic!("ended"), _ = bulk => {} }
    }
    assert_eq!(relay.relay.is_bulk(), [true, false]);
    assert!(relay.relay.is_idle());
    for _ in 0..SMALL_PIECES {
        let small = async {
            user.write_all(b"small").await.unwrap();
            service.read_exact(&mut buffer[..5]).await.unwrap();
        };
        tokio::select! { biased; _ = relay.as_mut() => panic!("ended"), () = small => {} }
    }
    assert_eq!(relay.relay.is_bulk(), [false, false]);
}

#[tokio::test]
async fn an_urgent_byte_does_not_stop_what_follows() {
    let (user, mut service, relay) = joined().await;
    let mut relay = pin!(relay);
    let (_user_read, mut user) = user.into_split();
    let (bytes, mut buffer) = (Random::new(1).bytes(MUCH), vec![0; MUCH]);
    for _ in 0..3 {
        let much = async {
            let (sent, _) = tokio::join!(user.write_all(&bytes), service.read_exact(&mut buffer));
            sent.unwrap();
            // Out of band, and therefore not part of the stream.
            SockRef::from(user.as_ref()).send_out_of_band(b"!").unwrap();
        };
        tokio::select! { biased; _ = relay.as_mut() => panic!("ended"), () = much => {} }
        assert!(buffer == bytes);
        assert!(relay.relay.is_bulk()[0]);
    }
    drop(user);
    let (report, end) = tokio::join!(relay, async {
        let end = service.read(&mut buffer).await;
        drop(service);
        end
    });
    assert_eq!(end.unwrap(), 0);
    assert_eq!(report.0.to_service, 3 * MUCH as u64);
}

#[tokio::test]
async fn a_relay_in_mid_splice_can_be_dropped_after_any_number_of_polls() {
    for polls in (0..60).step_by(5) {
        let (user, service, relay) = joined().await;
        let mut relay = Box::pin(relay);
        let (mut user_read, mut user_write) = user.into_split();
        let (mut service_read, mut service_write) = service.into_split();
        let piece = vec![0; 300_000];
        let (mut buffer, mut other) = (vec![0; 100_000], vec![0; 70_000]);
        let run = async {
            for _ in 0..polls {
                assert!(poll_fn(|cx| Poll::Ready(relay.as_mut().poll(cx).is_pending())).await);
                yield_now().await;
            }
            drop(relay);
        };
        let ends = async {
            tokio::join!(
                async { while user_write.write_all(&piece).await.is_ok() {} },
                async { while service_write.write_all(&piece).await.is_ok() {} },
                async { while let Ok(1..) = service_read.read(&mut buffer).await {} },
                async { while let Ok(1..) = user_read.read(&mut other).await {} },
            );
        };
        timeout(Duration::from_secs(10), async { tokio::join!(run, ends) }).await.unwrap();
    }
}
