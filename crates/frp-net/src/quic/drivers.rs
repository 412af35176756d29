//! What quinn runs on: tasks that have an owner, and the socket.

use std::fmt::Debug;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::SockRef;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the peer may be told of a close.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What quinn asks the system for in either direction. Upstream's library does the same (quic-go `sys_conn_buffers.go`).
const SOCKET_BUFFER: usize = 7 * 1024 * 1024;

/// Bytes that the system takes at once to make datagrams of them: as many as one datagram could have.
const LARGEST_BATCH: usize = 65_000;

/// Runs the tasks of one socket. They end by themselves once nothing is left to drive, or, when `closing` is
/// cancelled, within [`CLOSE_TIMEOUT`].
#[derive(Debug)]
pub(super) struct Drivers {
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Drivers {
    pub(super) fn new(tasks: TaskTracker, closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self { tasks, closing })
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, mut driver: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = &mut driver => return,
                () = closing.cancelled() => {}
            }
            let _ = timeout(CLOSE_TIMEOUT, driver).await;
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        enlarge_buffers(&socket);
        Ok(Arc::new(WithoutEcn(TokioRuntime.wrap_udp_socket(socket)?)))
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// As much as the system gives; where it gives less, bursts are lost earlier, that is all.
fn enlarge_buffers(socket: &UdpSocket) {
    let reference = SockRef::from(socket);
    let _ = reference.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = reference.set_send_buffer_size(SOCKET_BUFFER);
    // The administrator may go beyond the system's limit.
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt;
        let is_small = |size: io::Result<usize>| size.is_ok_and(|size| size < SOCKET_BUFFER);
        if is_small(reference.recv_buffer_size()) {
            let _ = sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER);
        }
        if is_small(reference.send_buffer_size()) {
            let _ = sockopt::set_socket_send_buffer_size_force(socket, SOCKET_BUFFER);
        }
    }
}

/// A socket whose datagrams carry no ECN mark, as upstream's: some systems and networks mishandle them.
#[derive(Debug)]
struct WithoutEcn(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for WithoutEcn {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Transmit { destination, contents, segment_size, src_ip, .. } = *transmit;
        let most = match segment_size {
            Some(size) if contents.len() > LARGEST_BATCH => LARGEST_BATCH / size.max(1) * size,
            _ => contents.len(),
        };
        // Where the second batch finds no room, the first one is sent again with it: the peer drops what it has.
        for contents in contents.chunks(most.max(1)) {
            let segment_size = segment_size.filter(|size| *size < contents.len());
            self.0.try_send(&Transmit { destination, ecn: None, contents, segment_size, src_ip })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}
