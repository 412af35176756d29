//! A look, once in a while, at a relay that is held up.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep};

use super::GRACE;

/// Fires every [`GRACE`] while a direction is blocked. Costs nothing as long as none ever was.
///
/// Nobody reads from the other side of a blocked direction, so nobody would learn that it has failed; the
/// runtime wakes a task for bytes that it does not want yet, or not at all.
#[derive(Default)]
pub(super) struct Watch(Option<Box<Running>>);

struct Running {
    timer: Pin<Box<Sleep>>,
    /// Bytes moved in each direction at the last look.
    moved: [u64; 2],
}

impl Watch {
    /// Ready when it is time to look, with the directions in which nothing has moved since the last time.
    pub(super) fn poll_stalled(
        &mut self,
        cx: &mut Context<'_>,
        blocked: bool,
        moved: [u64; 2],
    ) -> Poll<[bool; 2]> {
        if !blocked && self.0.is_none() {
            return Poll::Pending;
        }
        let running =
            self.0.get_or_insert_with(|| Box::new(Running { timer: Box::pin(sleep(GRACE)), moved }));
        ready!(running.timer.as_mut().poll(cx));
        if !blocked {
            // Only now: a direction that is blocked for a moment again and again needs one timer.
            self.0 = None;
            return Poll::Pending;
        }
        let stalled = [0, 1].map(|n| running.moved[n] == moved[n]);
        running.moved = moved;
        running.timer.as_mut().reset(Instant::now() + GRACE);
        // In the future: this is only to be woken.
        let _ = running.timer.as_mut().poll(cx);
        Poll::Ready(stalled)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::{super::*, *};
    use crate::testing::tcp_pair;

    const OPTIONS: RelayOptions = RelayOptions { half_close_timeout: Duration::from_secs(60) };

    /// A relay of which one direction is full, the end that sends, the end that does not read, and how
    /// much was sent.
    async fn blocked(user_sends: bool) -> (Relay, TcpStream, TcpStream, usize) {
        let (user, near_user) = tcp_pair().await;
        let (service, near_service) = tcp_pair().await;
        let mut relay = relay(near_user.into(), near_service.into(), OPTIONS);
        let (mut sender, reader) = if user_sends { (user, service) } else { (service, user) };
        let piece = vec![7; 1 << 20];
        let mut sent = 0;
        loop {
            tokio::select! {
                _ = &mut relay => panic!("ended"),
                written = timeout(Duration::from_secs(5), sender.write(&piece)) => match written {
                    Ok(n) => sent += n.unwrap(),
                    Err(_) => return (relay, sender, reader, sent),
                },
            }
        }
    }

    fn reset(stream: TcpStream) {
        stream.set_zero_linger().unwrap();
        drop(stream);
    }

    fn failed(report: &RelayReport) -> (Side, Operation) {
        let RelayEnd::Failed(error) = &report.end else { panic!("{report:?}") };
        (error.side, error.operation)
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_that_is_reset_while_its_service_takes_nothing_ends_the_relay() {
        let (relay, user, mut service, sent) = blocked(true).await;
        let start = Instant::now();
        reset(user);
        let report = relay.await;
        assert!(start.elapsed() <= GRACE);
        assert_eq!(failed(&report), (Side::User, Operation::Read));
        assert!(report.to_service < sent as u64);
        let mut received = Vec::new();
        // A connection with bytes that nobody took is reset when it is closed.
        let _ = service.read_to_end(&mut received).await;
        assert!(received.len() < sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_takes_its_time_gets_what_its_user_sent_before_it_was_reset() {
        let (mut relay, user, mut service, sent) = blocked(true).await;
        reset(user);
        let mut received = 0;
        let mut piece = vec![0; 1 << 20];
        let slow = async {
            loop {
                sleep(GRACE / 2).await;
                match service.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => received += n,
                }
            }
        };
        let (report, ()) = tokio::join!(&mut relay, slow);
        assert_eq!(failed(&report), (Side::User, Operation::Read));
        // What the user's own system had not sent yet went with it.
        assert!(received as u64 == report.to_service && received <= sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_that_takes_nothing_is_cut_some_time_after_its_service_was_reset() {
        let (relay, service, user, _) = blocked(false).await;
        let start = Instant::now();
        reset(service);
        let report = relay.await;
        assert_eq!(failed(&report), (Side::Service, Operation::Read));
        let elapsed = start.elapsed();
        assert!((OPTIONS.half_close_timeout..=OPTIONS.half_close_timeout + GRACE).contains(&elapsed));
        drop(user);
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_that_reads_on_gets_what_its_service_sent_before_it_was_reset() {
        let (relay, service, mut user, sent) = blocked(false).await;
        reset(service);
        let late = async {
            sleep(OPTIONS.half_close_timeout / 2).await;
            let mut received = Vec::new();
            let _ = user.read_to_end(&mut received).await;
            drop(user);
            received.len()
        };
        let (report, received) = tokio::join!(relay, late);
        assert_eq!(failed(&report), (Side::Service, Operation::Read));
        assert!(received as u64 == report.to_user && received <= sent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_is_held_up_without_a_failure_stays() {
        let (relay, mut service, mut user, sent) = blocked(false).await;
        let late = async {
            sleep(100 * OPTIONS.half_close_timeout).await;
            service.shutdown().await.unwrap();
            let mut received = Vec::new();
            user.read_to_end(&mut received).await.unwrap();
            drop(user);
            received.len()
        };
        let (report, received) = tokio::join!(relay, late);
        assert!(matches!(report.end, RelayEnd::Closed { first: Side::Service }));
        assert_eq!(received, sent);
    }
}
