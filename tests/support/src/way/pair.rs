//! Whose programs go a way, and what is to be expected of them.

use std::env;
use std::fs;

use frp_config::load::Environment;
use frp_config::{ClientConfig, ServerConfig, unbuilt};

use super::{Transport, Way, Wire};
use crate::programs::{Maker, Role};

/// Whose server and whose client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The server's.
    pub frps: Maker,
    /// The client's.
    pub frpc: Maker,
}

/// What is to be expected of a pair on a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It serves.
    Serves,
    /// The server refuses the client, for that reason.
    Refused(String),
    /// One of them cannot even be told to, for that reason.
    Unsupported(String),
}

impl Pair {
    /// Both ours.
    #[must_use]
    pub fn ours() -> Self {
        Self { frps: Maker::Ours, frpc: Maker::Ours }
    }

    /// The one that `FRP_SERVER` or `FRP_CLIENT` chose; without them ours, and ours with every release that `FRP_REF`
    /// holds, each way. Without `FRP_REF` there stands one release for all, so that it can be said what is left out.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if ["FRP_SERVER", "FRP_CLIENT"].iter().any(|name| env::var_os(name).is_some()) {
            return vec![Self { frps: Maker::from_env(Role::Frps), frpc: Maker::from_env(Role::Frpc) }];
        }
        let mut pairs = vec![Self::ours()];
        for release in releases() {
            let original = Maker::Original(release);
            pairs.push(Self { frps: original.clone(), frpc: Maker::Ours });
            pairs.push(Self { frps: Maker::Ours, frpc: original });
        }
        pairs
    }

    /// Whether its programs are here; says why not.
    ///
    /// # Errors
    /// `FRP_REF` names no folder that holds them.
    pub fn present(&self) -> Result<(), String> {
        for (maker, role) in [(&self.frps, Role::Frps), (&self.frpc, Role::Frpc)] {
            if matches!(maker, Maker::Original(_)) {
                maker.executable(role).map_err(|error| format!("{error:#}"))?;
            }
        }
        Ok(())
    }

    /// Its name: the server's maker, then the client's.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", name(&self.frps), name(&self.frpc))
    }

    /// What is to be expected of it on that way.
    #[must_use]
    pub fn outcome(&self, way: Way) -> Outcome {
        if let Some(reason) = self.unbuilt(way) {
            return Outcome::Unsupported(reason);
        }
        for (maker, role) in [(&self.frps, Role::Frps), (&self.frpc, Role::Frpc)] {
            let Maker::Original(release) = maker else { continue };
            for (needs, since, what) in needs(way, role) {
                if needs && number(release) < since {
                    let since = since.map(|number| number.to_string()).join(".");
                    return Outcome::Unsupported(format!(
                        "{} of {release} has no {what}, which came with v{since}",
                        role.name()
                    ));
                }
            }
        }
        let Maker::Original(release) = &self.frps else { return Outcome::Serves };
        if way.transport == Transport::Wss {
            // It leaves the TLS around a websocket to a reverse proxy.
            return Outcome::Refused("the original's frps ends no wss".to_owned());
        }
        if way.wire == Wire::V2 && number(release) < WIRE_V2 {
            return Outcome::Refused(format!("frps of {release} reads no wire version 2"));
        }
        Outcome::Serves
    }

    /// Whether both know encryption and compression of udp proxies, which came with v0.34.0.
    #[must_use]
    pub fn layers_datagrams(&self) -> bool {
        [&self.frps, &self.frpc]
            .into_iter()
            .all(|maker| !matches!(maker, Maker::Original(release) if number(release) < [0, 34, 0]))
    }

    /// Whether the end of one connection may hold up the next for 10 s or longer: to the original's frps what still comes of a
    /// KCP conversation that it has closed is a new one, for whose first byte it waits before it accepts another. Ours
    /// sends it one. Multiplexed, no conversation ends.
    #[must_use]
    pub fn ends_disturb(&self, way: Way) -> bool {
        self.is_stock() && way.transport == Transport::Kcp && !way.mux
    }

    /// Whether the client gives up a connection that is never answered. The original's waits for the answer to a request for
    /// a websocket without a bound.
    #[must_use]
    pub fn gives_dials_up(&self, way: Way) -> bool {
        self.frpc == Maker::Ours || !matches!(way.transport, Transport::Websocket | Transport::Wss)
    }

    /// Whether neither is ours.
    #[must_use]
    pub fn is_stock(&self) -> bool {
        self.frps != Maker::Ours && self.frpc != Maker::Ours
    }

    /// Whether the server knows TLS only by a byte before it (`transport.tls.disableCustomTLSFirstByte = false`).
    pub(super) fn marks_tls(&self) -> bool {
        matches!(&self.frps, Maker::Original(release) if number(release) < [0, 38, 0])
    }

    /// What ours has not got yet of what that way needs.
    fn unbuilt(&self, way: Way) -> Option<String> {
        let mut errors = Vec::new();
        if self.frps == Maker::Ours {
            let mut server = ServerConfig::default();
            match way.transport {
                Transport::Kcp => server.kcp_bind_port = 1,
                Transport::Quic => server.quic_bind_port = 1,
                Transport::Tcp | Transport::Websocket | Transport::Wss => {}
            }
            server.complete();
            errors.extend(unbuilt::server(&server).errors);
        }
        if self.frpc == Maker::Ours {
            let mut client = ClientConfig::default();
            way.transport.name().clone_into(&mut client.transport.protocol);
            way.wire.name().clone_into(&mut client.transport.wire_protocol);
            client.complete(&Environment::default());
            errors.extend(unbuilt::client(&client).errors);
        }
        errors.first().map(ToString::to_string)
    }
}

const WIRE_V2: [u32; 3] = [0, 69, 0];

/// What a program of that role needs on that way: whether it does, since which release there is such a thing, and what
/// it is called.
fn needs(way: Way, role: Role) -> [(bool, [u32; 3], &'static str); 5] {
    let client = role == Role::Frpc;
    [
        (way.transport == Transport::Websocket, [0, 21, 0], "websocket"),
        (way.tls && way.transport != Transport::Quic, [0, 25, 0], "TLS"),
        (way.transport == Transport::Quic, [0, 46, 0], "quic"),
        (client && way.transport == Transport::Wss, [0, 51, 0], "wss"),
        (client && way.wire == Wire::V2, WIRE_V2, "transport.wireProtocol"),
    ]
}

fn name(maker: &Maker) -> &str {
    match maker {
        Maker::Ours => "ours",
        Maker::Original(release) => release,
    }
}

/// The numbers of `vX.Y.Z`; of what is no release, greater ones than any has.
fn number(release: &str) -> [u32; 3] {
    let numbers = release.strip_prefix('v').map(|rest| rest.split('.').map(str::parse::<u32>).collect());
    let numbers: Option<Vec<u32>> = numbers.and_then(|numbers: Result<_, _>| numbers.ok());
    numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok()).unwrap_or([u32::MAX; 3])
}

/// The releases in the folder that `FRP_REF` names, oldest first.
fn releases() -> Vec<String> {
    let entries = env::var_os("FRP_REF").and_then(|folder| fs::read_dir(folder).ok());
    let Some(entries) = entries else { return vec!["original".to_owned()] };
    let mut releases: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| number(name) != [u32::MAX; 3])
        .collect();
    releases.sort_by_key(|release| number(release));
    releases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(frps: &str, frpc: &str) -> Pair {
        let maker = |name: &str| {
            if name == "ours" { Maker::Ours } else { Maker::Original(name.to_owned()) }
        };
        Pair { frps: maker(frps), frpc: maker(frpc) }
    }

    fn way(transport: Transport, wire: Wire) -> Way {
        Way { transport, wire, tls: true, mux: true }
    }

    #[test]
    fn numbers_of_releases() {
        assert!(number("v0.9.3") < number("v0.70.1") && number("v0.70.1") < number("nightly"));
        assert_eq!(number("v0.x.1"), [u32::MAX; 3]);
    }

    #[test]
    fn what_old_releases_do() {
        use Outcome::{Refused, Serves, Unsupported};
        let old_server = pair("v0.41.0", "v0.70.1");
        let old_client = pair("v0.70.1", "v0.41.0");
        let both_new = pair("v0.70.1", "v0.70.1");
        assert_eq!(both_new.outcome(way(Transport::Kcp, Wire::V2)), Serves);
        assert_eq!(old_client.outcome(way(Transport::Websocket, Wire::V1)), Serves);
        assert!(matches!(both_new.outcome(way(Transport::Wss, Wire::V1)), Refused(_)));
        assert!(matches!(old_server.outcome(way(Transport::Tcp, Wire::V2)), Refused(_)));
        assert!(matches!(old_client.outcome(way(Transport::Tcp, Wire::V2)), Unsupported(_)));
        assert!(matches!(old_server.outcome(way(Transport::Quic, Wire::V1)), Unsupported(_)));
        assert_eq!(
            old_client.outcome(way(Transport::Wss, Wire::V1)),
            Unsupported("frpc of v0.41.0 has no wss, which came with v0.51.0".to_owned())
        );
    }

    #[test]
    fn ours_serves_over_what_is_built() {
        for transport in [Transport::Tcp, Transport::Websocket, Transport::Wss] {
            assert_eq!(Pair::ours().outcome(way(transport, Wire::V1)), Outcome::Serves);
        }
    }

    #[test]
    fn ours_is_always_among_them() {
        if env::var_os("FRP_SERVER").is_none() && env::var_os("FRP_CLIENT").is_none() {
            assert!(Pair::all().contains(&Pair::ours()));
        }
    }
}
