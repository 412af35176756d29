//! The samples in `conf/` run as they stand, but for their ports, and carry bytes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use frp_test_support::kind::{Access, Kind};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role};
use frp_test_support::service::Service;
use frp_test_support::{ports, skipped};

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

/// Copies samples with other ports, the same one for the same number everywhere.
struct Samples {
    folder: tempfile::TempDir,
    ports: HashMap<u16, u16>,
}

impl Samples {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, ports: HashMap::new() })
    }

    /// Copies a sample. Services stand at `local`: the sample's port, and the test's.
    fn copy(&mut self, sample: &Path, local: &[(u16, u16)]) -> Result<()> {
        let mut copied = String::new();
        for line in fs::read_to_string(sample)?.lines() {
            let (key, value) = line.split_once(" = ").unwrap_or_default();
            let key = key.to_ascii_lowercase();
            if key.starts_with("allow") {
                continue; // The other ports are not among those.
            }
            match value.parse::<u16>() {
                Ok(port) if key.ends_with("port") && key.starts_with("local") => {
                    let (_, service) = local.iter().find(|(sample, _)| *sample == port).context(port)?;
                    copied
                        .push_str(&format!("{} = {service}\n", line.split(" = ").next().unwrap_or_default()));
                }
                Ok(port) if key.ends_with("port") => {
                    let other = *self.ports.entry(port).or_insert_with(ports::free);
                    copied.push_str(&format!("{} = {other}\n", line.split(" = ").next().unwrap_or_default()));
                }
                _ => copied.push_str(&format!("{line}\n")),
            }
        }
        let name = sample.file_name().context("a file")?;
        Ok(fs::write(self.folder.path().join(name), copied)?)
    }

    /// Starts a program with a sample and waits for what it says.
    async fn start(&self, role: Role, name: &str, says: &str, count: usize) -> Result<Process> {
        let executable = Maker::from_env(role).executable(role)?;
        let mut process = Process::start(&executable, &["-c", name], self.folder.path())?;
        process.lines(says, count).await.with_context(|| name.to_owned())?;
        Ok(process)
    }

    /// The port in place of a sample's.
    fn port(&self, sample: u16) -> Result<u16> {
        self.ports.get(&sample).copied().with_context(|| format!("port {sample} is in no sample"))
    }
}

/// The number behind a key, or the text.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
    Some(line.trim_matches([' ', '[', ']', '"']).to_owned())
}

async fn runs(kind: Kind) -> Result<()> {
    if !kind.built() {
        return Ok(());
    }
    let old = |role| matches!(Maker::from_env(role), Maker::Original(release) if release.as_str() < "v0.52");
    if old(Role::Frps) || old(Role::Frpc) {
        skipped("releases before 0.52 read no TOML");
        return Ok(());
    }
    let folder = conf().join("types").join(kind.name());
    let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let (server, client) = (read("frps.toml")?, read("frpc.toml")?);
    let number = |text: &str, key: &str| value(text, key).and_then(|value| value.parse::<u16>().ok());
    let service = kind.service().await?;
    let local = number(&client, "localPort").context("localPort")?;
    let mut samples = Samples::new()?;
    samples.copy(&folder.join("frps.toml"), &[])?;
    samples.copy(&folder.join("frpc.toml"), &[(local, service.port())])?;
    let _frps = samples.start(Role::Frps, "frps.toml", "frps started successfully", 1).await?;
    let _frpc = samples.start(Role::Frpc, "frpc.toml", "start proxy success", 1).await?;
    let mut visitor = None;
    let port = match kind {
        Kind::Http => number(&server, "vhostHTTPPort"),
        Kind::Https => number(&server, "vhostHTTPSPort"),
        Kind::Tcpmux => number(&server, "tcpmuxHTTPConnectPort"),
        Kind::Tcp | Kind::Udp => number(&client, "remotePort"),
        Kind::Stcp | Kind::Sudp => {
            samples.copy(&folder.join("visitor.toml"), &[])?;
            visitor = Some(samples.start(Role::Frpc, "visitor.toml", "start visitor success", 1).await?);
            number(&read("visitor.toml")?, "bindPort")
        }
    };
    let port = samples.port(port.context("the users' port")?)?;
    let host = value(&client, "customDomains").unwrap_or_default();
    ensure!(kind.by_host() != host.is_empty(), "hosts");
    let access = Access::new(kind, port, &host);
    access.serves().await?;
    access.bulk(1 << 16).await?;
    drop(visitor);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_has_one() -> Result<()> {
    let mut folders: Vec<String> = fs::read_dir(conf().join("types"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    folders.sort();
    let mut kinds = Kind::ALL.map(Kind::name).to_vec();
    kinds.sort_unstable();
    ensure!(folders == kinds, "{folders:?}");
    let mut all = tokio::task::JoinSet::new();
    for kind in Kind::ALL {
        all.spawn(async move { runs(kind).await.with_context(|| kind.name()) });
    }
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_pair_runs() -> Result<()> {
    let (web, dns) = (Service::echo().await?, Service::udp_echo().await?);
    let mut samples = Samples::new()?;
    samples.copy(&conf().join("frps.ini"), &[])?;
    samples.copy(&conf().join("frpc.ini"), &[(8080, web.port()), (53, dns.port())])?;
    let _frps = samples.start(Role::Frps, "frps.ini", "frps started successfully", 1).await?;
    let _frpc = samples.start(Role::Frpc, "frpc.ini", "start proxy success", 2).await?;
    Access::new(Kind::Tcp, samples.port(6000)?, "").bulk(1 << 16).await?;
    Access::new(Kind::Udp, samples.port(6053)?, "").bulk(1 << 14).await
}
