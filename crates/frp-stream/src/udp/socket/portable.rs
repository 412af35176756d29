//! One by one.

use std::{io, net::SocketAddr};

use tokio::net::UdpSocket;

use crate::buffer::Buffer;

/// Datagrams that are taken before other tasks get their turn.
const BATCH: usize = 16;

pub(super) const SENDS_RUNS: bool = false;

pub(super) fn join_received(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}

pub(super) fn receive(
    socket: &UdpSocket,
    named: bool,
    each: &mut impl FnMut(&[u8], SocketAddr),
) -> io::Result<()> {
    let nobody = SocketAddr::from(([0; 4], 0));
    let mut buffer = Buffer::take();
    for count in 0..BATCH {
        let received = if named {
            socket.try_recv_from(&mut buffer)
        } else {
            socket.try_recv(&mut buffer).map(|length| (length, nobody))
        };
        match received {
            Ok((length, from)) => each(buffer.get(..length).unwrap_or_default(), from),
            Err(error) if count > 0 && error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn send_run(
    _socket: &UdpSocket,
    _payload: &[u8],
    _length: usize,
    _to: Option<SocketAddr>,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn is_about_runs(_error: &io::Error) -> bool {
    true
}

pub(super) fn is_about_all_runs(_error: &io::Error) -> bool {
    true
}
