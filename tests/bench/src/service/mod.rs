//! The local services behind every tunnel, in a thread of their own.

pub(crate) mod bulk;
pub(crate) mod datagrams;
pub(crate) mod http;
pub(crate) mod tls;

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

use crate::ports;

/// The services, which serve until this process ends.
#[derive(Debug)]
pub(crate) struct Services {
    /// Where requests are answered.
    pub(crate) http: u16,
    /// Where bulk is taken and given by our own load.
    pub(crate) bulk: u16,
    /// Where TLS handshakes are completed.
    pub(crate) tls: u16,
    /// Where datagrams are sent back.
    pub(crate) datagrams: u16,
    /// What the bulk service has received.
    pub(crate) received: Arc<bulk::Received>,
}

impl Services {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// No port, or no thread.
    pub(crate) fn start() -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (http, bulk, tls) = (ports::free(), ports::free(), ports::free());
        let datagrams = ports::free();
        datagrams::serve(datagrams)?;
        let received = Arc::<bulk::Received>::default();
        let (requests, transfers) = (listen(http, &runtime)?, listen(bulk, &runtime)?);
        let shaken = listen(tls, &runtime)?;
        let counter = Arc::clone(&received);
        thread::Builder::new().name("services".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::join!(http::serve(requests), bulk::serve(transfers, counter), tls::serve(shaken))
            })
        })?;
        Ok(Self { http, bulk, tls, datagrams, received })
    }
}

/// Listens on behalf of a runtime that is not the caller's, from which it could not be waited for.
fn listen(port: u16, runtime: &Runtime) -> Result<TcpListener> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).context("listen for a service")?;
    listener.set_nonblocking(true)?;
    let _entered = runtime.enter();
    Ok(TcpListener::from_std(listener)?)
}
