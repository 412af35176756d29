//! The relay of datagrams: one task that owns every socket and what is on its way.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use anyhow::Result;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::direction::Direction;
use super::{Conditions, SockRef, Statistics, loopback};

/// How many datagrams a socket gives in one turn.
const TURN: usize = 256;
/// How many addresses may send.
const FLOWS: usize = 1024;
/// Of each socket, as far as the system allows: a relay that is late must not lose anything of itself.
const BUFFER: usize = 4 << 20;

/// A socket of 127.0.0.1 with room for what comes while others run.
pub(super) fn socket() -> Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(loopback(0))?;
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    let _ = options.set_recv_buffer_size(BUFFER);
    let _ = options.set_send_buffer_size(BUFFER);
    Ok(UdpSocket::from_std(socket)?)
}

/// A datagram, and whose it is.
#[derive(Debug, Clone)]
struct Datagram {
    flow: usize,
    payload: Vec<u8>,
}

/// Whoever sends, and its socket towards the target.
#[derive(Debug)]
struct Flow {
    peer: SocketAddr,
    far: UdpSocket,
}

/// The whole of it.
#[derive(Debug)]
pub(super) struct Relay {
    near: UdpSocket,
    target: SocketAddr,
    flows: Vec<Flow>,
    there: Direction<Datagram>,
    back: Direction<Datagram>,
    buffer: Vec<u8>,
}

impl Relay {
    pub(super) fn new(near: UdpSocket, target: SocketAddr, conditions: Conditions) -> Self {
        let now = Instant::now();
        Self {
            near,
            target,
            flows: Vec::new(),
            there: Direction::new(conditions, now),
            back: Direction::new(conditions.back(), now),
            buffer: vec![0; 64 << 10],
        }
    }

    /// Carries datagrams until it is dropped.
    pub(super) async fn run(
        mut self,
        mut hole: watch::Receiver<bool>,
        comers: watch::Sender<usize>,
        statistics: Arc<Mutex<Statistics>>,
    ) {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        loop {
            let next = [self.there.next(), self.back.next()].into_iter().flatten().min();
            if let Some(next) = next
                && timer.deadline() != next
            {
                timer.as_mut().reset(next);
            }
            tokio::select! {
                () = self.readable() => {}
                () = timer.as_mut(), if next.is_some() => {}
                changed = hole.changed() => if changed.is_err() { return },
            }
            let open = *hole.borrow_and_update();
            self.there.black_hole(open);
            self.back.black_hole(open);
            let now = Instant::now();
            self.take_from_near(now).await;
            self.take_from_far(now);
            self.give(now);
            if *comers.borrow() != self.flows.len() {
                comers.send_replace(self.flows.len());
            }
            *statistics.lock().unwrap_or_else(PoisonError::into_inner) =
                Statistics { there: self.there.counts(), back: self.back.counts() };
        }
    }

    /// Waits until some socket may have something.
    async fn readable(&self) {
        poll_fn(|context| {
            let mut sockets = std::iter::once(&self.near).chain(self.flows.iter().map(|flow| &flow.far));
            if sockets.any(|socket| socket.poll_recv_ready(context).is_ready()) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    async fn take_from_near(&mut self, now: Instant) {
        for _ in 0..TURN {
            let Ok((length, peer)) = self.near.try_recv_from(&mut self.buffer) else { return };
            let Some(flow) = self.flow(peer).await else { continue };
            let payload = self.buffer.get(..length).unwrap_or_default().to_vec();
            self.there.take(now, length, Datagram { flow, payload });
        }
    }

    /// The flow of that address, made when it has none.
    async fn flow(&mut self, peer: SocketAddr) -> Option<usize> {
        // The one that came last is the most likely.
        if let Some(flow) = self.flows.iter().rposition(|flow| flow.peer == peer) {
            return Some(flow);
        }
        if self.flows.len() >= FLOWS {
            return None;
        }
        let far = socket().ok()?;
        far.connect(self.target).await.ok()?;
        self.flows.push(Flow { peer, far });
        Some(self.flows.len() - 1)
    }

    fn take_from_far(&mut self, now: Instant) {
        for (number, flow) in self.flows.iter().enumerate() {
            for _ in 0..TURN {
                match flow.far.try_recv(&mut self.buffer) {
                    Ok(length) => {
                        let payload = self.buffer.get(..length).unwrap_or_default().to_vec();
                        self.back.take(now, length, Datagram { flow: number, payload });
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    // Nobody listens there at the moment, which the one who sends is not told.
                    Err(_) => {}
                }
            }
        }
    }

    fn give(&mut self, now: Instant) {
        while let Some(datagram) = self.there.arrived(now) {
            if let Some(flow) = self.flows.get(datagram.flow) {
                let _ = flow.far.try_send(&datagram.payload);
            }
        }
        while let Some(datagram) = self.back.arrived(now) {
            if let Some(flow) = self.flows.get(datagram.flow) {
                let _ = self.near.try_send_to(&datagram.payload, flow.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Impairment;
    use super::*;
    use crate::service::Service;
    use crate::{traffic, within};

    #[tokio::test]
    async fn everyone_gets_the_answers_to_what_they_sent() {
        let service = Service::udp_echo().await.unwrap();
        let mut line = Impairment::datagrams(service.port(), Conditions::default()).unwrap();
        let users =
            [traffic::udp_user(line.port()).await.unwrap(), traffic::udp_user(line.port()).await.unwrap()];
        for round in 0..50_u8 {
            for (name, user) in (0_u8..).zip(&users) {
                assert_eq!(traffic::udp_exchange(user, &[name, round]).await.unwrap(), [name, round]);
            }
        }
        within("two users", line.wait_comers(2)).await.unwrap();
        let statistics = line.statistics();
        assert!(statistics.there.passed >= 100 && statistics.there.bytes >= 200, "{statistics:?}");
        assert_eq!(statistics.there.lost, 0);
    }

    #[tokio::test]
    async fn a_black_hole_is_closed_again() {
        let service = Service::udp_echo().await.unwrap();
        let line = Impairment::datagrams(service.port(), Conditions::default()).unwrap();
        let user = traffic::udp_user(line.port()).await.unwrap();
        assert_eq!(traffic::udp_exchange(&user, b"before").await.unwrap(), b"before");
        line.black_hole(true);
        let mut sent = 0_u64;
        within("it to swallow", async {
            while line.statistics().there.swallowed == 0 {
                user.send(b"within").await.unwrap();
                sent += 1;
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        line.black_hole(false);
        loop {
            // What was sent before the hole was seen may still come.
            if traffic::udp_exchange(&user, b"after").await.unwrap() == b"after" {
                break;
            }
        }
        let swallowed = line.statistics().there.swallowed;
        assert!((1..=sent).contains(&swallowed), "{swallowed} of {sent}");
    }

    #[tokio::test]
    async fn delay_loss_and_duplicates_reach_the_sockets() {
        let service = Service::udp_echo().await.unwrap();
        let conditions = Conditions {
            delay: Duration::from_millis(5),
            rate: Some(100_000_000),
            loss: 0.2,
            duplication: 0.2,
            reordering: 0.2,
            ..Conditions::default()
        };
        let line = Impairment::datagrams(service.port(), conditions).unwrap();
        traffic::udp_bulk_echo(line.port(), 20, 500).await.unwrap();
        let Statistics { there, back } = line.statistics();
        assert!(
            there.lost + back.lost > 0 && there.duplicated > 0 && there.reordered > 0,
            "{there:?} {back:?}"
        );
    }
}
