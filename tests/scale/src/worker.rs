//! A process of this same program that holds sockets, so that no process needs more files than it may open: the users
//! of a proxy, or the service behind frpc. It ends when its standard input does.

#![expect(clippy::print_stdout, reason = "the answers of a worker")]

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::service::Service;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

const FLAG: &str = "--worker";
/// Users that connect at one time.
const AT_ONCE: usize = 64;
/// The longest that one user may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a user asks, and gets back.
const REQUEST: &[u8; 64] = &[0x71; 64];

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// For each line opens a port, prints it, and echoes there.
    Service,
    /// For each line `PORT COUNT` opens that many connections, makes a request on each and keeps them; then prints
    /// how many were answered.
    Users,
}

impl Role {
    /// The role of a process that was started with `words`, if it is a worker.
    pub(crate) fn of(words: &[String]) -> Option<Self> {
        match words {
            [flag, role] if flag == FLAG => match role.as_str() {
                "service" => Some(Self::Service),
                "users" => Some(Self::Users),
                _ => None,
            },
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Users => "users",
        }
    }

    /// Does it until the standard input ends.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub(crate) async fn run(self) -> Result<()> {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        match self {
            Self::Service => {
                let mut services = Vec::new();
                while lines.next_line().await?.is_some() {
                    let service = Service::echo().await?;
                    println!("{}", service.port());
                    services.push(service);
                }
                Ok(())
            }
            Self::Users => users(&mut lines).await,
        }
    }
}

async fn users(lines: &mut Lines<BufReader<tokio::io::Stdin>>) -> Result<()> {
    let mut held = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let (port, count) = line.split_once(' ').context("PORT COUNT")?;
        let (port, count): (u16, usize) = (port.parse()?, count.parse()?);
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut opening = JoinSet::new();
        for _ in 0..count {
            let turn = Arc::clone(&gate).acquire_owned().await?;
            opening.spawn(async move {
                let _turn = turn;
                timeout(PATIENCE, user(port)).await?
            });
        }
        let opened = opening.join_all().await;
        let answered = opened.iter().filter(|opened| opened.is_ok()).count();
        for error in opened.iter().filter_map(|opened| opened.as_ref().err()).take(3) {
            crate::table::complain(&format!("{error:#}"));
        }
        held.extend(opened.into_iter().flatten());
        println!("{answered}");
    }
    Ok(())
}

/// A connection that made its request.
///
/// # Errors
/// It was not answered.
pub(crate) async fn user(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.context("connect")?;
    stream.write_all(REQUEST).await.context("write")?;
    let mut answer = [0; REQUEST.len()];
    stream.read_exact(&mut answer).await.context("read")?;
    ensure!(&answer == REQUEST, "the echo differs");
    Ok(stream)
}

/// A running worker, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts this program in another role.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(role: Role) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([FLAG, role.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { _child: child, input, output })
    }

    /// A further port of a service.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn service(&mut self) -> Result<u16> {
        Ok(u16::try_from(self.ask("").await?)?)
    }

    async fn ask(&mut self, line: &str) -> Result<usize> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        let line = self.output.next_line().await?.context("the worker has ended")?;
        Ok(line.trim().parse()?)
    }

    /// Has it open `count` connections to `port`; says how many were answered.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) async fn open(&mut self, port: u16, count: usize) -> Result<usize> {
        self.ask(&format!("{port} {count}")).await
    }
}
