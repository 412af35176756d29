//! What is sent about proxies and when, with the clock in hand.

use frp_config::ProxyConfig;
use frp_config::proxy::ProxyType;
use frp_proto::crypto::key;
use frp_stream::relay::RelayOptions;
use tokio::time::timeout;

use super::phase::{RESPONSE_TIMEOUT, RETRY_DELAY};
use super::*;

fn spec(name: &str, edit: impl FnOnce(&mut ProxyConfig)) -> Arc<ProxySpec> {
    let mut config = ProxyConfig::new(ProxyType::Tcp);
    name.clone_into(&mut config.base_mut().name);
    edit(&mut config);
    config.complete();
    let common = Common {
        user: "",
        key: &key::derive(b""),
        relay: RelayOptions::default(),
        udp_packet_size: 1500,
        udp_max_sessions: 4096,
        resolver: &Arc::new(Resolver::system()),
    };
    Arc::new(ProxySpec::new(&config, &common))
}

struct Running {
    proxies: Arc<Proxies>,
    sent: mpsc::Receiver<Message>,
    _tasks: JoinSet<()>,
}

impl Running {
    fn start(specs: &[Arc<ProxySpec>]) -> Self {
        let proxies = Arc::new(Proxies::new("", specs));
        let (outbound, sent) = mpsc::channel(10);
        let mut tasks = JoinSet::new();
        proxies.start(&mut tasks, &outbound, &Arc::new(Resolver::system()));
        Self { proxies, sent, _tasks: tasks }
    }

    /// The next offer, and how long it took to come.
    async fn offered(&mut self) -> (String, Duration) {
        let began = Instant::now();
        match self.sent.recv().await {
            Some(Message::NewProxy(offer)) => (offer.proxy_name, began.elapsed()),
            other => panic!("no NewProxy: {other:?}"),
        }
    }

    fn answer(&self, error: &str) {
        let (proxy_name, error) = ("web".to_owned(), error.to_owned());
        self.proxies.answered(&NewProxyResp { proxy_name, error, ..NewProxyResp::default() });
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_without_an_answer_is_repeated() {
    let mut running = Running::start(&[spec("web", |_| {})]);
    assert_eq!(running.offered().await, ("web".to_owned(), Duration::ZERO));
    let (_, waited) = running.offered().await;
    assert!((RESPONSE_TIMEOUT..=RESPONSE_TIMEOUT + TICK).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_proxy_is_offered_again() {
    let mut running = Running::start(&[spec("web", |_| {})]);
    running.offered().await;
    for _ in 0..3 {
        running.answer("port already used");
        assert!(running.proxies.running("web").await.is_none());
        let (_, waited) = running.offered().await;
        assert!((RETRY_DELAY..=RETRY_DELAY + TICK).contains(&waited), "{waited:?}");
    }
    running.answer("");
    assert!(running.proxies.running("web").await.is_some());
    assert!(timeout(100 * RETRY_DELAY, running.sent.recv()).await.is_err(), "a running proxy is left alone");
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_fits_no_message_is_never_sent() {
    let long = spec("web", |config| config.base_mut().load_balancer.group = "x".repeat(11_000));
    let mut running = Running::start(&[long]);
    assert!(timeout(3 * RETRY_DELAY, running.sent.recv()).await.is_err());
}

#[tokio::test]
async fn what_is_sent_about_a_proxy_keeps_its_order() {
    let proxies = Arc::new(Proxies::new("", &[spec("a", |_| {}), spec("b", |_| {})]));
    let (outbound, mut sent) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    // The queue takes the offer of the first proxy only.
    let (announcer, queue) = (Arc::clone(&proxies), outbound.clone());
    tasks.spawn(async move { announcer.send_due(&queue).await.unwrap() });
    tokio::task::yield_now().await;
    assert_eq!(outbound.capacity(), 0);
    // Meanwhile the health check of the second one fails.
    proxies.lock().get_mut("b").unwrap().machine.set_healthy(false);
    let monitor = Arc::clone(&proxies);
    tasks.spawn(async move { monitor.send_due(&outbound).await.unwrap() });
    let mut order = Vec::new();
    while let Some(message) = sent.recv().await {
        order.push(match message {
            Message::NewProxy(offer) => format!("new {}", offer.proxy_name),
            Message::CloseProxy(close) => format!("close {}", close.proxy_name),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(order, ["new a", "new b", "close b"]);
}

#[tokio::test]
async fn a_closed_session_has_no_running_proxies() {
    let mut running = Running::start(&[spec("web", |_| {})]);
    running.offered().await;
    running.answer("");
    running.proxies.close();
    assert!(running.proxies.running("web").await.is_none());
    running.answer("");
    assert!(running.proxies.running("web").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_user_that_overtakes_the_answer_waits_for_it() {
    let mut running = Running::start(&[spec("web", |_| {})]);
    running.offered().await;
    assert!(running.proxies.running("web").await.is_none(), "nobody waits for ever");
    let proxies = Arc::clone(&running.proxies);
    let mut users = JoinSet::new();
    users.spawn(async move { proxies.running("web").await.is_some() });
    tokio::task::yield_now().await;
    running.answer("");
    assert!(users.join_next().await.unwrap().unwrap());
}
