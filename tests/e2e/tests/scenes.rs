//! Log lines of whole scenes, against those that the original printed (`tests/data/logs`). Per process, the set of
//! lines must be the same, but for the places that vary: time, caller, run id, port, host. Lines that a scene leaves
//! to chance or that we do not print are named beside the scene with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use frp_test_support::process::Process;
use frp_test_support::programs::{Maker, Role};
use frp_test_support::service::Service;
use frp_test_support::{ports, traffic};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A recorded scene, laid out in a folder of its own.
struct Scene {
    text: String,
    folder: TempDir,
}

impl Scene {
    /// Reads a scene and writes its input files, each `{PORT}` replaced by the next of that file's `ports`.
    fn lay_out(name: &str, inputs: &[(&str, &[u16])]) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/logs").join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let folder = tempfile::tempdir()?;
        for (input, ports) in inputs {
            let body = section(&text, &format!("## input {input}")).context("no such input")?;
            let mut ports = ports.iter();
            let mut filled = String::new();
            for (number, piece) in body.split("{PORT}").enumerate() {
                if number > 0 {
                    let port = ports.next().with_context(|| format!("{input} has more ports"))?;
                    filled.push_str(&port.to_string());
                }
                filled.push_str(piece);
            }
            let path = folder.path().join(input);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, filled)?;
        }
        Ok(Self { text, folder })
    }

    /// Starts frps or frpc in the scene's folder.
    fn start(&self, role: Role, arguments: &[&str]) -> Result<Process> {
        Process::start(&Maker::from_env(role).executable(role)?, arguments, self.folder.path())
    }

    async fn start_frps(&self) -> Result<Process> {
        let mut frps = self.start(Role::Frps, &["-c", "frps.toml"])?;
        frps.line("frps started successfully").await?;
        Ok(frps)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Compares what a process printed with the recorded section that begins with `heading`.
    fn compare(&self, heading: &str, printed: &[String], except: &[&str]) -> Result<()> {
        let recorded = section(&self.text, heading).with_context(|| format!("no section {heading}"))?;
        let wanted: BTreeSet<_> = recorded.lines().map(normal).collect();
        let got: BTreeSet<_> = printed.iter().map(|line| normal(line)).collect();
        let excepted = |line: &&String| {
            line.is_empty()
                || line.contains("compatible with frp")
                || OURS.iter().chain(except).any(|text| line.contains(text))
        };
        let missing: Vec<_> = wanted.difference(&got).filter(|line| !excepted(line)).collect();
        let extra: Vec<_> = got.difference(&wanted).filter(|line| !excepted(line)).collect();
        ensure!(
            missing.is_empty() && extra.is_empty(),
            "{heading}\nmissing: {missing:#?}\nextra: {extra:#?}"
        );
        Ok(())
    }
}

/// Lines at debug level that say why something ended, where the original says nothing.
const OURS: &[&str] = &["replaced a work connection", "write to control connection"];

/// The lines from the heading that begins with `heading` to the next one.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let begin = text.match_indices(heading).find(|(at, _)| {
        let end = text.get(at + heading.len()..).unwrap_or_default();
        end.starts_with([':', '\n', ' '])
            && (*at == 0 || text.get(..*at).is_some_and(|before| before.ends_with('\n')))
    });
    let (at, _) = begin?;
    let body = text.get(at..)?.split_once('\n')?.1;
    Some(body.split("\n## ").next().unwrap_or(body))
}

/// A line with everything that varies replaced as in the recordings.
fn normal(line: &str) -> String {
    let line = line.replace('\u{1b}', "{ESC}");
    // The reset of the line before; which line that is does not matter here.
    let line = line.strip_prefix("{ESC}[0m").unwrap_or(&line);
    let mut out = String::new();
    for (number, word) in line.split(' ').enumerate() {
        if number > 0 {
            out.push(' ');
        }
        out.push_str(&normal_word(word));
    }
    // "2026-11-22 10:00:00.000 [I] [dir/file.rs:10] …"
    let out = out.replace("{DATE} {CLOCK}", "{TIME}");
    match out.split_once("hostname [") {
        Some((before, after)) => {
            let rest = after.split_once(']').map_or("", |(_, rest)| rest);
            format!("{before}hostname [{{HOST}}]{rest}")
        }
        None => out,
    }
}

fn normal_word(word: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let start = word.rfind('m').filter(|_| word.starts_with("{ESC}")).map_or(0, |at| at + 1);
    let (colour, text) = word.split_at(start);
    if text.len() == 10 && text.split('-').all(digits) {
        return format!("{colour}{{DATE}}");
    }
    if text.len() == 12 && text.split([':', '.']).all(digits) {
        return "{CLOCK}".to_owned();
    }
    let inner = word.trim_matches(['[', ']']);
    if inner.len() == 16 && word.starts_with('[') && inner.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "[{RUNID}]".to_owned();
    }
    if word.starts_with('[') && word.ends_with(']') && inner.contains('/') && inner.contains(".rs:")
        || inner.contains(".go:")
    {
        return "[{CALLER}]".to_owned();
    }
    if word.starts_with('[') && inner.len() >= 4 && digits(inner) {
        return word.replace(inner, "{PORT}");
    }
    // Ports behind addresses, several in one word included.
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find("127.0.0.1:") {
        let (before, after) = rest.split_at(at + "127.0.0.1:".len());
        let end = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        out.push_str(before);
        if end >= 4 {
            out.push_str("{PORT}");
            rest = after.get(end..).unwrap_or_default();
        } else {
            rest = after;
        }
    }
    out + rest
}

/// The frps of a scene whose client has gone: its last lines are awaited, then it is killed.
async fn after_client(frps: &mut Process, last: &str) -> Result<Vec<String>> {
    frps.line(last).await?;
    frps.kill().await?;
    Ok(frps.output())
}

/// Its warnings race with the end of the process in the original, too. The work connection that takes the place of the
/// last user's may still be on its way when its control is gone.
const TEARDOWN: &[&str] =
    &["listener is closed", "accept new mux stream error", "proxy closing", "no client control found"];

#[tokio::test(flavor = "multi_thread")]
async fn start_with_colour() -> Result<()> {
    let port = ports::free();
    let scene = Scene::lay_out("frps-start-console-colour", &[("frps.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn start_from_flags() -> Result<()> {
    let port = ports::free().to_string();
    let scene = Scene::lay_out("frps-start-from-flags", &[])?;
    let flags =
        ["--bind_addr", "127.0.0.1", "-p", &port, "--disable_log_color", "--proxy-bind-addr", "127.0.0.1"];
    let mut frps = scene.start(Role::Frps, &flags)?;
    frps.line("frps started successfully").await?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn port_busy_and_certificates_missing() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let busy = taken.local_addr()?.port();
    let inputs: [(&str, &[u16]); 3] =
        [("frps.toml", &[busy]), ("frps-tls.toml", &[ports::free()]), ("frps-ca.toml", &[ports::free()])];
    let scene = Scene::lay_out("frps-port-busy", &inputs)?;
    for name in ["frps", "frps-tls", "frps-ca"] {
        let mut frps = scene.start(Role::Frps, &["-c", &format!("{name}.toml")])?;
        ensure!(frps.wait().await?.code() == Some(1), "{name} must exit with 1");
        scene.compare(&format!("## output of {name}"), &frps.output(), &[])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_token() -> Result<()> {
    let port = ports::free();
    let inputs: [(&str, &[u16]); 3] =
        [("frps.toml", &[port]), ("frpc.toml", &[port]), ("frpc2.toml", &[port])];
    let scene = Scene::lay_out("wrong-token", &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    ensure!(frpc.wait().await?.code() == Some(1), "must exit with 1");
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let mut again = scene.start(Role::Frpc, &["-c", "frpc2.toml"])?;
    again.lines("connect to server error", 2).await?;
    again.kill().await?;
    scene.compare("## output of frpc-noexit", &again.output(), &[])?;
    frps.kill().await?;
    scene.compare(
        "## output of frps",
        &frps.output(),
        &["accept new mux stream error", "write login error response"],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_token_undetailed() -> Result<()> {
    let port = ports::free();
    let scene = Scene::lay_out("wrong-token-undetailed", &[("frps.toml", &[port]), ("frpc.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    ensure!(frpc.wait().await?.code() == Some(1), "must exit with 1");
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server() -> Result<()> {
    let nobody = ports::free();
    let scene = Scene::lay_out("no-server", &[("frpc.toml", &[nobody]), ("frpc2.toml", &[nobody])])?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    ensure!(frpc.wait().await?.code() == Some(1), "must exit with 1");
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let mut again = scene.start(Role::Frpc, &["-c", "frpc2.toml"])?;
    again.lines("connect to server error", 3).await?;
    again.kill().await?;
    scene.compare("## output of frpc-noexit", &again.output(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn server_gone_and_back() -> Result<()> {
    let echo = Service::greeting("hello").await?;
    let (port, remote) = (ports::free(), ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &[port, echo.port(), remote])];
    let scene = Scene::lay_out("server-gone-reconnect", &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.line("start proxy success").await?;
    frps.line("new work connection registered").await?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), TEARDOWN)?;
    frpc.line("connection refused").await?;
    let mut frps = scene.start_frps().await?;
    frpc.lines("start proxy success", 2).await?;
    let mut user = traffic::connect(remote).await?;
    traffic::read_to_end(&mut user).await?;
    frpc.line("join connections closed").await?;
    frps.line("join connections closed").await?;
    frps.lines("new work connection registered", 2).await?;
    frpc.kill().await?;
    // How the broken connection shows first, as an end of session or as a refusal, is a matter of microseconds.
    let by_chance = ["connect to server error: session shutdown", "control message dispatcher exited"];
    scene.compare("## output of frpc", &frpc.output(), &by_chance)?;
    let output = after_client(&mut frps, "client exit success").await?;
    let after_the_scene =
        ["client exit success", "proxy closing", "listener is closed", "accept new mux stream"];
    scene.compare("## output of frps-again", &output, &after_the_scene)
}

async fn dead_local_service(name: &str, last: &str) -> Result<()> {
    let (port, remote, nobody) = (ports::free(), ports::free(), ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &[port, nobody, remote])];
    let scene = Scene::lay_out(name, &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.line("start proxy success").await?;
    let mut user = traffic::connect(remote).await?;
    traffic::read_to_end(&mut user).await?;
    frpc.line("connect to local service").await?;
    frps.line(last).await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, TEARDOWN)
}

#[tokio::test(flavor = "multi_thread")]
async fn local_service_dead() -> Result<()> {
    dead_local_service("local-service-dead-info", "get a user connection").await
}

#[tokio::test(flavor = "multi_thread")]
async fn local_service_dead_at_trace_level() -> Result<()> {
    dead_local_service("local-service-dead-trace", "join connections closed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_without_mux() -> Result<()> {
    let port = ports::free();
    let scene = Scene::lay_out("heartbeat-no-mux-debug", &[("frps.toml", &[port]), ("frpc.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.lines("receive heartbeat from server", 2).await?;
    frps.line("new work connection registered").await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeat_timeout_on_the_server() -> Result<()> {
    let port = ports::free();
    let scene = Scene::lay_out("frps-heartbeat-timeout", &[("frps.toml", &[port]), ("frpc.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frps.line("heartbeat timeout").await?;
    frpc.lines("login to server success", 2).await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, &[])
}

async fn health_check(name: &str) -> Result<()> {
    let (port, remote, local) = (ports::free(), ports::free(), ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &[port, local, remote])];
    let scene = Scene::lay_out(name, &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.line("do one health check failed").await?;
    let service = TcpListener::bind(("127.0.0.1", local)).await?;
    frpc.line("start proxy success").await?;
    drop(service);
    frpc.line("[t1] health check failed").await?;
    frps.line("close proxy [t1] success").await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, &["client exit success"])
}

#[tokio::test(flavor = "multi_thread")]
async fn health_check_at_info_level() -> Result<()> {
    health_check("health-check-info").await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_check_at_debug_level() -> Result<()> {
    health_check("health-check-debug").await
}

#[tokio::test(flavor = "multi_thread")]
async fn single_proxy_command() -> Result<()> {
    let echo = Service::greeting("hello").await?;
    let (port, remote) = (ports::free(), ports::free().to_string());
    let scene = Scene::lay_out("single-proxy-command", &[])?;
    let server = format!(
        "bindAddr = \"127.0.0.1\"\nbindPort = {port}\nproxyBindAddr = \"127.0.0.1\"\nauth.token = \"t\"\n\
         log.disablePrintColor = true\n"
    );
    fs::write(scene.path("frps.toml"), server)?;
    let mut frps = scene.start_frps().await?;
    let (server_port, local) = (port.to_string(), echo.port().to_string());
    let arguments = [
        "tcp",
        "-s",
        "127.0.0.1",
        "-P",
        &server_port,
        "-t",
        "t",
        "-n",
        "cli",
        "-l",
        &local,
        "-r",
        &remote,
        "--disable_log_color",
    ];
    let mut frpc = scene.start(Role::Frpc, &arguments)?;
    frpc.line("start proxy success").await?;
    let mut user = traffic::connect(remote.parse()?).await?;
    ensure!(traffic::read_to_end(&mut user).await? == b"hello", "the service's greeting");
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, TEARDOWN)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_forced_refuses_plain() -> Result<()> {
    let port = ports::free();
    let scene =
        Scene::lay_out("tls-forced-refuses-plain", &[("frps.toml", &[port]), ("frpc.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    ensure!(frpc.wait().await?.code() == Some(1), "must exit with 1");
    // Whether the cut shows on the stream, the session or the socket is a matter of microseconds.
    let by_chance = ["connect to server error", "login to the server failed"];
    scene.compare("## output of frpc", &frpc.output(), &by_chance)?;
    frps.line("non-TLS connection").await?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn mux_mismatch() -> Result<()> {
    let port = ports::free();
    let scene = Scene::lay_out("mux-mismatch", &[("frps.toml", &[port]), ("frpc.toml", &[port])])?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    ensure!(frpc.wait().await?.code() == Some(1), "must exit with 1");
    let by_chance = ["connect to server error", "login to the server failed"];
    scene.compare("## output of frpc", &frpc.output(), &by_chance)?;
    frps.kill().await?;
    // Ours says why it closed the connection; the original says nothing.
    scene.compare("## output of frps", &frps.output(), &["message type error"])
}

#[tokio::test(flavor = "multi_thread")]
async fn file_target() -> Result<()> {
    let echo = Service::greeting("hello").await?;
    let (port, remote) = (ports::free(), ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &[port, echo.port(), remote])];
    let scene = Scene::lay_out("file-target", &inputs)?;
    let mut frps = scene.start(Role::Frps, &["-c", "frps.toml"])?;
    drop(traffic::connect(port).await?);
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    let mut user = traffic::connect(remote).await?;
    traffic::read_to_end(&mut user).await?;
    frpc.signal(rustix::process::Signal::TERM)?;
    frpc.wait().await?;
    frps.signal(rustix::process::Signal::TERM)?;
    frps.wait().await?;
    for (heading, name) in
        [("## file frpc.log", "frpc.log"), ("## file logs/sub/frps.log", "logs/sub/frps.log")]
    {
        let path = scene.path(name);
        let lines: Vec<_> = fs::read_to_string(&path)?.lines().map(str::to_owned).collect();
        // What ends both programs is not part of the scene.
        let ending = ["stopped", "proxy closing", "client exit success", "listener is closed"];
        scene.compare(heading, &lines, &ending)?;
        use std::os::unix::fs::PermissionsExt as _;
        ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "mode of {name}");
    }
    ensure!(frps.output().is_empty() && frpc.output().is_empty(), "the console stays empty");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn config_dir() -> Result<()> {
    let port = ports::free();
    let inputs: [(&str, &[u16]); 3] = [("frps.toml", &[port]), ("d/a.toml", &[port]), ("d/sub/b.toml", &[])];
    let scene = Scene::lay_out("config-dir", &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["--config_dir", "d"])?;
    frpc.line("login to server success").await?;
    frpc.line("frpc service error for config file").await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_ini() -> Result<()> {
    let echo = Service::greeting("hello").await?;
    let (port, remote) = (ports::free(), ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.ini", &[port]), ("frpc.ini", &[port, echo.port(), remote])];
    let scene = Scene::lay_out("legacy-ini-start", &inputs)?;
    let mut frps = scene.start(Role::Frps, &["-c", "frps.ini"])?;
    frps.line("frps started successfully").await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.ini"])?;
    frpc.line("start proxy success").await?;
    let mut user = traffic::connect(remote).await?;
    traffic::read_to_end(&mut user).await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare(
        "## output of frps",
        &output,
        &["client exit success", "proxy closing", "listener is closed"],
    )
}

async fn refused(name: &str, inputs: &[(&str, &[u16])], last: &str, count: usize) -> Result<()> {
    let scene = Scene::lay_out(name, inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.lines(last, count).await?;
    frpc.kill().await?;
    scene.compare("## output of frpc", &frpc.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, TEARDOWN)
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_ports() -> Result<()> {
    let [port, local, a, b] = [(); 4].map(|()| ports::free());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &[port, local, a, local, b])];
    refused("proxy-refused-max-ports", &inputs, "start error", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_without_details() -> Result<()> {
    let [port, allowed, local, remote] = [(); 4].map(|()| ports::free());
    let inputs: [(&str, &[u16]); 2] =
        [("frps.toml", &[port, allowed]), ("frpc.toml", &[port, local, remote])];
    refused("proxy-refused-undetailed", &inputs, "start error", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn groups() -> Result<()> {
    let [port, local, remote, other] = [(); 4].map(|()| ports::free());
    let frpc = [port, local, remote, local, remote, local, remote, local, other];
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("frpc.toml", &frpc)];
    refused("proxy-groups", &inputs, "start error", 2).await
}

async fn stcp_visitors(name: &str) -> Result<()> {
    let echo = Service::greeting("hello").await?;
    let [port, good, badkey, noserver] = [(); 4].map(|()| ports::free());
    let inputs: [(&str, &[u16]); 3] = [
        ("frps.toml", &[port]),
        ("frpc.toml", &[port, echo.port()]),
        ("visitor.toml", &[port, good, badkey, noserver]),
    ];
    let scene = Scene::lay_out(name, &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut frpc = scene.start(Role::Frpc, &["-c", "frpc.toml"])?;
    frpc.line("start proxy success").await?;
    let mut visitor = scene.start(Role::Frpc, &["-c", "visitor.toml"])?;
    visitor.line("visitor added").await?;
    let mut user = traffic::connect(good).await?;
    ensure!(traffic::read_to_end(&mut user).await? == b"hello", "the service's greeting");
    for port in [badkey, noserver] {
        let mut user = traffic::connect(port).await?;
        ensure!(traffic::read_to_end(&mut user).await?.is_empty(), "who is refused gets nothing");
    }
    visitor.lines("dialRawVisitorConn error", 2).await?;
    visitor.kill().await?;
    scene.compare("## output of visitor", &visitor.output(), &["bytes to the service"])?;
    frps.line("client exit success").await?;
    frpc.kill().await?;
    // The copy's end is told in other words, at level trace.
    scene.compare(
        "## output of frpc",
        &frpc.output(),
        &["join connections errors", "bytes to the service"],
    )?;
    frps.lines("client exit success", 2).await?;
    frps.kill().await?;
    scene.compare("## output of frps", &frps.output(), TEARDOWN)
}

#[tokio::test(flavor = "multi_thread")]
async fn stcp_visitors_at_info_level() -> Result<()> {
    stcp_visitors("stcp-visitor-info").await
}

#[tokio::test(flavor = "multi_thread")]
async fn stcp_visitors_at_trace_level() -> Result<()> {
    stcp_visitors("stcp-visitor-trace").await
}

#[tokio::test(flavor = "multi_thread")]
async fn visitor_port_busy() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let (port, busy) = (ports::free(), taken.local_addr()?.port());
    let inputs: [(&str, &[u16]); 2] = [("frps.toml", &[port]), ("visitor.toml", &[port, busy])];
    let scene = Scene::lay_out("visitor-port-busy", &inputs)?;
    let mut frps = scene.start_frps().await?;
    let mut visitor = scene.start(Role::Frpc, &["-c", "visitor.toml"])?;
    visitor.line("visitor added").await?;
    visitor.kill().await?;
    scene.compare("## output of visitor", &visitor.output(), &[])?;
    let output = after_client(&mut frps, "client exit success").await?;
    scene.compare("## output of frps", &output, &[])
}

/// Sub-commands that describe one proxy or visitor, against the recorded command lines (`tests/data/cli`): without a
/// server they end as those of the original do.
#[tokio::test(flavor = "multi_thread")]
async fn single_entry_commands_end_without_a_server() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/cli/cases.json");
    let cases: serde_json::Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let folder = tempfile::tempdir()?;
    let executable = Maker::from_env(Role::Frpc).executable(Role::Frpc)?;
    let mut seen = 0;
    for case in cases.as_array().context("a list")? {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        if !text("stdout").contains("{TIME} [I] [{CALLER}] try to connect to server...\n") {
            continue;
        }
        let arguments: Vec<_> =
            case["args"].as_array().context("arguments")?.iter().filter_map(|word| word.as_str()).collect();
        if arguments.first() == Some(&"xtcp") || !arguments.contains(&"-n") {
            println!("left out: {}: comes with xtcp, or needs files", text("id"));
            continue;
        }
        let mut frpc = Process::start(&executable, &arguments, folder.path())?;
        ensure!(frpc.wait().await?.code() == Some(1), "{arguments:?} must exit with 1");
        let printed: Vec<_> = frpc.output().iter().map(|line| normal(line)).collect();
        let printed = printed.iter().filter(|line| !line.contains("compatible with frp")).map(String::as_str);
        // Only ports of four digits and more are replaced.
        ensure!(printed.eq(text("stdout").lines()), "{arguments:?}: {:#?}", frpc.output());
        seen += 1;
    }
    ensure!(seen == 9, "{seen} commands");
    Ok(())
}
