//! A UDP socket that takes and sends many datagrams at a time where the system can.
//!
//! On Linux: `recvmmsg` with `UDP_GRO` to receive, `UDP_SEGMENT` to send a run of equally long datagrams to one
//! address. They save most of what a datagram costs, which is not its bytes. Elsewhere one by one.

#[cfg(not(target_os = "linux"))]
mod portable;

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::SockRef;
use tokio::{io::Interest, net::UdpSocket};

#[cfg(target_os = "linux")]
use crate::sys::datagrams as system;
#[cfg(not(target_os = "linux"))]
use portable as system;

/// What the kernel may hold of datagrams that nobody has taken yet, in bytes, if the system's limit
/// (`net.core.rmem_max`) allows it. The default holds less than a hundred datagrams, which come in a few milliseconds.
const RECEIVE_BUFFER: usize = 1 << 20;
/// The longest datagrams that are sent in runs: those that pass an Ethernet unfragmented, as a run must.
const LONGEST_IN_RUN: usize = 1452;
/// Datagrams in one run; the kernel's own bound is 64 or more.
const MOST_IN_RUN: usize = 64;
/// Bytes in one run, somewhat less than the longest datagram there is.
const RUN_BYTES: usize = 65_000;

/// A socket, connected or not.
#[derive(Debug)]
pub struct BatchSocket {
    socket: UdpSocket,
    /// Whether it sends to one address only.
    connected: bool,
    /// False once the network device has refused a run.
    runs: AtomicBool,
}

impl BatchSocket {
    /// Makes the most of `socket`. `connected` says that it has one peer.
    pub fn new(socket: UdpSocket, connected: bool) -> Self {
        // This and the next are a matter of speed only.
        let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        Self::with_system_buffers(socket, connected)
    }

    /// The same, with so many bytes that the kernel may hold either way, as far as the system's limits allow it.
    pub fn with_buffers(socket: UdpSocket, connected: bool, bytes: usize) -> Self {
        let options = SockRef::from(&socket);
        let _ = (options.set_recv_buffer_size(bytes), options.set_send_buffer_size(bytes));
        Self::with_system_buffers(socket, connected)
    }

    fn with_system_buffers(socket: UdpSocket, connected: bool) -> Self {
        let _ = system::join_received(&socket);
        Self { socket, connected, runs: AtomicBool::new(system::SENDS_RUNS) }
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until there is something to [receive](Self::receive).
    ///
    /// # Errors
    /// Those of the runtime, which ends.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Calls `each` with every datagram of one batch and, unless connected, its sender. Datagrams are whole; those of a
    /// connected socket come with an address that means nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; and those of the socket, such as a refusal of what was sent.
    pub fn receive(&self, mut each: impl FnMut(&[u8], SocketAddr)) -> io::Result<()> {
        let receive = || system::receive(&self.socket, !self.connected, &mut each);
        self.socket.try_io(Interest::READABLE, receive)
    }

    /// Sends datagrams of the lengths `lengths`, which stand one after the other in `bytes`, to `to` or to the one
    /// peer. Waits for room in the send buffer.
    ///
    /// # Errors
    /// Of the first that could not be sent, with what was sent before it. The others are not tried.
    pub async fn send(
        &self,
        bytes: &[u8],
        lengths: &[usize],
        to: Option<SocketAddr>,
    ) -> Result<(), SendError> {
        let (mut rest, mut left) = (bytes, lengths);
        let mut sent = Progress::default();
        while let Some(&length) = left.first() {
            let count = if self.runs.load(Ordering::Relaxed) { run(left) } else { 1 };
            let run_bytes = left.iter().take(count).sum();
            let (Some(payload), Some(after)) = (rest.get(..run_bytes), rest.get(run_bytes..)) else { break };
            match self.send_run(payload, length, count, to).await {
                Ok(()) => {}
                // The path of these may be narrower than an Ethernet; or its device cannot do it at all.
                Err(error) if count > 1 && system::is_about_runs(&error) => {
                    if system::is_about_all_runs(&error) {
                        self.runs.store(false, Ordering::Relaxed);
                    }
                    for datagram in payload.chunks(length) {
                        let alone = self.send_run(datagram, datagram.len(), 1, to).await;
                        alone.map_err(|error| SendError { error, sent })?;
                        sent.add(1, datagram.len());
                    }
                    (rest, left) = (after, left.get(count..).unwrap_or_default());
                    continue;
                }
                Err(error) => return Err(SendError { error, sent }),
            }
            sent.add(count, run_bytes);
            (rest, left) = (after, left.get(count..).unwrap_or_default());
        }
        Ok(())
    }

    async fn send_run(
        &self,
        payload: &[u8],
        length: usize,
        count: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<()> {
        let send = || match (count, to) {
            (1, Some(to)) => SockRef::from(&self.socket).send_to(payload, &to.into()).map(drop),
            (1, None) => SockRef::from(&self.socket).send(payload).map(drop),
            _ => system::send_run(&self.socket, payload, length, to),
        };
        // Not `async_io`, which asks whether the socket is writable before it tries.
        loop {
            match self.socket.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                sent => return sent,
            }
        }
    }
}

/// Datagrams could not be sent.
#[derive(Debug)]
pub struct SendError {
    /// Why.
    pub error: io::Error,
    /// What was sent before.
    pub sent: Progress,
}

/// How far sending came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many.
    pub datagrams: usize,
    /// And how many bytes they have together.
    pub bytes: usize,
}

impl Progress {
    fn add(&mut self, datagrams: usize, bytes: usize) {
        self.datagrams += datagrams;
        self.bytes += bytes;
    }
}

/// How many of the first datagrams make one run: equally long ones, of which the last may be shorter.
fn run(lengths: &[usize]) -> usize {
    let Some(&length) = lengths.first().filter(|length| (1..=LONGEST_IN_RUN).contains(*length)) else {
        return 1;
    };
    let most = MOST_IN_RUN.min(RUN_BYTES / length);
    let equal = lengths.iter().take(most).take_while(|&&next| next == length).count();
    let shorter = lengths.get(equal).is_some_and(|&next| equal < most && (1..length).contains(&next));
    equal + usize::from(shorter)
}

#[cfg(test)]
mod tests;
