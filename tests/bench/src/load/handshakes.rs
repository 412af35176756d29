//! TLS connections to a virtual host, each for nothing but its handshake, as from users that come for the first time.

use anyhow::{Result, ensure};
use frp_test_support::tls;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Exchanges;
use super::connections::again_and_again;

/// The host that is asked for.
pub(crate) const HOST: &str = "bench.site.test";

/// Opens connection after connection for so many seconds.
///
/// # Errors
/// No handshake was completed.
pub(crate) async fn run(public: u16, seconds: f64) -> Result<Exchanges> {
    again_and_again(seconds, move || once(public)).await
}

/// One handshake, and the service's farewell, which says that it has completed it too.
///
/// # Errors
/// It was not completed.
pub(crate) async fn once(public: u16) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", public)).await?;
    stream.set_nodelay(true)?;
    let mut stream = tls::connect(stream, HOST).await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    ensure!(rest.is_empty(), "more than a farewell");
    Ok(())
}
