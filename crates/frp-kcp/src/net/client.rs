//! A conversation that we begin.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use frp_stream::udp::BatchSocket;
use tokio::net::UdpSocket;

use super::driver::{Route, drive};
use super::shared::Shared;
use super::{KcpStream, SOCKET_BUFFER};
use crate::config::Config;

/// Begins a conversation with whoever listens at `peer`. Nothing is sent before something is written, and nobody says
/// whether anybody is there. The future drives it and has to be run; it ends when the conversation does, which is some
/// time after the stream was dropped, and dropping it ends the conversation.
///
/// # Errors
/// Those of making a socket.
pub async fn connect(
    peer: SocketAddr,
    config: Config,
) -> io::Result<(KcpStream, impl Future<Output = ()> + Send + 'static)> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(peer).await?;
    let local = socket.local_addr()?;
    Ok(driven(socket, Shared::with_listener(rand::random(), config, peer, local)))
}

/// The same over a socket that is connected to the peer, with a number that both know: either may begin.
///
/// # Errors
/// The socket is not connected.
pub fn over(
    socket: UdpSocket,
    conv: u32,
    config: Config,
) -> io::Result<(KcpStream, impl Future<Output = ()> + Send + 'static)> {
    let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
    Ok(driven(socket, Shared::new(conv, config, peer, local)))
}

fn driven(socket: UdpSocket, shared: Shared) -> (KcpStream, impl Future<Output = ()> + Send + 'static) {
    let socket = BatchSocket::with_buffers(socket, true, SOCKET_BUFFER);
    let shared = Arc::new(shared);
    let route = Route { socket: Arc::new(socket), to: None };
    (KcpStream::new(Arc::clone(&shared)), drive(shared, route))
}
