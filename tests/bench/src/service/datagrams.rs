//! A UDP service that sends every datagram back, one by one, in a thread of its own.

use std::net::UdpSocket;
use std::thread;

use anyhow::{Context, Result};
use socket2::SockRef;

/// What a socket of ours may hold: enough that nothing is lost at this end.
pub(crate) const BUFFER: usize = 8 << 20;

/// Serves until this process ends.
///
/// # Errors
/// No port, or no thread.
pub(crate) fn serve(port: u16) -> Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", port)).context("bind a service")?;
    SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    thread::Builder::new().name("datagrams".to_owned()).spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            // A user that has gone shows as an error, of which the next ones know nothing.
            let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
            let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), peer);
        }
    })?;
    Ok(())
}
