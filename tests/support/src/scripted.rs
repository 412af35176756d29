//! A web server that answers byte by byte as it is told, for what no server library says.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http::Connection;
use crate::service::{Gate, Service};

/// One step of an answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// Read the body of the request; not reading it is for those who refuse it.
    Body,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Wait for the test.
    Wait(Gate),
    /// Send back all that comes until the end of stream, and end.
    Echo,
    /// End the connection.
    Close,
}

impl Step {
    /// Sends a text.
    #[must_use]
    pub fn send(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }
}

impl Service {
    /// Answers each request by the steps of its path, and keeps the connection unless they close it. An unknown path
    /// ends it.
    ///
    /// # Errors
    /// No port.
    pub async fn scripted(
        answers: impl IntoIterator<Item = (&'static str, Vec<Step>)> + Send,
    ) -> Result<Self> {
        let answers: Arc<HashMap<&str, Vec<Step>>> = Arc::new(answers.into_iter().collect());
        Self::tcp(move |peer| {
            let answers = Arc::clone(&answers);
            async move {
                let _ = serve(peer, &answers).await;
            }
        })
        .await
    }
}

async fn serve(peer: TcpStream, answers: &HashMap<&str, Vec<Step>>) -> Result<()> {
    peer.set_nodelay(true)?;
    let mut connection = Connection::new(peer);
    while let Some(head) = connection.head().await? {
        connection.expect_request_body(&head)?;
        let path = head.start.split(' ').nth(1).unwrap_or_default();
        let Some(steps) = answers.get(path) else { break };
        for step in steps {
            match step {
                Step::Body => while connection.body().await?.is_some() {},
                Step::Send(bytes) => connection.send(bytes).await?,
                Step::Wait(gate) => gate.pass().await,
                Step::Echo => {
                    let (mut peer, early) = connection.into_parts();
                    peer.write_all(&early).await?;
                    let (mut read, mut write) = peer.split();
                    tokio::io::copy(&mut read, &mut write).await?;
                    return Ok(());
                }
                Step::Close => {
                    let (mut peer, _) = connection.into_parts();
                    peer.shutdown().await?;
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
