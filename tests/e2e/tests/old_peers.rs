//! Releases of the original of earlier years, each as server and as client, with ours on the other side: every type of
//! proxy that the release has, plain, encrypted and compressed, over TLS where there is TLS, with and without
//! multiplexing. Whatever `FRP_SERVER` and `FRP_CLIENT` say; a release that `FRP_REF` does not hold is skipped.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use frp_test_support::kind::{Access, Doors, Kind};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role};
use frp_test_support::tunnel::{Proxy, Setting, Visitor, client_ini, server_ini, visitor_ini};
use frp_test_support::{ports, skipped, traffic};
use tempfile::TempDir;
use tokio::time::{Duration, interval};

const KEY: &str = "a key";
/// Bytes each way over a stream.
const BULK: u64 = 1 << 20;

/// What there is at a time.
#[derive(Clone, Copy)]
struct Old {
    release: &'static str,
    kinds: &'static [Kind],
    /// A server reads TLS only behind the byte 0x17.
    first_byte: bool,
    /// A udp proxy can be encrypted and compressed.
    layered_udp: bool,
}

const OF_2019: &[Kind] = &[Kind::Tcp, Kind::Udp, Kind::Http, Kind::Https, Kind::Stcp];

const fn old(release: &'static str) -> Old {
    Old { release, kinds: &Kind::ALL, first_byte: false, layered_udp: true }
}

macro_rules! releases {
    ($($year:ident: $old:expr,)*) => {$(
        mod $year {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn as_server() -> Result<()> {
                let old: Old = $old;
                let Some(maker) = there(old.release) else { return Ok(()) };
                old.everything(&maker, &Maker::Ours, &[Maker::Ours]).await
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn as_client() -> Result<()> {
                let old: Old = $old;
                let Some(maker) = there(old.release) else { return Ok(()) };
                old.everything(&Maker::Ours, &maker, &[maker.clone(), Maker::Ours]).await?;
                // The owner's end is ours, the visitor's old.
                old.everything(&Maker::Ours, &Maker::Ours, &[maker]).await
            }
        }
    )*};
}

releases! {
    of_2019: Old { kinds: OF_2019, first_byte: true, layered_udp: false, ..old("v0.29.1") },
    of_2021: old("v0.38.0"),
    of_2022: old("v0.44.0"),
    of_2023: old("v0.51.3"),
    of_2024: old("v0.61.0"),
    of_2025: old("v0.65.0"),
    of_2026: old("v0.69.0"),
}

/// None, and says so, if the release is not here.
fn there(release: &str) -> Option<Maker> {
    let maker = Maker::Original(release.to_owned());
    match [Role::Frps, Role::Frpc].map(|role| maker.executable(role)).into_iter().collect::<Result<Vec<_>>>()
    {
        Ok(_) => Some(maker),
        Err(error) => {
            skipped(&format!("{error:#}"));
            None
        }
    }
}

/// Programs that run, and where their files lie.
struct World {
    folder: TempDir,
    running: Vec<Process>,
}

impl World {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, running: Vec::new() })
    }

    /// Starts a program with this configuration, in a file whose name ends so.
    fn start(&mut self, maker: &Maker, role: Role, text: &str, ending: &str) -> Result<()> {
        let name = format!("{}-{}.{ending}", role.name(), self.running.len());
        fs::write(self.folder.path().join(&name), text)?;
        self.running.push(Process::start(&maker.executable(role)?, &["-c", &name], self.path())?);
        Ok(())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the first program listens: what it says then changed over the years.
    async fn listens(&self, port: u16) -> Result<()> {
        let mut pause = interval(Duration::from_millis(20));
        frp_test_support::within("the server", async {
            while traffic::connect(port).await.is_err() {
                pause.tick().await;
            }
        })
        .await
    }

    fn outputs(&self) -> String {
        let of = |process: &Process| process.output().join("\n");
        self.running.iter().map(of).collect::<Vec<_>>().join("\n\n")
    }
}

impl Old {
    async fn everything(self, server: &Maker, client: &Maker, visitors: &[Maker]) -> Result<()> {
        let plain = Setting { mux: true, ..Setting::default() };
        let layered = Setting { tls: true, mux: true, encryption: true, compression: true };
        let streams = Setting { tls: true, ..Setting::default() };
        for setting in [plain, layered, streams] {
            let mut world = World::new()?;
            if let Err(error) = self.serves(&mut world, setting, server, client, visitors).await {
                return Err(
                    error.context(format!("{server:?}, {client:?}, {setting:?}\n{}", world.outputs()))
                );
            }
        }
        Ok(())
    }

    async fn serves(
        self,
        world: &mut World,
        setting: Setting,
        server: &Maker,
        client: &Maker,
        visitors: &[Maker],
    ) -> Result<()> {
        let (port, doors) = (ports::free(), Doors::free());
        world.start(server, Role::Frps, &server_ini(setting, port, &doors.ini()), "ini")?;
        world.listens(port).await?;
        let mut client_extra = String::new();
        // Clients of that time send it unasked.
        if self.first_byte && server != &Maker::Ours {
            client_extra.push_str("disable_custom_tls_first_byte = false\n");
        }

        let layered = setting.encryption || setting.compression;
        let kinds = self.kinds.iter().filter(|kind| self.layered_udp || !layered || **kind != Kind::Udp);
        let (mut services, mut proxies, mut accesses) = (Vec::new(), Vec::new(), Vec::new());
        let mut visited = Vec::new();
        for &kind in kinds {
            let service = kind.service().await?;
            let host = format!("{}.site.test", kind.name());
            let mut proxy: Proxy = kind.proxy(kind.name(), service.port(), &host);
            services.push(service);
            if kind.by_visitor() {
                proxy = proxy.with(&format!("sk = {KEY}"));
                visited.push(kind);
            } else {
                accesses.push(Access::new(kind, doors.of(kind, &proxy), &host));
            }
            proxies.push(proxy);
        }
        world.start(client, Role::Frpc, &client_ini(setting, port, &client_extra, &proxies), "ini")?;
        for maker in visitors {
            let mut sections = Vec::new();
            for kind in &visited {
                let visitor =
                    Visitor::new(kind.name(), &format!("{}-visitor", kind.name()), kind.name(), KEY);
                accesses.push(Access::new(*kind, visitor.port, ""));
                sections.push(visitor);
            }
            world.start(maker, Role::Frpc, &visitor_ini(setting, port, &client_extra, &sections), "ini")?;
        }
        serve(&accesses).await
    }
}

async fn serve(accesses: &[Access]) -> Result<()> {
    for access in accesses {
        let name = access.kind.name();
        access.serves().await.with_context(|| format!("{name} is not reached"))?;
        access.echo(b"a request").await.with_context(|| format!("{name}, a request"))?;
        if matches!(access.kind, Kind::Tcp | Kind::Stcp) {
            access.bulk(BULK).await.with_context(|| format!("{name}, bulk"))?;
        }
    }
    Ok(())
}

/// Wire version 2 with its first release, in which udp and sudp go on in the framing of version 1.
mod of_2026_in_wire_version_2 {
    use super::*;

    const RELEASE: &str = "v0.69.0";

    fn server(port: u16) -> String {
        format!("bindAddr = \"127.0.0.1\"\nbindPort = {port}\nauth.token = \"secret\"\n")
    }

    fn client(port: u16, wire: &str) -> String {
        format!(
            "serverAddr = \"127.0.0.1\"\nserverPort = {port}\nauth.token = \"secret\"\nloginFailExit = false\n\
             transport.wireProtocol = \"{wire}\"\n"
        )
    }

    /// tcp, udp, stcp and sudp, with visitors of these wire versions.
    async fn everything(server_maker: &Maker, owner: &Maker, visitors: &[(&Maker, &str)]) -> Result<()> {
        let mut world = World::new()?;
        let port = ports::free();
        world.start(server_maker, Role::Frps, &server(port), "toml")?;
        world.listens(port).await?;
        let (tcp, udp) = (Kind::Tcp.service().await?, Kind::Udp.service().await?);
        let mut accesses = Vec::new();
        let mut text = client(port, "v2");
        for (kind, service) in [(Kind::Tcp, &tcp), (Kind::Udp, &udp)] {
            let remote = ports::free();
            accesses.push(Access::new(kind, remote, ""));
            let (kind, local) = (kind.name(), service.port());
            text += &format!(
                "[[proxies]]\nname = \"{kind}\"\ntype = \"{kind}\"\nlocalPort = {local}\nremotePort = {remote}\n"
            );
        }
        for (kind, service) in [(Kind::Stcp, &tcp), (Kind::Sudp, &udp)] {
            let (kind, local) = (kind.name(), service.port());
            text += &format!(
                "[[proxies]]\nname = \"{kind}\"\ntype = \"{kind}\"\nlocalPort = {local}\nsecretKey = \"{KEY}\"\n"
            );
        }
        world.start(owner, Role::Frpc, &text, "toml")?;
        for (maker, wire) in visitors {
            let mut text = client(port, wire);
            for kind in [Kind::Stcp, Kind::Sudp] {
                let free = ports::free();
                accesses.push(Access::new(kind, free, ""));
                let kind = kind.name();
                text += &format!(
                    "[[visitors]]\nname = \"v-{kind}\"\ntype = \"{kind}\"\nserverName = \"{kind}\"\n\
                     secretKey = \"{KEY}\"\nbindPort = {free}\n"
                );
            }
            world.start(maker, Role::Frpc, &text, "toml")?;
        }
        let served = serve(&accesses).await;
        served.with_context(|| format!("{server_maker:?}, {owner:?}, {visitors:?}\n{}", world.outputs()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn as_server() -> Result<()> {
        let Some(old) = there(RELEASE) else { return Ok(()) };
        let ours = &Maker::Ours;
        everything(&old, ours, &[(ours, "v2"), (&old, "v2"), (ours, "v1")]).await?;
        everything(&old, &old, &[(ours, "v2")]).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn as_client() -> Result<()> {
        let Some(old) = there(RELEASE) else { return Ok(()) };
        let ours = &Maker::Ours;
        everything(ours, &old, &[(ours, "v2"), (&old, "v2"), (ours, "v1"), (&old, "v1")]).await?;
        everything(ours, ours, &[(&old, "v2"), (&old, "v1")]).await
    }
}
