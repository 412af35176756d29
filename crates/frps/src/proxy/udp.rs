//! `udp`: a public UDP port whose datagrams travel as messages over one work connection at a time.
//!
//! Upstream `server/proxy/udp.go`. Unlike there, a datagram too long for a message is dropped and counted, and any
//! failure of the work connection only means that the next one is taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frp_config::proxy::UdpProxy;
use frp_net::listen::bind_udp;
use frp_proto::limits::MAX_MESSAGE;
use frp_proto::msg::UdpAddr;
use frp_stream::udp::{
    Datagram, DatagramReader, DatagramWriter, QUEUE, READ_TIMEOUT, Received, Sent, datagram_channel,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing::{info, trace, warn};

use super::{Proxy, Running, StartError};
use crate::control::WorkConn;
use crate::core::WRITE_TIMEOUT;
use crate::ports::PortLease;
use crate::traffic::Traffic;

/// How long the first work connection waits, so that the client hears of the proxy's success before it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait after no work connection could be had.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait after a failed read, so that an error that stays costs no processor.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
/// Datagrams that are written together.
const BATCH: usize = 64;
/// What fits a message on no account, as base64 makes four bytes of three. Somewhat shorter ones fit or not by the length
/// of their user's address.
const LONGEST: usize = MAX_MESSAGE / 4 * 3;

/// Opens the port and returns it as the address that the client is told.
pub(super) fn listen(running: &mut Running, config: &UdpProxy) -> Result<String, StartError> {
    let proxy = Arc::clone(&running.proxy);
    let wanted = config.remote_port;
    let bind = |port| bind_udp(&proxy.core.settings.proxy_bind_addr, port);
    let (lease, socket) = proxy
        .core
        .udp_ports
        .acquire(&proxy.name, wanted, bind)
        .map_err(|error| StartError::UdpPort { wanted, error })?;
    let port = lease.port();
    info!("udp proxy listen port [{port}]");
    running.spawn(serve(proxy, socket, lease, running.stop.clone()));
    Ok(format!(":{port}"))
}

/// The one task of a udp proxy. Frees the port before it ends.
async fn serve(proxy: Arc<Proxy>, socket: UdpSocket, lease: PortLease, stop: CancellationToken) {
    let (queue, queued) = mpsc::channel(QUEUE);
    tokio::select! {
        () = receive(&socket, queue, proxy.core.settings.udp_packet_size, &proxy.traffic) => {}
        () = exchange(&proxy, &socket, queued, &stop) => {}
    }
    drop(socket);
    drop(lease);
}

/// Queues what users send; what does not fit into the queue is dropped, as datagrams are, and what fits no message is
/// not queued, so that the queue holds little memory.
async fn receive(socket: &UdpSocket, queue: Sender<Datagram>, largest: usize, traffic: &Traffic) {
    let mut buffer = vec![0; largest];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, _)) if length > LONGEST => drop_oversized(traffic, length),
            Ok((length, user)) => {
                let content = buffer.get(..length).unwrap_or_default().to_vec();
                let _ = queue.try_send(Datagram { content, user: UdpAddr::from(user) });
            }
            // An error of one user's (such as a port that is closed again) is no error of the socket's.
            Err(error) => {
                trace!("read from udp socket: {error}");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Uses one work connection after the other until the proxy is closed.
async fn exchange(
    proxy: &Proxy,
    socket: &UdpSocket,
    mut queued: Receiver<Datagram>,
    stop: &CancellationToken,
) {
    stop.run_until_cancelled(tokio::time::sleep(FIRST_PAUSE)).await;
    while let Some(work) = stop.run_until_cancelled(next_work_conn(proxy)).await {
        let (reader, writer) = datagram_channel(proxy.layers().apply(work.stream));
        tokio::select! {
            biased;
            () = stop.cancelled() => info!("sender goroutine for udp work connection closed"),
            () = to_users(proxy, socket, reader) => info!("sender goroutine for udp work connection closed"),
            () = to_client(proxy, &mut queued, writer) => {}
        }
    }
}

async fn next_work_conn(proxy: &Proxy) -> WorkConn {
    loop {
        match proxy.work_conn(None, None).await {
            Ok(work) => return work,
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

/// Delivers what the client sends until the work connection ends or stays silent for too long.
async fn to_users(proxy: &Proxy, socket: &UdpSocket, mut reader: DatagramReader) {
    loop {
        trace!("loop waiting message from udp workConn");
        match reader.next_within(READ_TIMEOUT).await {
            Ok(Received::Datagram(datagram)) => {
                trace!("get udp message from workConn, len: {}", datagram.content.len());
                proxy.traffic.add_outbound(datagram.content.len() as u64);
                deliver(socket, &datagram).await;
            }
            Ok(Received::Ping) => trace!("udp work conn get ping message"),
            Ok(Received::Other(kind)) => trace!("ignored a message of type {}", kind.name()),
            Err(error) => {
                warn!("read from workConn for udp error: {error}");
                return;
            }
        }
    }
}

async fn deliver(socket: &UdpSocket, datagram: &Datagram) {
    let Some(user) = datagram.user.to_socket_addr() else { return };
    if let Err(error) = socket.send_to(&datagram.content, for_socket(socket, user)).await {
        trace!("write to udp socket: {error}");
    }
}

/// A dual-stack socket reaches IPv4 users by their mapped addresses only.
fn for_socket(socket: &UdpSocket, user: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), user) {
        (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        _ => user,
    }
}

/// Sends what is queued until the work connection fails or takes nothing for too long.
async fn to_client(proxy: &Proxy, queued: &mut Receiver<Datagram>, mut writer: DatagramWriter) {
    let mut batch = Vec::with_capacity(BATCH);
    while queued.recv_many(&mut batch, BATCH).await > 0 {
        let sent = tokio::time::timeout(WRITE_TIMEOUT, send(proxy, &mut writer, &mut batch)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return info!("sender goroutine for udp work connection closed: {error}"),
            Err(_) => return info!("sender goroutine for udp work connection closed: i/o timeout"),
        }
    }
}

async fn send(
    proxy: &Proxy,
    writer: &mut DatagramWriter,
    batch: &mut Vec<Datagram>,
) -> Result<(), frp_stream::message::WriteError> {
    for Datagram { content, user } in batch.drain(..) {
        match writer.feed(&content, &user).await? {
            Sent::Sent => {
                trace!("send message to udp workConn, len: {}", content.len());
                proxy.traffic.add_inbound(content.len() as u64);
            }
            Sent::TooLong => drop_oversized(&proxy.traffic, content.len()),
        }
    }
    writer.flush().await
}

fn drop_oversized(traffic: &Traffic, length: usize) {
    let count = traffic.count_oversized();
    warn!("dropped a datagram of {length} bytes, too long for one message ({count} so far)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fits_no_message_is_counted_and_not_queued() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let user = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        user.connect(socket.local_addr().unwrap()).await.unwrap();
        user.send(&vec![7; LONGEST + 1]).await.unwrap();
        user.send(&vec![8; LONGEST]).await.unwrap();
        let (queue, mut queued) = mpsc::channel(1);
        let traffic = Traffic::default();
        let datagram = tokio::select! {
            () = receive(&socket, queue, 65_536, &traffic) => None,
            datagram = queued.recv() => datagram,
        };
        assert_eq!(datagram.unwrap().content, vec![8; LONGEST]);
        assert_eq!(traffic.count_oversized(), 2, "one before this");
    }
}
