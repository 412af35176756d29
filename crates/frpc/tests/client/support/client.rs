//! A running client.

use frp_config::LoadOptions;
use frp_config::check::UnsafeFeatures;
use frp_config::load::Environment;
use frp_config::run::prepare_client;
use frpc::{RunError, Setup};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::Frps;
use super::{TOKEN, soon};

/// The text of a configuration file.
pub(crate) struct Text {
    common: String,
    proxies: String,
}

impl Text {
    /// A client of `frps` without proxies. TLS is off.
    pub(crate) fn new(frps: &Frps) -> Self {
        let common = format!(
            "serverAddr = \"127.0.0.1\"\nserverPort = {}\ntransport.tcpMux = {}\n",
            frps.port(),
            frps.is_mux()
        );
        Self { common, proxies: String::new() }.line("transport.tls.enable = false")
    }

    /// With a token, which is that of the scripted server.
    pub(crate) fn with_token(frps: &Frps) -> Self {
        Self::new(frps).line(&format!("auth.token = \"{TOKEN}\""))
    }

    /// Adds a line to the common part.
    pub(crate) fn line(mut self, line: &str) -> Self {
        self.common += &format!("{line}\n");
        self
    }

    /// Replaces a text of the common part.
    pub(crate) fn replace(mut self, old: &str, new: &str) -> Self {
        assert!(self.common.contains(old));
        self.common = self.common.replace(old, new);
        self
    }

    /// Adds a proxy of this type and name.
    pub(crate) fn proxy(mut self, kind: &str, name: &str, more: &str) -> Self {
        self.proxies += &format!("[[proxies]]\ntype = \"{kind}\"\nname = \"{name}\"\n{more}\n");
        self
    }

    /// Adds a tcp proxy.
    pub(crate) fn tcp(self, name: &str, local_port: u16, more: &str) -> Self {
        self.proxy("tcp", name, &format!("localPort = {local_port}\nremotePort = 6000\n{more}"))
    }

    /// Adds anything.
    pub(crate) fn entry(mut self, entry: &str) -> Self {
        self.proxies += &format!("{entry}\n");
        self
    }

    /// Reads and checks the text as the program does with its file.
    pub(crate) fn setup(&self) -> Setup {
        self.setup_in(&[])
    }

    /// As [`Text::setup`], with these variables of the environment.
    pub(crate) fn setup_in(&self, environment: &[(&str, &str)]) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("frpc.toml"), format!("{}{}", self.common, self.proxies)).unwrap();
        let environment: Environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = LoadOptions { strict: true, environment, base_dir: folder.path().to_owned() };
        let allowed = UnsafeFeatures::allow([UnsafeFeatures::TOKEN_SOURCE_EXEC.to_owned()]);
        let prepared = prepare_client("frpc.toml", &options, &allowed, &mut Vec::new()).unwrap();
        Setup {
            common: prepared.common,
            proxies: prepared.proxies,
            visitors: prepared.visitors,
            config_file: None,
        }
    }

    /// Runs a client of this text.
    pub(crate) fn start(&self) -> Frpc {
        Frpc::start(self.setup())
    }
}

/// A client that runs in this process.
pub(crate) struct Frpc {
    stop: CancellationToken,
    running: JoinSet<Result<(), RunError>>,
}

impl Frpc {
    pub(crate) fn start(setup: Setup) -> Self {
        Self::start_with(setup, CancellationToken::new())
    }

    pub(crate) fn start_with(setup: Setup, stop: CancellationToken) -> Self {
        let mut running = JoinSet::new();
        running.spawn(frpc::run(setup, stop.clone()));
        Self { stop, running }
    }

    /// Waits for the client to end by itself.
    pub(crate) async fn end(mut self) -> Result<(), String> {
        soon(self.running.join_next()).await.unwrap().unwrap().map_err(|error| error.to_string())
    }

    /// Stops the client and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.end().await.unwrap();
    }
}
