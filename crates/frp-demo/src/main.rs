//! Shows `frps` and `frpc` at work: both run from the samples in `conf/`, a small web service runs beside frpc, and
//! one request goes through the server's public port. Then everything stays up for a browser until Ctrl-C, or, with
//! `--once`, ends after that first answer.
//!
//! The programs are those beside this one (`target/release`); nothing else is needed.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a demonstration talks to the person who started it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Where `conf/frpc.ini` expects the service that it publishes.
const LOCAL_SERVICE: &str = "127.0.0.1:8080";
/// Where `conf/frps.ini` has frps listen.
const SERVER: &str = "127.0.0.1:7000";
/// Where `conf/frpc.ini` has frps publish it.
const PUBLIC: &str = "127.0.0.1:6000";
/// How long the tunnel may take to stand.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one attempt to get an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let once = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--once") => true,
        Some(_) => bail!("usage: frp-demo [--once]"),
    };
    let service =
        TcpListener::bind(LOCAL_SERVICE).await.with_context(|| format!("listen on {LOCAL_SERVICE}"))?;
    println!("A small web service listens on {LOCAL_SERVICE}: it stands for what runs on your LAN.\n");
    tokio::select! {
        result = show(once) => result,
        result = serve(&service) => result,
        result = tokio::signal::ctrl_c() => {
            println!("\nStopped.");
            result.context("wait for Ctrl-C")
        }
    }
}

/// Starts both programs, makes one request, and then waits unless `once`.
async fn show(once: bool) -> Result<()> {
    let mut server = start("frps", "conf/frps.ini")?;
    // A client whose first login fails gives up, as that is mostly a mistake in its file.
    tokio::select! {
        listening = wait_for(SERVER) => listening?,
        status = server.wait() => bail!("frps ended early: {}", status?),
    }
    let mut client = start("frpc", "conf/frpc.ini")?;
    let answer = tokio::select! {
        answer = first_answer() => answer?,
        status = server.wait() => bail!("frps ended early: {}", status?),
        status = client.wait() => bail!("frpc ended early: {}", status?),
    };
    println!("\nGET http://{PUBLIC}/ through frps and frpc was answered:\n");
    for line in answer.lines() {
        println!("    {line}");
    }
    if once {
        return Ok(());
    }
    println!("\nOpen http://{PUBLIC}/ in a browser, or: curl http://{PUBLIC}/\nCtrl-C ends everything.");
    tokio::select! {
        status = server.wait() => bail!("frps ended: {}", status?),
        status = client.wait() => bail!("frpc ended: {}", status?),
    }
}

/// Starts one of the two programs; it is killed when the handle is dropped.
fn start(program: &str, config: &str) -> Result<Child> {
    let path = beside_this_program(program)?;
    println!("$ {program} -c {config}");
    Command::new(&path)
        .args(["-c", config])
        .env_remove("http_proxy")
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", path.display()))
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("find this program")?;
    Ok(this.parent().unwrap_or_else(|| Path::new(".")).join(name))
}

/// Waits until somebody listens at `address`.
async fn wait_for(address: &str) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(address).await.is_err() {
        if Instant::now() > deadline {
            bail!("nobody listens at {address} after {START_TIMEOUT:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Asks through the public port until the tunnel stands.
async fn first_answer() -> Result<String> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match timeout(ANSWER_TIMEOUT, request()).await {
            Ok(Ok(answer)) if !answer.is_empty() => return Ok(answer),
            _ if Instant::now() > deadline => bail!("no answer from {PUBLIC} within {START_TIMEOUT:?}"),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn request() -> Result<String> {
    let mut user = TcpStream::connect(PUBLIC).await?;
    user.write_all(format!("GET / HTTP/1.1\r\nHost: {PUBLIC}\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    user.take(64 << 10).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The web service: the same page for every request.
async fn serve(listener: &TcpListener) -> Result<()> {
    let mut visits = 0_u64;
    loop {
        let (mut user, _) = listener.accept().await.context("accept")?;
        visits += 1;
        // One at a time is enough here, and a silent visitor is given up soon.
        let _ = timeout(Duration::from_secs(2), answer(&mut user, visits)).await;
    }
}

async fn answer(user: &mut TcpStream, visits: u64) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        head.push(user.read_u8().await?);
    }
    let page = format!("<h1>It works</h1><p>This page came through frps and frpc. Visit {visits}.</p>\n");
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    );
    user.write_all(answer.as_bytes()).await?;
    user.shutdown().await
}
