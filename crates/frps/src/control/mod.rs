//! The session of one client, from its login to its end.
//!
//! ```text
//!              +--------+  inbound  +---------+  outbound  +--------+
//!  client ---> | reader | --------> | handler | ---------> | writer | ---> client
//!              +--------+           +---------+            +--------+
//! ```
//!
//! Both queues hold 100 messages. The handler is [`Control::run`] itself: it alone owns the proxies of the client and
//! acts on messages in their order. Reader, writer and heartbeat are tasks in its `JoinSet`; whichever ends first
//! ends the control. Everything of the control is released by dropping it, too, so that a panic costs one client and
//! no port.

mod heartbeat;
mod outbound;
mod registry;
mod work_pool;

use std::collections::HashMap;
use std::sync::Arc;

use frp_net::resident::{self, Milestone};
use frp_proto::msg::{CloseProxy, Message, NewProxy, NewProxyResp, Ping, Pong, ReqWorkConn};
use frp_proto::wire::Framing;
use frp_stream::message::{MessageReader, MessageWriter, ReadError, WriteError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::DropGuard;
use tracing::{Instrument, debug, info, warn};

pub(crate) use self::heartbeat::Heartbeat;
pub(crate) use self::outbound::{Outbound, Queued};
pub(crate) use self::registry::{Client, Handle, LookupError, Registration, Registry, RegistryError};
pub(crate) use self::work_pool::{TakeError, WorkConn, WorkPool};
use crate::core::{Core, WRITE_TIMEOUT};
use crate::ids::ProxyName;
use crate::proxy::{self, Running, StartError};

/// See the module. Its task belongs to the server's tracker; the server's token or the token of its
/// [`Handle`] ends it.
pub(crate) struct Control {
    core: Arc<Core>,
    /// Work connections that the client wants kept ready, clamped.
    pool_count: usize,
    outbound: Outbound,
    heartbeat: Arc<Heartbeat>,
    proxies: HashMap<ProxyName, Running>,
    /// Ports that all of them hold.
    ports: i64,
    /// Taken out of the registry after everything above is gone: fields are dropped in this order.
    registration: Registration,
}

/// The two ends of the encrypted control stream.
pub(crate) struct Channel {
    pub(crate) reader: MessageReader,
    pub(crate) writer: MessageWriter,
}

impl Control {
    pub(crate) fn new(
        core: Arc<Core>,
        pool_count: usize,
        outbound: Outbound,
        registration: Registration,
    ) -> Self {
        let heartbeat = Arc::new(Heartbeat::starting_now());
        Self { core, pool_count, outbound, heartbeat, proxies: HashMap::new(), ports: 0, registration }
    }

    /// Serves the client until its stream ends, its heartbeat stops, or the control is told to stop; then closes
    /// its proxies and waits for that.
    pub(crate) async fn run(mut self, channel: Channel, queued: mpsc::Receiver<Queued>) {
        let stop = self.registration.handle().stop.clone();
        let (inbound, mut messages) = mpsc::channel(outbound::QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(read(channel.reader, inbound).in_current_span());
        tasks.spawn(write(channel.writer, queued, stop.clone().drop_guard()).in_current_span());
        tasks.spawn(self.watch_heartbeat().in_current_span());
        tasks.spawn(fill_pool(self.outbound.clone(), self.pool_count));

        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                message = messages.recv() => match message {
                    // Boxed: most of the time nothing is handled.
                    Some(message) => Box::pin(self.handle(*message)).await,
                    None => break,
                },
            }
        }
        stop.cancel();
        tasks.shutdown().await;
        self.registration.handle().pool.close();
        for (_, running) in self.proxies.drain() {
            // Boxed: this end needs no room while the control lives.
            Box::pin(running.close()).await;
        }
        info!("client exit success");
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::NewProxy(message) => self.new_proxy(*message).await,
            Message::CloseProxy(message) => self.close_proxy(message).await,
            Message::Ping(message) => self.ping(&message).await,
            // The three of hole punching will be answered beside this task, not in it.
            other => debug!("ignored a message of type {}", other.kind().name()),
        }
    }

    async fn new_proxy(&mut self, mut message: NewProxy) {
        if message.proxy_type.is_empty() {
            "tcp".clone_into(&mut message.proxy_type);
        }
        let NewProxy { proxy_name: name, proxy_type: kind, .. } = &message;
        let mut response = NewProxyResp { proxy_name: name.clone(), ..NewProxyResp::default() };
        match self.start_proxy(&message) {
            Ok(remote_addr) => {
                info!("new proxy [{name}] type [{kind}] success");
                response.remote_addr = remote_addr;
            }
            Err(error) => {
                warn!("new proxy [{name}] type [{kind}] error: {error}");
                response.error = self.core.told(&format!("new proxy [{name}] error"), &error);
            }
        }
        self.answer_new_proxy(response).await;
        resident::passed(Milestone::InUse);
    }

    /// Sends the answer. One that is too long for a message fails this proxy and nothing else: a long error is
    /// shortened, and a proxy whose success cannot be told is closed again.
    async fn answer_new_proxy(&mut self, mut response: NewProxyResp) {
        if !fits(&response) && !response.error.is_empty() {
            "new proxy error".clone_into(&mut response.error);
        }
        if fits(&response) {
            return self.send(response).await;
        }
        warn!("the name of a new proxy is too long for an answer");
        if response.error.is_empty()
            && let Some(running) = self.remove(&response.proxy_name)
        {
            running.close().await;
        }
    }

    /// Starts a proxy and returns its public address.
    fn start_proxy(&mut self, message: &NewProxy) -> Result<String, StartError> {
        let start = proxy::Start { core: &self.core, control: self.registration.handle(), held: self.ports };
        let (running, remote_addr) = start.start(message, self.pool_count)?;
        self.ports += running.ports();
        self.proxies.insert(ProxyName::from(message.proxy_name.as_str()), running);
        Ok(remote_addr)
    }

    fn remove(&mut self, name: &str) -> Option<Running> {
        let running = self.proxies.remove(name)?;
        self.ports -= running.ports();
        Some(running)
    }

    async fn close_proxy(&mut self, message: CloseProxy) {
        let name = message.proxy_name;
        if let Some(running) = self.remove(&name) {
            running.close().await;
        }
        info!("close proxy [{name}] success");
    }

    /// Every ping is answered, also where no heartbeat is demanded: old clients leave without an answer.
    async fn ping(&self, message: &Ping) {
        let mut pong = Pong::default();
        let handle = self.registration.handle();
        // Checking may mean asking an issuer, which must not hold the end up.
        let verified = self.core.auth.verify_ping(message, &handle.identity);
        let Some(verified) = handle.stop.run_until_cancelled(verified).await else { return };
        match verified {
            Ok(()) => {
                self.heartbeat.beat();
                debug!("receive heartbeat");
            }
            Err(error) => {
                warn!("received invalid ping: {error}");
                pong.error = self.core.told("invalid ping", &error);
            }
        }
        self.send(pong).await;
    }

    /// Queues an answer; that the control is closing meanwhile is noticed elsewhere.
    async fn send(&self, message: impl Into<Message>) {
        let _ = self.outbound.send(message).await;
    }

    fn watch_heartbeat(&self) -> impl Future<Output = ()> + use<> {
        let heartbeat = Arc::clone(&self.heartbeat);
        let timeout = self.core.settings.heartbeat_timeout;
        let stop = self.registration.handle().stop.clone();
        async move {
            heartbeat.lost(timeout).await;
            warn!("heartbeat timeout");
            stop.cancel();
        }
    }
}

/// Whether an answer can be sent in either version: that of version 1 is the narrower bound.
fn fits(response: &NewProxyResp) -> bool {
    Framing::V1.encode_into(&response.clone().into(), &mut Vec::new()).is_ok()
}

/// Passes the client's messages on until its stream ends or breaks the protocol.
async fn read(mut reader: MessageReader, inbound: mpsc::Sender<Queued>) {
    loop {
        match reader.next().await {
            Ok(message) => {
                if inbound.send(Box::new(message)).await.is_err() {
                    return;
                }
            }
            Err(ReadError::Decode(error)) => return debug!("read from control connection: {error}"),
            // The client or its connection is gone, which is no news at the end of a session.
            Err(ReadError::Closed | ReadError::Cut | ReadError::Timeout | ReadError::Io(_)) => return,
        }
    }
}

/// Writes queued messages until the stream fails or the client stops reading, and ends the control then.
async fn write(mut writer: MessageWriter, mut queued: mpsc::Receiver<Queued>, _ends_control: DropGuard) {
    while let Some(first) = queued.recv().await {
        let written = async {
            // What has queued up meanwhile goes in the same write.
            let mut next = Some(first);
            while let Some(message) = next {
                match writer.feed(&message).await {
                    // Concerns this message alone.
                    Err(WriteError::Encode(error)) => warn!("message not sent: {error}"),
                    fed => fed?,
                }
                next = queued.try_recv().ok();
            }
            writer.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!("write to control connection: {error}");
                return;
            }
            Err(_) => {
                warn!("the client does not read its control connection, closing it");
                return;
            }
        }
    }
}

/// Asks for the connections that the client wants kept ready. A task of its own, because the queue may be shorter.
async fn fill_pool(outbound: Outbound, pool_count: usize) {
    for _ in 0..pool_count {
        if outbound.send(ReqWorkConn {}).await.is_err() {
            return;
        }
    }
}
