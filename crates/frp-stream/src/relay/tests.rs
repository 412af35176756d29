//! How a relay moves bytes and how it ends.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use frp_proto::crypto::key;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, split},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::{
    Layers, RateLimiter,
    buffer::BUFFER,
    layer::LimitSide,
    testing::{Choppy, Random, pipe, tcp_pair},
};

const OPTIONS: RelayOptions = RelayOptions { half_close_timeout: Duration::from_secs(60) };

/// A relay and the far ends of its two streams.
fn joined(capacity: usize) -> (Stream, Stream, Relay) {
    let (user, near_user) = pipe(capacity);
    let (service, near_service) = pipe(capacity);
    (user, service, relay(near_user, near_service, OPTIONS))
}

async fn joined_tcp() -> (TcpStream, TcpStream, Relay) {
    let (user, near_user) = tcp_pair().await;
    let (service, near_service) = tcp_pair().await;
    (user, service, relay(near_user.into(), near_service.into(), OPTIONS))
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn closed_by(report: &RelayReport) -> Side {
    match report.end {
        RelayEnd::Closed { first } => first,
        ref end => panic!("{end:?}"),
    }
}

fn failure(report: &RelayReport) -> (Side, Operation) {
    match &report.end {
        RelayEnd::Failed(RelayError { side, operation, .. }) => (*side, *operation),
        end => panic!("{end:?}"),
    }
}

/// A stream that reads given bytes and then fails, and takes everything.
struct Failing(Vec<u8>);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        buf.put_slice(&std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_through_two_relays_in_any_pieces() {
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let layers = |side| Layers {
            encryption: (seed % 2 == 0).then(|| key::derive(b"123")),
            compression: seed % 3 == 0,
            limiter: (seed % 4 == 0).then(|| (Arc::new(RateLimiter::new(1 << 40)), side)),
        };
        let mut chopped = |stream| Stream::boxed(Choppy::new(stream, random.next(), 70_000));
        let (user, user_side) = pipe(10_000);
        let (work, work_side) = pipe(100_000);
        let (service, service_side) = pipe(3_000);
        let server = relay(chopped(user_side), layers(LimitSide::Plain).apply(chopped(work)), OPTIONS);
        let client = relay(layers(LimitSide::Wire).apply(chopped(work_side)), chopped(service_side), OPTIONS);

        let (up, down) = (random.bytes(300_000), random.bytes(200_000));
        let (mut user_read, mut user_write) = split(user);
        let (mut service_read, mut service_write) = split(service);
        let (server, client, _, (received_up, ()), received_down) = tokio::join!(
            server,
            client,
            async {
                user_write.write_all(&up).await.unwrap();
                user_write.shutdown().await.unwrap();
            },
            async {
                let write = async {
                    service_write.write_all(&down[..100_000]).await.unwrap();
                };
                let (received, ()) = tokio::join!(read_all(&mut service_read), write);
                // The user has ended; its answer goes on.
                service_write.write_all(&down[100_000..]).await.unwrap();
                (received, service_write.shutdown().await.unwrap())
            },
            read_all(&mut user_read),
        );
        assert!(received_up == up && received_down == down, "seed {seed}");
        for report in [server, client] {
            assert_eq!((report.to_service, report.to_user), (300_000, 200_000));
            assert_eq!(closed_by(&report), Side::User);
        }
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_over_tcp() {
    let (mut user, mut service, relay) = joined_tcp().await;
    let (up, down) = (Random::new(1).bytes(8_000_000), Random::new(2).bytes(5_000_000));
    let (report, (), ()) = tokio::join!(
        relay,
        async {
            let (mut read, mut write) = user.split();
            let (received, written) = tokio::join!(read_all(&mut read), async {
                write.write_all(&up).await?;
                write.shutdown().await
            });
            written.unwrap();
            assert!(received == down);
        },
        async {
            let (mut read, mut write) = service.split();
            let (received, written) = tokio::join!(read_all(&mut read), write.write_all(&down));
            written.unwrap();
            assert!(received == up);
            write.shutdown().await.unwrap();
        },
    );
    assert_eq!((report.to_service, report.to_user), (8_000_000, 5_000_000));
    assert_eq!(closed_by(&report), Side::User);
}

#[tokio::test]
async fn bytes_put_back_come_first() {
    let (mut user, near_user) = pipe(64);
    let (mut service, near_service) = pipe(64);
    let relay = relay(near_user.with_prefix("GET ".into()), near_service, OPTIONS);
    let (report, ()) = tokio::join!(relay, async {
        user.write_all(b"/").await.unwrap();
        user.shutdown().await.unwrap();
        assert_eq!(read_all(&mut service).await, b"GET /");
        drop(service);
    });
    assert_eq!(report.to_service, 5);
}

#[tokio::test]
async fn the_service_ends_and_both_close_after_delivery() {
    let (mut user, mut service, relay) = joined_tcp().await;
    let answer = Random::new(3).bytes(300_000);
    let (report, ()) = tokio::join!(relay, async {
        user.write_all(b"question").await.unwrap();
        service.read_exact(&mut [0; 8]).await.unwrap();
        service.write_all(&answer).await.unwrap();
        service.shutdown().await.unwrap();
        assert!(read_all(&mut user).await == answer);
        assert!(read_all(&mut service).await.is_empty());
        drop(user);
    });
    assert_eq!(closed_by(&report), Side::Service);
    assert_eq!((report.to_service, report.to_user), (8, 300_000));
}

#[tokio::test]
async fn an_answer_arrives_whole_although_its_user_goes_on_sending() {
    for seed in 0..10 {
        let (user, service, relay) = joined_tcp().await;
        let answer = Random::new(seed).bytes(3_000_000);
        let (mut user_read, mut user_write) = user.into_split();
        let (mut service_read, mut service_write) = service.into_split();
        let (report, (), (), received) = tokio::join!(
            relay,
            async {
                service_write.write_all(&answer).await.unwrap();
                service_write.shutdown().await.unwrap();
            },
            async {
                let mut part = vec![0; 100_000];
                while let Ok(1..) = service_read.read(&mut part).await {}
            },
            async move {
                let upload = [0; 10_000];
                let flood = async { while user_write.write_all(&upload).await.is_ok() {} };
                // A reset would be an error here, and what is missing then a lost answer.
                tokio::select! { received = read_all(&mut user_read) => received, () = flood => Vec::new() }
            },
        );
        assert!(received == answer);
        assert_eq!(closed_by(&report), Side::Service);
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_service_a_user_that_does_not_close_is_given_a_grace() {
    let (mut user, service, relay) = joined(64);
    drop(service);
    let start = Instant::now();
    let (report, ()) = tokio::join!(relay, async {
        // Its upload is discarded, so that it can reach the end of its answer.
        while user.write_all(&[0; 10]).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(closed_by(&report), Side::Service);
    assert!((GRACE..GRACE + Duration::from_millis(5)).contains(&start.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_user_without_progress_is_cut() {
    let (mut user, mut service, relay) = joined(64);
    let start = Instant::now();
    let (report, ()) = tokio::join!(relay, async {
        user.shutdown().await.unwrap();
        assert!(read_all(&mut service).await.is_empty());
        // Progress towards the user starts the time anew.
        for _ in 0..3 {
            sleep(Duration::from_secs(50)).await;
            service.write_all(b"x").await.unwrap();
        }
        assert_eq!(read_all(&mut user).await, b"xxx");
        assert_eq!(start.elapsed(), Duration::from_secs(150 + 60));
        assert!(service.write_all(b"x").await.is_err());
    });
    assert!(matches!(report.end, RelayEnd::HalfCloseTimeout));
    assert_eq!(report.to_user, 3);
}

#[tokio::test(start_paused = true)]
async fn a_user_that_stops_reading_after_its_end_is_cut() {
    let (mut user, mut service, relay) = joined(64);
    let start = Instant::now();
    let (report, ()) = tokio::join!(relay, async {
        user.shutdown().await.unwrap();
        while service.write_all(&[0; 64]).await.is_ok() {}
    });
    assert!(matches!(report.end, RelayEnd::HalfCloseTimeout));
    assert_eq!((report.to_user, start.elapsed()), (64, Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_users_end_that_waits_behind_its_last_bytes_counts_as_its_end() {
    let (mut user, near_user) = pipe(64);
    let (mut service, near_service) = pipe(4);
    let near_service = Layers { compression: true, ..Layers::default() }.apply(near_service);
    let start = Instant::now();
    let (report, ()) = tokio::join!(relay(near_user, near_service, OPTIONS), async {
        user.write_all(b"last words").await.unwrap();
        user.shutdown().await.unwrap();
    });
    assert!(matches!(report.end, RelayEnd::HalfCloseTimeout));
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    assert_eq!(read_all(&mut service).await.len(), 4);
}

#[tokio::test]
async fn a_reset_on_one_side_is_an_end_on_the_other() {
    for reset_user in [true, false] {
        let (user, service, relay) = joined_tcp().await;
        let (gone, mut left) = if reset_user { (user, service) } else { (service, user) };
        let ((), report) = tokio::join!(
            async {
                gone.set_zero_linger().unwrap();
                drop(gone);
                let end = timeout(Duration::from_secs(1), left.read(&mut [0; 1])).await.unwrap();
                assert!(matches!(end, Ok(0) | Err(_)));
                drop(left);
            },
            relay
        );
        let side = if reset_user { Side::User } else { Side::Service };
        assert_eq!(failure(&report), (side, Operation::Read));
    }
}

#[tokio::test]
async fn a_reset_behind_layers_is_an_end_on_the_other_side() {
    for compression in [false, true] {
        let layers = Layers { encryption: Some(key::derive(b"")), compression, limiter: None };
        let (user, near_user) = tcp_pair().await;
        let (work, near_work) = tcp_pair().await;
        let (mut service, near_service) = tcp_pair().await;
        let server = relay(user_of(near_user), layers.clone().apply(work.into()), OPTIONS);
        let client = relay(layers.apply(near_work.into()), near_service.into(), OPTIONS);
        tokio::join!(
            async {
                user.set_zero_linger().unwrap();
                drop(user);
                let end = timeout(Duration::from_secs(1), service.read(&mut [0; 1])).await.unwrap();
                assert!(matches!(end, Ok(0) | Err(_)));
                drop(service);
            },
            server,
            client
        );
    }
}

fn user_of(stream: TcpStream) -> Stream {
    stream.into()
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_written() {
    // From the user …
    let (mut service, near_service) = pipe(4);
    let user = Stream::boxed(Failing(b"last words".to_vec()));
    let (report, received) = tokio::join!(relay(user, near_service, OPTIONS), read_all(&mut service));
    assert_eq!(received, b"last words");
    assert_eq!((failure(&report), report.to_service), ((Side::User, Operation::Read), 10));
    // … and from the service, also through layers that hold bytes back.
    let (mut user, near_user) = pipe(4);
    let layers = Layers { encryption: Some(key::derive(b"")), compression: true, limiter: None };
    let service = Stream::boxed(Failing(b"last words".to_vec()));
    let mut decoded = Vec::new();
    let (report, received) = tokio::join!(relay(layers.clone().apply(near_user), service, OPTIONS), async {
        let read = read_all(&mut user).await;
        drop(user);
        read
    });
    let (mut far, near) = pipe(1024);
    far.write_all(&received).await.unwrap();
    far.shutdown().await.unwrap();
    layers.apply(near).read_to_end(&mut decoded).await.unwrap();
    assert_eq!(decoded, b"last words");
    assert_eq!((failure(&report), report.to_user), ((Side::Service, Operation::Read), 10));
}

/// A stream that tells on which way it was closed: abandoned, or dropped without.
struct Told {
    inner: tokio::io::DuplexStream,
    abandoned: Arc<AtomicBool>,
}

fn told() -> (tokio::io::DuplexStream, Stream, Arc<AtomicBool>) {
    let (far, inner) = tokio::io::duplex(64);
    let abandoned = Arc::new(AtomicBool::new(false));
    let told = Told { inner, abandoned: abandoned.clone() };
    (far, Stream::boxed_with(told, |told| told.abandoned.store(true, Relaxed)), abandoned)
}

impl AsyncRead for Told {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Told {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_service_is_abandoned_when_its_user_fails_also_after_the_users_end() {
    for layers in [
        Layers::default(),
        Layers {
            encryption: Some(key::derive(b"")),
            compression: true,
            limiter: Some((Arc::new(RateLimiter::new(1 << 40)), LimitSide::Plain)),
        },
    ] {
        let (_far, service, abandoned) = told();
        let user = Stream::boxed(Failing(b"last words".to_vec()));
        relay(user, layers.clone().apply(service), OPTIONS).await;
        assert!(abandoned.load(Relaxed));

        // The user ends and is then gone, while the service goes on sending.
        let (far, service, abandoned) = told();
        let (user, near_user) = tcp_pair().await;
        let mut far = layers.clone().apply(Stream::boxed(far));
        drop(user);
        let send = async { while far.write_all(&[0; 100]).await.is_ok() {} };
        let (report, ()) = tokio::join!(relay(near_user.into(), layers.apply(service), OPTIONS), send);
        assert_eq!(failure(&report), (Side::User, Operation::Write));
        assert!(abandoned.load(Relaxed));
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_abandoned_when_the_half_close_times_out() {
    let (mut user, near_user, user_abandoned) = told();
    let (_service, near_service, service_abandoned) = told();
    user.shutdown().await.unwrap();
    relay(near_user, near_service, OPTIONS).await;
    assert!(user_abandoned.load(Relaxed) && service_abandoned.load(Relaxed));
}

#[tokio::test]
async fn nobody_is_abandoned_when_both_end_in_order() {
    for service_first in [false, true] {
        let (mut user, near_user, user_abandoned) = told();
        let (mut service, near_service, service_abandoned) = told();
        let ends = async {
            if service_first {
                service.shutdown().await.unwrap();
            }
            user.shutdown().await.unwrap();
            service.shutdown().await.unwrap();
        };
        let _ = tokio::join!(relay(near_user, near_service, OPTIONS), ends);
        assert!(!user_abandoned.load(Relaxed) && !service_abandoned.load(Relaxed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_user_does_not_wait_for_a_service_that_takes_nothing() {
    let (mut service, near_service) = pipe(4);
    // The layer takes the last words; the service does not.
    let near_service = Layers { compression: true, ..Layers::default() }.apply(near_service);
    let user = Stream::boxed(Failing(b"last words".to_vec()));
    let start = Instant::now();
    let report = relay(user, near_service, OPTIONS).await;
    assert_eq!((failure(&report), start.elapsed()), ((Side::User, Operation::Read), GRACE));
    assert_eq!(read_all(&mut service).await.len(), 4);
}

#[tokio::test]
async fn a_service_that_takes_no_more_still_has_its_answer_delivered() {
    let (user, near_user) = pipe(64);
    let (service, near_service) = pipe(100_000);
    let (mut user_read, mut user_write) = split(user);
    let answer = Random::new(5).bytes(50_000);
    let mut service = service;
    service.write_all(&answer).await.unwrap();
    drop(service);
    let (report, received) = tokio::join!(relay(near_user, near_service, OPTIONS), async {
        let upload = async { while user_write.write_all(&[1; 64]).await.is_ok() {} };
        let (received, ()) = tokio::join!(
            async {
                let bytes = read_all(&mut user_read).await;
                drop(user_read);
                bytes
            },
            upload
        );
        received
    });
    assert!(received == answer);
    assert_eq!(report.to_user, 50_000);
}

#[tokio::test(start_paused = true)]
async fn slow_readers_hold_back_the_writer() {
    let (_user, service, relay) = joined(64 * 1024);
    let mut tasks = JoinSet::new();
    tasks.spawn(relay);
    let (_service_read, mut service) = split(service);
    let mut taken = 0;
    let piece = vec![1; 64 * 1024];
    while let Ok(written) = timeout(Duration::from_secs(100), service.write(&piece)).await {
        taken += written.unwrap();
    }
    assert!(taken <= 2 * 64 * 1024 + BUFFER, "{taken} bytes in flight");
}

#[tokio::test]
async fn a_relay_can_be_dropped_after_any_number_of_polls() {
    for polls in 0..40 {
        let (user, near_user) = pipe(1000);
        let (service, near_service) = pipe(1000);
        let layers = Layers { encryption: Some(key::derive(b"")), compression: true, limiter: None };
        let near_service = Stream::boxed(Choppy::new(layers.apply(near_service), polls, 500));
        let mut relay = Box::pin(relay(near_user, near_service, OPTIONS));
        let (mut user_read, mut user_write) = split(user);
        let (mut service_read, mut service_write) = split(service);
        let feed = async {
            let bytes = Random::new(polls).bytes(1000);
            while user_write.write_all(&bytes).await.is_ok() {}
        };
        let run = async {
            for _ in 0..polls {
                let over = poll_fn(|cx| Poll::Ready(relay.as_mut().poll(cx).is_ready())).await;
                assert!(!over);
                tokio::task::yield_now().await;
            }
            drop(relay);
        };
        let ends = async {
            let (mut discarded, mut byte) = (Vec::new(), [0]);
            // Both sides see an end, whatever was under way.
            let _ = tokio::join!(
                service_read.read_to_end(&mut discarded),
                async {
                    while service_write.write_all(&[0; 10]).await.is_ok() {
                        tokio::task::yield_now().await
                    }
                },
                user_read.read(&mut byte),
            );
        };
        timeout(Duration::from_secs(10), async { tokio::join!(feed, run, ends) }).await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_relay_is_small_and_holds_no_buffer() {
    assert!(size_of::<Relay>() <= 448, "{} bytes", size_of::<Relay>());
    let (mut user, mut service, relay) = joined_tcp().await;
    let mut relay = pin!(relay);
    let traffic = async {
        user.write_all(&[1; 10_000]).await.unwrap();
        service.read_exact(&mut [0; 10_000]).await.unwrap();
        service.write_all(&[1; 10_000]).await.unwrap();
        user.read_exact(&mut [0; 10_000]).await.unwrap();
    };
    tokio::select! { biased; _ = relay.as_mut() => panic!("ended"), () = traffic => {} }
    assert!(relay.is_idle());
}
