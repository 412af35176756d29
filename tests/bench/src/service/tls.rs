//! A service that completes TLS handshakes, with a certificate of ECDSA P-256, and ends the connection.

use frp_test_support::tls;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves whoever connects.
pub(crate) async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((peer, _)) = listener.accept().await {
            connections.spawn(async move {
                let _ = peer.set_nodelay(true);
                if let Ok(mut stream) = tls::accept(peer).await {
                    let _ = stream.shutdown().await;
                }
            });
        }
        while connections.try_join_next().is_some() {}
    }
}
