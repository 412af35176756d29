//! The proxies of one session: their phases, what is due to be told to the server, and which of them take work
//! connections (upstream `client/proxy/proxy_manager.go`, `client/proxy/proxy_wrapper.go`).
//!
//! [`Proxies`] is a small table behind a plain mutex that is never held across an await. The announcer and the
//! health monitors send what is due, one at a time; the handler of the control only enters the server's answers.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frp_net::resolve::Resolver;
use frp_proto::msg::{Message, NewProxyResp, StartWorkConn};
use frp_proto::wire::Framing;
use frp_proto::{names, v1};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, info, info_span, trace, warn};

use crate::connector::ServerStream;
use crate::health::{HealthOptions, Monitor};

mod phase;
mod spec;
mod sudp;
mod tcp;
mod udp;

use phase::{Action, Phase, PhaseMachine};
use sudp::SudpProxy;
use tcp::TcpProxy;
use udp::UdpProxy;

pub(crate) use spec::{Common, Kind, ProxySpec};
pub(crate) use tcp::TcpOptions;
pub(crate) use udp::UdpOptions;

/// How often the announcer looks for what is due, as upstream.
const TICK: Duration = Duration::from_secs(3);

/// How long a user that has overtaken the answer to its proxy's offer waits for it.
const OVERTAKEN: Duration = Duration::from_secs(1);

/// A work connection that the server has started, and for which user. Boxed on its way, so that no future on that way
/// keeps room for it.
pub(crate) struct Started {
    pub(crate) work: ServerStream,
    pub(crate) message: StartWorkConn,
    /// How messages look in its payload.
    pub(crate) payload_framing: Framing,
}

/// A proxy that the server has accepted, ready for work connections.
pub(crate) enum Proxy {
    /// Each work connection is spliced to a connection to the local service.
    Tcp(TcpProxy),
    /// One work connection carries the datagrams of all users.
    Udp(UdpProxy),
    /// Each work connection carries the datagrams of one visitor.
    Sudp(SudpProxy),
}

impl Proxy {
    /// Serves one started work connection to its end. Cancel-safe: dropping it closes both ends.
    pub(crate) async fn serve(&self, started: Box<Started>) {
        match self {
            Self::Tcp(proxy) => proxy.serve(started).await,
            Self::Udp(proxy) => Box::pin(proxy.serve(started.work, started.payload_framing)).await,
            Self::Sudp(proxy) => Box::pin(proxy.serve(started.work, started.payload_framing)).await,
        }
    }

    /// The proxy was withdrawn or its session is over. Users of a stream proxy are not cut; those of
    /// datagrams begin anew.
    fn stop(&self) {
        match self {
            Self::Tcp(_) => {}
            Self::Udp(proxy) => proxy.stop(),
            Self::Sudp(proxy) => proxy.stop(),
        }
    }
}

/// All proxies of one session.
pub(crate) struct Proxies {
    user: String,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Whose turn it is to look at what is due and send it: what is sent about a proxy keeps its order.
    turn: AsyncMutex<()>,
    /// Tells of every answer to an offer, and of the end.
    news: Notify,
}

struct Entry {
    spec: Arc<ProxySpec>,
    machine: PhaseMachine,
    running: Option<Arc<Proxy>>,
}

impl Proxies {
    /// New wrappers for `specs`, none of them offered yet. `user` is the prefix of their names on the wire.
    pub(crate) fn new(user: &str, specs: &[Arc<ProxySpec>]) -> Self {
        let entry = |spec: &Arc<ProxySpec>| {
            let mut machine = PhaseMachine::new(spec.health.is_none());
            if let Kind::Unbuilt(reason) = &spec.kind {
                machine.refuse(reason, Instant::now());
            }
            (spec.name.clone(), Entry { spec: Arc::clone(spec), machine, running: None })
        };
        Self {
            user: user.to_owned(),
            entries: Mutex::new(specs.iter().map(entry).collect()),
            turn: AsyncMutex::new(()),
            news: Notify::new(),
        }
    }

    /// Starts the announcer and the health monitors in the session's task set.
    pub(crate) fn start(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        outbound: &mpsc::Sender<Message>,
        resolver: &Arc<Resolver>,
    ) {
        let entries = self.lock();
        if !entries.is_empty() {
            let names: Vec<_> = entries.keys().map(String::as_str).collect();
            info!("proxy added: [{}]", names.join(" "));
        }
        for (name, entry) in entries.iter() {
            if let Kind::Unbuilt(reason) = &entry.spec.kind {
                info_span!("proxy", proxy = %name).in_scope(|| warn!("start error: {reason}"));
            } else if let Some(options) = entry.spec.health.clone() {
                let proxies = Arc::clone(self);
                let watch = proxies.watch(name.clone(), options, Arc::clone(resolver), outbound.clone());
                tasks.spawn(watch.in_current_span());
            }
        }
        drop(entries);
        tasks.spawn(Arc::clone(self).announce(outbound.clone()).in_current_span());
    }

    /// Sends what is due, now and at every tick, until the session ends.
    async fn announce(self: Arc<Self>, outbound: mpsc::Sender<Message>) {
        while self.send_due(&outbound).await.is_ok() {
            sleep(TICK).await;
        }
    }

    /// Checks the service of one proxy, and offers or withdraws the proxy by the verdict, until the session ends.
    async fn watch(
        self: Arc<Self>,
        name: String,
        options: HealthOptions,
        resolver: Arc<Resolver>,
        outbound: mpsc::Sender<Message>,
    ) {
        let span = info_span!("proxy", proxy = %name);
        span.in_scope(|| trace!("enable health check monitor"));
        let (monitor, mut verdict) = Monitor::new(options, resolver);
        let act = async {
            while verdict.changed().await.is_ok() {
                let healthy = *verdict.borrow_and_update();
                if let Some(entry) = self.lock().get_mut(&name) {
                    entry.machine.set_healthy(healthy);
                }
                if self.send_due(&outbound).await.is_err() {
                    return;
                }
                // Scripts take this line for done.
                let verdict = if healthy { "success" } else { "failed" };
                span.in_scope(|| info!("health check {verdict}"));
            }
        };
        tokio::select! {
            () = monitor.run().instrument(span.clone()) => {}
            () = act => {}
        }
    }

    /// Sends what is due. An error is the end of the session.
    async fn send_due(&self, outbound: &mpsc::Sender<Message>) -> Result<(), SendError<Message>> {
        let _turn = self.turn.lock().await;
        let now = Instant::now();
        let due: Vec<_> = self.lock().values_mut().filter_map(|entry| entry.tick(now)).collect();
        for message in due {
            outbound.send(message).await?;
        }
        Ok(())
    }

    /// Enters the server's answer to a NewProxy.
    pub(crate) fn answered(&self, response: &NewProxyResp) {
        let name = names::strip_user_prefix(&self.user, &response.proxy_name);
        let _span = info_span!("proxy", proxy = %name).entered();
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else {
            warn!("start error: proxy [{name}] not found");
            return;
        };
        if !entry.machine.answered(&response.error, Instant::now()) {
            warn!("start error: status not wait start, ignore start message");
        } else if response.error.is_empty() {
            entry.running = entry.spec.build().map(Arc::new);
            info!("start proxy success");
        } else {
            warn!("start error: {}", response.error);
        }
        drop(entries);
        self.news.notify_waiters();
    }

    /// The proxy of that raw name, if it takes work connections. The server's answer to an offer and its first user come
    /// on two streams, and the user may overtake the answer: it waits for it. Upstream closes such a user.
    pub(crate) async fn running(&self, name: &str) -> Option<Arc<Proxy>> {
        let running = async {
            loop {
                let mut news = pin!(self.news.notified());
                news.as_mut().enable();
                {
                    let entries = self.lock();
                    let entry = entries.get(name)?;
                    if entry.running.is_some() || entry.machine.phase() != Phase::WaitStart {
                        return entry.running.clone();
                    }
                }
                news.await;
            }
        };
        timeout(OVERTAKEN, running).await.ok().flatten()
    }

    /// What takes back every proxy that runs.
    pub(crate) fn withdrawals(&self) -> Vec<Message> {
        let entries = self.lock();
        let running = entries.values().filter(|entry| entry.running.is_some());
        running.map(|entry| entry.spec.withdrawal()).collect()
    }

    /// The session is over: no proxy takes work connections any more.
    pub(crate) fn close(&self) {
        for entry in self.lock().values_mut() {
            entry.machine.close();
            entry.halt();
        }
        self.news.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn tick(&mut self, now: Instant) -> Option<Message> {
        if matches!(self.spec.kind, Kind::Unbuilt(_)) {
            return None;
        }
        let before = self.machine.phase();
        let action = self.machine.tick(now)?;
        let after = self.machine.phase();
        info_span!("proxy", proxy = %self.spec.name)
            .in_scope(|| trace!("change status from [{before}] to [{after}]"));
        match action {
            Action::Offer => self.offer(now),
            Action::Withdraw => {
                self.halt();
                Some(self.spec.withdrawal())
            }
        }
    }

    /// Takes no more work connections.
    fn halt(&mut self) {
        if let Some(proxy) = self.running.take() {
            proxy.stop();
        }
    }

    /// The NewProxy message. One that is longer than a message may be fails this proxy and nothing else.
    fn offer(&mut self, now: Instant) -> Option<Message> {
        let message = self.spec.new_proxy.clone().into();
        match v1::encode(&message) {
            Ok(_) => Some(message),
            Err(error) => {
                info_span!("proxy", proxy = %self.spec.name).in_scope(|| warn!("start error: {error}"));
                self.machine.refuse(&error.to_string(), now);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
