//! From a configured visitor to what this program runs.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use frp_config::visitor::VisitorPlugin;
use frp_config::{Secret, VisitorBase, VisitorConfig, unbuilt};
use frp_net::listen::{bind_tcp, bind_udp, resolve_once};
use frp_proto::crypto::key;
use frp_proto::names;
use frp_stream::layer::Layers;
use frp_stream::relay::RelayOptions;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tracing::{Instrument, info, info_span};

use super::Session;
use super::stcp::StcpVisitor;
use super::sudp::SudpVisitor;

/// One configured visitor.
pub(crate) struct VisitorSpec {
    pub(super) name: String,
    kind: Kind,
}

/// What the visitors of a client have in common.
pub(crate) struct Common<'a> {
    pub(crate) user: &'a str,
    pub(crate) relay: RelayOptions,
    /// The largest datagram of a user.
    pub(crate) udp_packet_size: usize,
}

enum Kind {
    Stcp {
        target: Target,
        door: Door,
        relay: RelayOptions,
    },
    Sudp {
        target: Target,
        door: Door,
        packet_size: usize,
    },
    /// It never runs as it is configured.
    Hopeless(StartError),
}

/// The proxy that is visited.
#[derive(Clone)]
pub(super) struct Target {
    /// Its name on the wire.
    pub(super) proxy_name: String,
    pub(super) secret_key: Secret,
    /// Over the stream to the server, by the secret key.
    pub(super) layers: Layers,
}

/// Where users come in.
struct Door {
    address: String,
    /// As configured: a negative number is no door at all.
    port: i64,
}

/// Why a visitor does not run; one line of the log.
#[derive(Debug, Clone, Error)]
pub(super) enum StartError {
    /// What it is made of is not right.
    #[error("new visitor error: {0}")]
    New(String),
    /// It cannot begin.
    #[error("start error: {0}")]
    Start(String),
}

/// A visitor that has been started: ends when the session's token is cancelled.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl VisitorSpec {
    pub(crate) fn new(config: &VisitorConfig, common: &Common<'_>) -> Self {
        let base = config.base();
        let kind = match (refusal(config), config) {
            (Some(reason), _) => Kind::Hopeless(reason),
            (None, VisitorConfig::Sudp(_)) => Kind::Sudp {
                target: Target::new(base, common.user),
                door: Door::new(base),
                packet_size: common.udp_packet_size,
            },
            (None, VisitorConfig::Stcp(_)) => Kind::Stcp {
                target: Target::new(base, common.user),
                door: Door::new(base),
                relay: common.relay,
            },
            (None, VisitorConfig::Xtcp(_)) => {
                Kind::Hopeless(StartError::Start(format!("visitor type [{}] has no handler", config.kind())))
            }
        };
        Self { name: config.name().to_owned(), kind }
    }

    /// Whether another attempt may have another result.
    pub(super) fn is_runnable(&self) -> bool {
        !matches!(self.kind, Kind::Hopeless(_))
    }

    /// Binds what it listens on. What comes back serves its users.
    pub(super) async fn start(&self, session: &Arc<Session>) -> Result<Running, StartError> {
        let span = info_span!("visitor", visitor = %self.name);
        match &self.kind {
            Kind::Hopeless(error) => Err(error.clone()),
            Kind::Stcp { target, door, relay } => {
                let listener = door.listen().await?;
                let visitor = StcpVisitor::new(Arc::clone(session), target.clone(), *relay, span.clone());
                Ok(Box::pin(Arc::new(visitor).run(listener).instrument(span)))
            }
            Kind::Sudp { target, door, packet_size } => {
                let socket = door.bind().await?;
                span.in_scope(|| info!("sudp start to work, listen on {}", shown(&socket)));
                let visitor = SudpVisitor::new(Arc::clone(session), target.clone(), socket, *packet_size);
                Ok(Box::pin(visitor.run().instrument(span)))
            }
        }
    }
}

/// Why this visitor cannot run, whatever the circumstances.
fn refusal(config: &VisitorConfig) -> Option<StartError> {
    if let Some(VisitorPlugin::VirtualNet(options)) = &config.base().plugin {
        let address = options.destination_ip.as_str();
        if address.is_empty() {
            return Some(StartError::New("destinationIP is required".to_owned()));
        }
        if address.parse::<IpAddr>().is_err() {
            return Some(StartError::New(format!("invalid destination IP address [{address}]")));
        }
    }
    unbuilt::visitor(config).err().map(|reason| StartError::Start(reason.to_string()))
}

impl Target {
    fn new(base: &VisitorBase, user: &str) -> Self {
        let key = || key::derive(base.secret_key.expose().as_bytes());
        Self {
            proxy_name: names::visitor_target(user, &base.server_user, &base.server_name),
            secret_key: base.secret_key.clone(),
            layers: Layers {
                encryption: base.transport.use_encryption.then(key),
                compression: base.transport.use_compression,
                limiter: None,
            },
        }
    }
}

impl Door {
    fn new(base: &VisitorBase) -> Self {
        Self { address: base.bind_addr.clone(), port: base.bind_port }
    }

    /// Nothing is listened on at a negative port.
    async fn listen(&self) -> Result<Option<TcpListener>, StartError> {
        if self.port < 0 {
            return Ok(None);
        }
        let port = u16::try_from(self.port)
            .map_err(|_| StartError::Start(format!("listen tcp: address {}: invalid port", self.port)))?;
        // Looked up here, as binding would hold a thread up for it.
        let address =
            resolve_once(&self.address).await.map_err(|error| StartError::Start(error.to_string()))?;
        bind_tcp(&address, port).map(Some).map_err(|error| StartError::Start(error.to_string()))
    }

    /// Users of a sudp visitor have no other way in, so there must be a port.
    async fn bind(&self) -> Result<UdpSocket, StartError> {
        let Self { address, port } = self;
        let unresolved = |error: String| StartError::Start(format!("sudp ResolveUDPAddr error: {error}"));
        let number = u16::try_from(*port).map_err(|_| unresolved(format!("address {port}: invalid port")))?;
        let address = resolve_once(address).await.map_err(|error| unresolved(error.to_string()))?;
        bind_udp(&address, number).map_err(|error| {
            let door = frp_net::address::join_host_port(&address, number);
            StartError::Start(format!("listen udp port {door} error: {error}"))
        })
    }
}

fn shown(socket: &UdpSocket) -> String {
    socket.local_addr().map(|address| address.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use frp_config::VisitorType;
    use frp_config::visitor::VirtualNetVisitorPlugin;

    use super::*;

    const COMMON: Common<'_> = Common {
        user: "me",
        relay: RelayOptions { half_close_timeout: std::time::Duration::ZERO },
        udp_packet_size: 1500,
    };

    fn spec(kind: VisitorType, change: impl FnOnce(&mut VisitorBase)) -> VisitorSpec {
        let mut config = VisitorConfig::new(kind);
        let base = config.base_mut();
        base.server_name = "s".to_owned();
        base.bind_port = -1;
        change(base);
        config.complete();
        VisitorSpec::new(&config, &COMMON)
    }

    fn reason(spec: &VisitorSpec) -> String {
        let Kind::Hopeless(error) = &spec.kind else { panic!("it may run") };
        assert!(!spec.is_runnable());
        error.to_string()
    }

    #[test]
    fn the_proxy_is_another_users_where_that_is_said() {
        for (server_user, name) in [("", "me.s"), ("you", "you.s")] {
            let spec = spec(VisitorType::Stcp, |base| base.server_user = server_user.to_owned());
            let Kind::Stcp { target, .. } = spec.kind else { panic!("no stcp") };
            assert_eq!(target.proxy_name, name);
        }
    }

    #[test]
    fn the_secret_is_the_key_where_streams_are_encrypted() {
        let spec = spec(VisitorType::Sudp, |base| {
            base.secret_key = "abc".into();
            base.transport.use_encryption = true;
        });
        let Kind::Sudp { target, .. } = spec.kind else { panic!("no sudp") };
        assert_eq!(target.layers.encryption.unwrap().as_bytes(), key::derive(b"abc").as_bytes());
        assert!(!target.layers.compression);
    }

    #[test]
    fn what_can_never_run_is_told_in_the_words_of_the_original_where_it_has_any() {
        assert_eq!(
            reason(&spec(VisitorType::Xtcp, |_| {})),
            "start error: visitor type [xtcp] is not supported yet by this version"
        );
        let with_plugin = |destination_ip: &str| {
            let options = VirtualNetVisitorPlugin { destination_ip: destination_ip.to_owned() };
            spec(VisitorType::Stcp, |base| base.plugin = Some(VisitorPlugin::VirtualNet(options)))
        };
        assert_eq!(reason(&with_plugin("")), "new visitor error: destinationIP is required");
        assert_eq!(reason(&with_plugin("a")), "new visitor error: invalid destination IP address [a]");
        assert_eq!(
            reason(&with_plugin("10.0.0.1")),
            "start error: visitor plugin [virtual_net] is not supported yet by this version"
        );
    }

    #[tokio::test]
    async fn a_port_that_is_none_is_a_start_error() {
        let door = |port| Door { address: "127.0.0.1".to_owned(), port };
        assert!(door(-1).listen().await.unwrap().is_none());
        let error = door(70_000).listen().await.unwrap_err();
        assert_eq!(error.to_string(), "start error: listen tcp: address 70000: invalid port");
        let error = door(-1).bind().await.unwrap_err();
        assert_eq!(error.to_string(), "start error: sudp ResolveUDPAddr error: address -1: invalid port");
        let taken = bind_udp("127.0.0.1", 0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = door(port.into()).bind().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "start error: listen udp port 127.0.0.1:{port} error: listen udp 127.0.0.1:{port}: bind: address \
                 already in use"
            )
        );
    }
}
