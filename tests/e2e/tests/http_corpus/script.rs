//! Plays the user and the services of a case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use frp_test_support::script::{bytes_and, end_of, read, trickle};
use frp_test_support::within;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::message::{DATE, PAGE, PORT, Side, first_length, messages};

/// Recorded bytes, and what stands for those that vary.
pub(crate) fn bytes(value: &Value) -> Result<Vec<u8>> {
    bytes_and(value, &|value| match value["volatile"].as_str() {
        Some("date") => Some(DATE.into()),
        Some(_) => Some(PORT.into()),
        None if !value["not_found_page"].is_null() => Some(PAGE.into()),
        None => None,
    })
}

async fn pause(step: &Value) {
    sleep(Duration::from_millis(step.as_u64().unwrap_or_default())).await;
}

/// What came of one connection of the user.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) got: Vec<u8>,
    pub(crate) ended: bool,
    /// The user left by itself.
    pub(crate) left: bool,
}

/// Plays the user: the script, then reading for as long as `enough` does not say that all has come, and a little
/// more.
pub(crate) async fn user(
    port: u16,
    script: &[Value],
    enough: impl Fn(&[u8], usize) -> bool,
    patience: Duration,
) -> Result<Vec<Visit>> {
    let deadline = Instant::now() + patience;
    let mut visits = Vec::new();
    let mut steps = script.iter();
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut visit = Visit { got: Vec::new(), ended: false, left: false };
        let mut matched = 0;
        let mut again = false;
        for step in steps.by_ref() {
            // Writing to a connection that the server has closed fails, or not yet; what is read tells.
            if !step["send"].is_null() {
                let data = bytes(&step["send"])?;
                let (mut reads, mut writes) = stream.split();
                let write = async {
                    let _ = writes.write_all(&data).await;
                };
                tokio::pin!(write);
                loop {
                    tokio::select! {
                        () = &mut write => break,
                        length = reads.read_buf(&mut visit.got), if !visit.ended => {
                            visit.ended = matches!(length, Ok(0) | Err(_));
                        }
                    }
                }
            } else if !step["trickle"].is_null() {
                trickle(&mut stream, &bytes(&step["trickle"])?).await;
            } else if !step["until"].is_null() {
                let text = bytes(&step["until"])?;
                while !visit.ended && end_of(&text, &visit.got, matched).is_none() {
                    let Ok(ended) = timeout_at(deadline, read(&mut stream, &mut visit.got)).await else {
                        break;
                    };
                    visit.ended = ended;
                }
                matched = end_of(&text, &visit.got, matched).unwrap_or(visit.got.len());
            } else if !step["sleep_ms"].is_null() {
                pause(&step["sleep_ms"]).await;
            } else if step["shut_wr"] == true {
                let _ = stream.shutdown().await;
            } else if step["reconnect"] == true {
                again = true;
                break;
            } else if step["close"] == true {
                visit.left = true;
                break;
            }
        }
        if visit.left {
            drop(stream);
            for step in steps.by_ref() {
                pause(&step["sleep_ms"]).await;
            }
            visits.push(visit);
            return Ok(visits);
        }
        while !visit.ended && !enough(&visit.got, visits.len()) {
            let Ok(ended) = timeout_at(deadline, read(&mut stream, &mut visit.got)).await else { break };
            visit.ended = ended;
        }
        // Whether it stays open and silent.
        let silence = Duration::from_millis(50);
        while !visit.ended {
            let Ok(ended) = timeout(silence, read(&mut stream, &mut visit.got)).await else { break };
            visit.ended = ended;
        }
        visits.push(visit);
        drop(stream);
        // Its silence has shown that its connection to the service is free for the next one.
        if !again {
            return Ok(visits);
        }
    }
}

/// What came over one connection to a service.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) got: Vec<u8>,
}

/// The services of a setup.
pub(crate) struct Services {
    state: Arc<Mutex<State>>,
    /// Counts cases; whoever serves an older one closes.
    case: watch::Sender<u64>,
    /// Connections that are open.
    open: watch::Sender<usize>,
    pub(crate) ports: HashMap<&'static str, u16>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    scripts: Value,
    /// Requests so far, per service.
    requests: HashMap<&'static str, usize>,
    served: Vec<Served>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services {
    pub(crate) async fn start() -> Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let (case, _) = watch::channel(0);
        let (open, _) = watch::channel(0);
        let mut accepting = JoinSet::new();
        let mut ports = HashMap::new();
        for name in ["a", "b", "c"] {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            ports.insert(name, listener.local_addr()?.port());
            let (state, case, open) = (Arc::clone(&state), case.clone(), open.clone());
            accepting.spawn(async move {
                let mut serving = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let mut over = case.subscribe();
                    let index = {
                        let mut state = lock(&state);
                        state.served.push(Served { name, got: Vec::new() });
                        state.served.len() - 1
                    };
                    let (state, open) = (Arc::clone(&state), open.clone());
                    open.send_modify(|open| *open += 1);
                    serving.spawn(async move {
                        tokio::select! {
                            _ = over.changed() => {}
                            _ = serve(stream, name, index, state) => {}
                        }
                        open.send_modify(|open| *open -= 1);
                    });
                }
            });
        }
        Ok(Self { state, case, open, ports, _accepting: accepting })
    }

    /// Closes what is left of the last case, and plays these scripts from now on.
    pub(crate) async fn play(&self, scripts: &Value) -> Result<()> {
        self.case.send_modify(|case| *case += 1);
        within("closed connections", self.open.subscribe().wait_for(|open| *open == 0)).await??;
        *lock(&self.state) = State { scripts: scripts.clone(), ..State::default() };
        Ok(())
    }

    pub(crate) fn served(&self) -> Vec<Served> {
        lock(&self.state).served.clone()
    }
}

/// A connection of a service, which records what it gets.
struct Line {
    stream: TcpStream,
    name: &'static str,
    index: usize,
    state: Arc<Mutex<State>>,
    got: Vec<u8>,
}

impl Line {
    /// True at the end.
    async fn read(&mut self) -> bool {
        let ended = read(&mut self.stream, &mut self.got).await;
        if let Some(served) = lock(&self.state).served.get_mut(self.index) {
            served.got.clone_from(&self.got);
        }
        ended
    }

    fn script(&self, number: usize) -> Vec<Value> {
        let state = lock(&self.state);
        let scripts = [&state.scripts[self.name], &state.scripts["*"]].into_iter().find_map(Value::as_array);
        let scripts = scripts.map(Vec::as_slice).unwrap_or_default();
        scripts.get(number).or_else(|| scripts.last()).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    fn count(&self) -> usize {
        let mut state = lock(&self.state);
        let count = state.requests.entry(self.name).or_default();
        *count += 1;
        *count - 1
    }

    fn next(&self) -> usize {
        lock(&self.state).requests.get(self.name).copied().unwrap_or_default()
    }
}

/// Serves one connection: a script a request, each from where its request is complete, or as the script says.
async fn serve(stream: TcpStream, name: &'static str, index: usize, state: Arc<Mutex<State>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut line = Line { stream, name, index, state, got: Vec::new() };
    let mut from = 0;
    loop {
        let starts = line.script(line.next()).first().map(|step| step["on"].clone()).unwrap_or_default();
        if starts != "connect" {
            loop {
                if line.got.get(from..).unwrap_or_default().starts_with(b"PROXY ")
                    && let Some(end) = line.got.windows(2).position(|window| window == b"\r\n")
                {
                    from = end + 2;
                }
                let rest = line.got.get(from..).unwrap_or_default();
                let first = messages(rest, Side::Requests, false).into_iter().next();
                let head = rest.windows(4).any(|window| window == b"\r\n\r\n");
                if head && (starts == "head" || first.is_some_and(|first| first.whole)) {
                    break;
                }
                if line.read().await {
                    return Ok(());
                }
            }
        }
        let script = line.script(line.count());
        for step in &script {
            let before = line.got.len();
            if !step["send"].is_null() {
                line.stream.write_all(&bytes(&step["send"])?).await?;
            } else if let Some(count) = step["recv_bytes"].as_u64() {
                while ((line.got.len() - before) as u64) < count && !line.read().await {}
            } else if !step["recv_until"].is_null() {
                let text = bytes(&step["recv_until"])?;
                while !line.got.windows(text.len()).any(|window| window == text) && !line.read().await {}
            } else if step["body"] == true {
                let is_whole = |got: &[u8]| {
                    messages(got.get(from..).unwrap_or_default(), Side::Requests, false)
                        .first()
                        .is_some_and(|message| message.whole)
                };
                while !is_whole(&line.got) && !line.read().await {}
            } else if !step["sleep_ms"].is_null() {
                pause(&step["sleep_ms"]).await;
            } else if step["recv_eof"] == true {
                while !line.read().await {}
            } else if step["echo"] == true {
                let head =
                    line.got.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
                // What belongs to the request is no part of the echo.
                let body = messages(line.got.get(from..).unwrap_or_default(), Side::Requests, false);
                let body = body.first().and_then(|request| request.field("content-length")?.parse().ok());
                let mut echoed = head + body.unwrap_or(0_usize);
                loop {
                    line.stream.write_all(line.got.get(echoed..).unwrap_or_default()).await?;
                    echoed = line.got.len();
                    if line.read().await {
                        break;
                    }
                }
            } else if step["shut_wr"] == true {
                line.stream.shutdown().await?;
            } else if step["close"] == true {
                return Ok(());
            } else if step["reset"] == true {
                line.stream.set_zero_linger()?;
                return Ok(());
            }
        }
        let rest = line.got.get(from..).unwrap_or_default();
        let whole = messages(rest, Side::Requests, false);
        if whole.first().is_none_or(|first| !first.whole) || starts == "connect" {
            while !line.read().await {}
            return Ok(());
        }
        from += first_length(rest);
    }
}
