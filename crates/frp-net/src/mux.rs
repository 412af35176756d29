//! Multiplexed connections: the socket below a session, and its streams as streams like any other.

use frp_mux::MuxStream;
use frp_stream::Stream;
use frp_stream::io::PieceIo;
use tokio::net::TcpStream;

/// The bytes of a mux stream pass a relay without a copy, and a peer that nobody reads is told so.
static MUX_STREAM: PieceIo<MuxStream> = PieceIo {
    abandon: MuxStream::abandon,
    read: Some(MuxStream::poll_read_piece),
    write: MuxStream::poll_write_bytes,
};

/// Wraps a mux stream for everything that works on a [`Stream`].
#[must_use]
pub fn stream(stream: MuxStream) -> Stream {
    Stream::boxed_pieces(stream, &MUX_STREAM)
}

/// Unsent bytes that the kernel may hold ahead of what a session sends next. What it holds cannot be overtaken by the
/// small frame of another stream, and on a slow path it would hold megabytes; what is under way is not counted, so that
/// a long path is still filled.
const UNSENT: u32 = 128 * 1024;

/// Prepares a TCP connection for a session on it. Where the system can't do it, small frames wait longer; that is all.
pub fn prepare(socket: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = frp_stream::sys::set_not_sent_low_water_mark(socket, UNSENT);
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, UNSENT);
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// What a connection takes whose peer reads nothing.
    async fn taken(prepared: bool) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut near, _far) = (near.unwrap(), far.unwrap().0);
        if prepared {
            prepare(&near);
        }
        let mut taken = 0;
        while let Ok(count) = timeout(Duration::from_millis(200), near.write(&[0; 16 * 1024])).await {
            taken += count.unwrap();
        }
        taken
    }

    #[tokio::test]
    async fn a_prepared_connection_holds_little_beyond_what_the_peer_takes() {
        let (plain, prepared) = (taken(false).await, taken(true).await);
        assert!(prepared < plain, "{prepared} of {plain} bytes");
    }
}
