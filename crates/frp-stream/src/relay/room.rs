//! Whether a connection takes more, asked before more is read for it.
//!
//! When a reader is slow, its connection is full most of the time. What is read for it meanwhile has to
//! wait in a buffer or a pipe; so it had better wait where it is.

use std::{
    io,
    task::{Context, Poll, ready},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{io::Interest, net::TcpStream};

/// Ready when a write would take something, or fail.
///
/// The runtime can't tell: it takes a connection for writable until a write says otherwise.
pub(super) fn poll_room(cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<()>> {
    loop {
        ready!(to.poll_write_ready(cx))?;
        let asked = to.try_io(Interest::WRITABLE, || {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            match poll(&mut [PollFd::new(to, PollFlags::OUT)], Some(&now)) {
                Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
                // If this fails, the write will tell.
                _ => Ok(()),
            }
        });
        if asked.is_ok() {
            return Poll::Ready(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::super::{RelayOptions, relay};
    use crate::{Stream, testing::tcp_pair};

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_reader_does_not_take_is_seldom_held() {
        for spliced in [false, true] {
            let (mut user, near_user) = tcp_pair().await;
            let (service, near_service) = tcp_pair().await;
            let near_service = if spliced { near_service.into() } else { Stream::boxed(near_service) };
            let mut relay = relay(near_user.into(), near_service, RelayOptions::default());
            let (_service_read, mut service) = service.into_split();
            let (piece, mut buffer) = (vec![7; 1 << 20], vec![0; 3 << 20]);
            let mut idle = 0;
            for _ in 0..10 {
                // Until nothing moves any more.
                loop {
                    tokio::select! {
                        _ = &mut relay => panic!("ended"),
                        sent = timeout(Duration::from_secs(5), service.write(&piece)) => match sent {
                            Ok(n) => drop(n.unwrap()),
                            Err(_) => break,
                        },
                    }
                }
                idle += usize::from(relay.is_idle());
                tokio::select! {
                    _ = &mut relay => panic!("ended"),
                    read = user.read_exact(&mut buffer) => drop(read.unwrap()),
                }
            }
            assert!(idle > 5, "spliced: {spliced}, idle {idle} times of 10");
        }
    }
}
