//! Users of https and tcpmux proxies, byte for byte as recorded from the original (`tests/data/{https,tcpmux}`).
//!
//! Each recorded setup runs once, its cases one after the other. A user's script ends when what was recorded has come;
//! then the user leaves, and every service must see the end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use frp_test_support::programs::{Maker, Role, both_ours};
use frp_test_support::recorded::Recorded;
use frp_test_support::script::{bytes, end_of, read, trickle};
use frp_test_support::{ports, within};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a connection is looked at that must stay open and silent.
const SILENCE: Duration = Duration::from_millis(30);
/// The longest pause of a script that is kept; those of the recording are longer than it takes here.
const PAUSE: Duration = Duration::from_millis(50);
const BACKENDS: [&str; 3] = ["a", "b", "c"];

#[tokio::test(flavor = "multi_thread")]
async fn https() -> Result<()> {
    replay("https", "{https}").await
}

#[tokio::test(flavor = "multi_thread")]
async fn tcpmux() -> Result<()> {
    replay("tcpmux", "{mux}").await
}

async fn replay(kind: &str, entrance: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(kind).join("cases.json");
    let corpus: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut failures = Vec::new();
    let mut played = 0;
    for (name, setup) in corpus["setups"].as_object().context("setups")? {
        let mut setup = Setup::start(setup, entrance).await.with_context(|| format!("setup {name}"))?;
        for case in corpus["cases"].as_array().context("cases")? {
            // The deadlines of 30 s are tested where the clock can be paused.
            if case["setup"] != name.as_str() || !case["max_s"].is_null() {
                continue;
            }
            let id = case["id"].as_str().unwrap_or_default();
            played += 1;
            if let Err(error) = setup.play(id, case).await {
                failures.push(format!("{id}: {error:#}"));
            }
        }
    }
    ensure!(played > 80, "only {played} cases");
    ensure!(failures.is_empty(), "{} of {played} cases:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// The programs with the configuration of a setup, and the services behind them.
struct Setup {
    entrance: u16,
    arrivals: mpsc::Receiver<(&'static str, TcpStream)>,
    _programs: Recorded,
    _accepting: JoinSet<()>,
}

impl Setup {
    async fn start(setup: &Value, entrance: &str) -> Result<Self> {
        let mut accepting = JoinSet::new();
        let (arrived, arrivals) = mpsc::channel(16);
        let port = ports::free();
        let mut places = vec![(entrance.to_owned(), port.to_string())];
        for name in BACKENDS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            places.push((format!("{{backend:{name}}}"), listener.local_addr()?.port().to_string()));
            let arrived = arrived.clone();
            accepting.spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if arrived.send((name, stream)).await.is_err() {
                        return;
                    }
                }
            });
        }
        let programs = Recorded::start(setup, &places).await?;
        Ok(Self { entrance: port, arrivals, _programs: programs, _accepting: accepting })
    }

    async fn play(&mut self, id: &str, case: &Value) -> Result<()> {
        let wanted = Wanted::of(id, case)?;
        let user = user(self.entrance, case["user"].as_array().context("user")?, &wanted);
        let services = serve(&mut self.arrivals, &case["backend"], wanted.served.len());
        let (user, served) = tokio::join!(user, services);
        user.context("user")?;
        let served = served.context("service")?;
        ensure!(served.len() == wanted.served.len(), "{} connections to services", served.len());
        for ((name, got), (wanted_name, pattern)) in served.iter().zip(&wanted.served) {
            ensure!(name == wanted_name, "service {name} was asked");
            ensure!(pattern.matches(got), "service {name} got {}", shown(got));
        }
        if let Ok((name, _)) = self.arrivals.try_recv() {
            bail!("service {name} got one connection more");
        }
        Ok(())
    }
}

/// What must come of a case.
struct Wanted {
    /// What the user gets; any of these.
    answers: Vec<Pattern>,
    /// Whether the connection is open after that.
    stays_open: bool,
    /// The user leaves by itself.
    leaves: bool,
    served: Vec<(String, Pattern)>,
}

const CONNECTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"Restricted\"\r\n\
    Content-Length: 0\r\n\r\n";

impl Wanted {
    /// As recorded, or what is right instead.
    fn of(id: &str, case: &Value) -> Result<Self> {
        let observed = &case["observed"];
        let user = &observed["user"][0];
        let mut wanted = Self {
            answers: vec![Pattern::of(&user["recv"])?],
            stays_open: user["end"] == "open",
            leaves: user["end"] == "closed_by_user",
            served: Vec::new(),
        };
        for service in observed["backend"].as_array().context("backend")? {
            let name = service["name"].as_str().unwrap_or_default().to_owned();
            wanted.served.push((name, Pattern::of(&service["recv"])?));
        }
        if Maker::from_env(Role::Frps) == Maker::Ours {
            wanted.correct(id, case)?;
        }
        Ok(wanted)
    }

    /// What the original should not do, and what we do instead.
    fn correct(&mut self, id: &str, case: &Value) -> Result<()> {
        let sent = |at: usize| bytes(&case["user"][at]["send"]);
        let closed =
            Self { answers: vec![Pattern::exact("")], stays_open: false, leaves: false, served: Vec::new() };
        let echoed = |text: &str| [CONNECTED, text].concat();
        match id {
            "https/catchall-trailing-dot" => {
                self.answers = vec![Pattern::exact("BACKEND-SAYS")];
                self.stays_open = true;
                self.served = vec![("b".to_owned(), Pattern(vec![Part::Bytes(sent(0)?)]))];
            }
            // The original's client takes the end of one direction for that of both.
            "https/user-half-closes" | "tcpmux/user-half-closes" if !both_ours() => {}
            "https/user-half-closes" => self.answers = vec![Pattern::exact("late answer")],
            "tcpmux/user-half-closes" => self.answers = vec![Pattern::exact(&echoed("late"))],
            "tcpmux/early-data" => self.early("earlylater"),
            "tcpmux/early-data-large" => self.early(&"e".repeat(20_000)),
            "tcpmux/chunked" => self.early("3\r\nabc\r\n0\r\n\r\n"),
            "tcpmux/http20"
            | "tcpmux/path-target"
            | "tcpmux/empty-target"
            | "tcpmux/header-space-colon"
            | "tcpmux/cl-te"
            | "tcpmux/header-1m"
            | "tcpmux/header-4m"
            | "tcpmux/catchall-path" => *self = closed,
            _ if case["note"].as_str().is_some_and(|note| note.contains("407 alone")) => {
                self.answers = vec![Pattern::exact(REFUSED)];
            }
            _ => ensure!(case["defect"] != true, "nobody says what is right instead"),
        }
        Ok(())
    }

    fn early(&mut self, text: &str) {
        self.answers = vec![Pattern::exact(&[CONNECTED, text].concat())];
        self.served = vec![("a".to_owned(), Pattern::exact(text))];
    }

    fn has_come(&self, got: &[u8]) -> bool {
        self.answers.iter().any(|answer| answer.matches(got))
    }
}

/// Bytes of which some vary.
struct Pattern(Vec<Part>);

enum Part {
    Bytes(Vec<u8>),
    Port,
    /// A 404 with a page of somebody's own: what comes before it is not looked at beyond the status.
    NotFound,
}

impl Pattern {
    fn of(recorded: &Value) -> Result<Self> {
        let one = [recorded.clone()];
        let list = recorded.as_array().map_or(&one[..], Vec::as_slice);
        if list.iter().any(|part| !part["not_found_page"].is_null()) {
            return Ok(Self(vec![Part::NotFound]));
        }
        let part = |part: &Value| match part["volatile"].as_str() {
            Some("user_port" | "server_port") => Ok(Part::Port),
            Some(other) => bail!("volatile {other}"),
            None => bytes(part).map(Part::Bytes),
        };
        list.iter().map(part).collect::<Result<_>>().map(Self)
    }

    fn exact(text: &str) -> Self {
        Self(vec![Part::Bytes(text.as_bytes().to_vec())])
    }

    fn matches(&self, mut got: &[u8]) -> bool {
        for part in &self.0 {
            match part {
                Part::Bytes(bytes) => match got.strip_prefix(bytes.as_slice()) {
                    Some(rest) => got = rest,
                    None => return false,
                },
                Part::Port => {
                    let digits = got.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    if digits == 0 {
                        return false;
                    }
                    got = got.get(digits..).unwrap_or_default();
                }
                Part::NotFound => return is_whole_not_found(got),
            }
        }
        got.is_empty()
    }
}

fn is_whole_not_found(got: &[u8]) -> bool {
    let text = String::from_utf8_lossy(got);
    let Some((head, page)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    head.starts_with("HTTP/1.1 404 Not Found\r\n")
        && length.and_then(|length| length.parse().ok()) == Some(page.len())
        && page.contains("Not Found</title>")
}

fn shown(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(200)).unwrap_or_default();
    format!("{} bytes: {}", bytes.len(), start.escape_ascii())
}

async fn pause(step: &Value) {
    sleep(Duration::from_millis(step.as_u64().unwrap_or_default()).min(PAUSE)).await;
}

/// Plays the user: the script, then reading until what is wanted has come.
async fn user(port: u16, script: &[Value], wanted: &Wanted) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut stream = Some(stream);
    let mut got = Vec::new();
    let mut matched = 0;
    let mut ended = false;
    for step in script {
        let Some(stream) = &mut stream else { break };
        // Writing to a connection that the server has closed fails, or not yet; what is read tells.
        if !step["send"].is_null() {
            let _ = stream.write_all(&bytes(&step["send"])?).await;
        } else if !step["trickle"].is_null() {
            trickle(stream, &bytes(&step["trickle"])?).await;
        } else if !step["until"].is_null() {
            let text = bytes(&step["until"])?;
            while !ended && end_of(&text, &got, matched).is_none() {
                ended = within("an answer", read(stream, &mut got)).await?;
            }
            matched = end_of(&text, &got, matched).unwrap_or(got.len());
        } else if !step["sleep_ms"].is_null() {
            pause(&step["sleep_ms"]).await;
        } else if step["shut_wr"] == true {
            let _ = stream.shutdown().await;
        }
        if step["close"] == true {
            break;
        }
    }
    let leaves = wanted.leaves;
    if let Some(stream) = stream.as_mut().filter(|_| !leaves) {
        while !(ended || (wanted.stays_open && wanted.has_come(&got))) {
            ended = within(&format!("the rest of {}", shown(&got)), read(stream, &mut got)).await?;
        }
        if wanted.stays_open && !ended {
            ended = timeout(SILENCE, read(stream, &mut got)).await.unwrap_or(false);
        }
        ensure!(ended != wanted.stays_open, "closed: {ended}, after {}", shown(&got));
    }
    ensure!(wanted.has_come(&got), "got {}", shown(&got));
    Ok(())
}

/// Plays the services for so many connections: for each its name and all that it got.
async fn serve(
    arrivals: &mut mpsc::Receiver<(&'static str, TcpStream)>,
    scripts: &Value,
    connections: usize,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut served = Vec::new();
    for number in 0..connections {
        let (name, stream) = within("a connection", arrivals.recv()).await?.context("a connection")?;
        let scripts =
            [&scripts[name], &scripts["*"]].into_iter().find_map(Value::as_array).context("a script")?;
        let script =
            scripts.get(number).or_else(|| scripts.last()).and_then(Value::as_array).context("a script")?;
        served.push((name, within("the end of a connection", service(stream, script)).await??));
    }
    Ok(served)
}

/// Plays a service, then reads to the end.
async fn service(mut stream: TcpStream, script: &[Value]) -> Result<Vec<u8>> {
    stream.set_nodelay(true)?;
    let mut got = Vec::new();
    for step in script {
        let before = got.len();
        if !step["send"].is_null() {
            stream.write_all(&bytes(&step["send"])?).await?;
        } else if let Some(count) = step["recv_bytes"].as_u64() {
            while ((got.len() - before) as u64) < count && !read(&mut stream, &mut got).await {}
        } else if !step["recv_until"].is_null() {
            let text = bytes(&step["recv_until"])?;
            while !got.windows(text.len()).any(|window| window == text) && !read(&mut stream, &mut got).await
            {
            }
        } else if !step["sleep_ms"].is_null() {
            pause(&step["sleep_ms"]).await;
        } else if step["recv_eof"] == true {
            while !read(&mut stream, &mut got).await {}
        } else if step["echo"] == true {
            let mut echoed = before;
            while !read(&mut stream, &mut got).await {
                stream.write_all(got.get(echoed..).unwrap_or_default()).await?;
                echoed = got.len();
            }
        } else if step["shut_wr"] == true {
            stream.shutdown().await?;
        } else if step["close"] == true {
            return Ok(got);
        } else if step["reset"] == true {
            stream.set_zero_linger()?;
            return Ok(got);
        }
    }
    while !read(&mut stream, &mut got).await {}
    Ok(got)
}
