//! A last answer.

use std::time::Duration;

use frp_stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// How long a peer may take to read an answer, and how long what it still sends is read.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much of what it still sends is read.
const READ_ON: usize = 1 << 18;

/// Writes `answer` and closes. What the peer has sent is read first: closing a connection with unread bytes resets it,
/// and a reset may destroy an answer that is under way.
pub(crate) async fn say(mut stream: Stream, answer: &[u8]) {
    let _ = timeout(TIMEOUT, async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        let mut left = READ_ON;
        while left > 0 {
            match stream.read(&mut sink).await? {
                0 => break,
                length => left = left.saturating_sub(length),
            }
        }
        Ok::<_, std::io::Error>(())
    })
    .await;
}
