//! A running program with its output.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::within;

/// A child process; it is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    readers: JoinSet<()>,
}

impl Process {
    /// Starts `executable` with `arguments` in `folder`, without the proxy settings of the environment.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(executable: &Path, arguments: &[&str], folder: &Path) -> Result<Self> {
        Self::start_in(executable, arguments, folder, &[])
    }

    /// As [`Self::start`], with further variables in its environment.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(
        executable: &Path,
        arguments: &[&str],
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = Command::new(executable)
            .args(arguments)
            .current_dir(folder)
            .env_remove("http_proxy")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", executable.display()))?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let (count, lines) = watch::channel(0);
        let count = Arc::new(count);
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(collect(stdout, Arc::clone(&output), Arc::clone(&count)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(collect(stderr, Arc::clone(&output), count));
        }
        Ok(Self { name, child, output, lines, readers })
    }

    /// All lines so far, standard output and error together.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines so far contain `text`.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.output().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line that contains `text` and gives it back.
    ///
    /// # Errors
    /// No such line came in time, or the output ended without it.
    pub async fn line(&mut self, text: &str) -> Result<String> {
        self.lines(text, 1).await
    }

    /// Waits for the `count`-th line that contains `text`.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub async fn lines(&mut self, text: &str, count: usize) -> Result<String> {
        let mut seen = self.lines.clone();
        let wait = async {
            loop {
                seen.borrow_and_update();
                if let Some(line) = self.output().iter().filter(|line| line.contains(text)).nth(count - 1) {
                    return Some(line.clone());
                }
                if seen.changed().await.is_err() {
                    return None;
                }
            }
        };
        match within(&format!("{text:?} from {}", self.name), wait).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => {
                bail!("{} ended without {text:?}; its output:\n{}", self.name, self.output().join("\n"))
            }
            Err(error) => bail!("{error}; output of {}:\n{}", self.name, self.output().join("\n")),
        }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("the process has ended")?, signal).context("send a signal")
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It did not end in time.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let status = within(&format!("the end of {}", self.name), self.child.wait()).await??;
        // The pipes outlive the process by a moment.
        while self.readers.join_next().await.is_some() {}
        Ok(status)
    }

    /// Kills the process outright, as a crash would.
    ///
    /// # Errors
    /// It did not end in time.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.start_kill().context("kill")?;
        self.wait().await.map(drop)
    }
}

async fn collect(
    pipe: impl AsyncRead + Unpin,
    output: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        output.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        count.send_modify(|count| *count += 1);
    }
}
