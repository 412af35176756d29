//! `auth.tokenSource`: a value from a file or from a program's output (upstream
//! `pkg/config/v1/value_source.go`).

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::Token;

/// How long a program, or reading a file, may take. Upstream waits for ever; a program that hangs there hangs frp. Long enough for
/// one that asks a slow service, short enough that a service manager's start limit is not passed unnoticed.
pub const EXEC_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest value. A token that is longer is a mistake: somebody named the wrong file.
pub const MAX_VALUE: u64 = 1 << 20;

/// Where a value comes from. Checked by the configuration: no field that must be set is empty.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `type = "file"`.
    File {
        /// Relative to the working directory, as in upstream.
        path: PathBuf,
    },
    /// `type = "exec"`, which the command line must allow (`--allow-unsafe TokenSourceExec`).
    Exec {
        /// A path, or a name that is looked for in `PATH`. No shell sees it.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Added to our own environment; later entries win.
        env: Vec<(String, String)>,
    },
}

impl std::fmt::Debug for TokenSource {
    /// Arguments and environment may hold secrets: only their number is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path } => f.debug_struct("File").field("path", path).finish(),
            Self::Exec { command, args, env } => f
                .debug_struct("Exec")
                .field("command", command)
                .field("args", &args.len())
                .field("env", &env.len())
                .finish(),
        }
    }
}

/// A value that could not be fetched. The texts are upstream's; the caller puts the key in front:
/// `failed to resolve auth.tokenSource: `.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenSourceError {
    /// The file could not be read.
    #[error("failed to read file {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why, in Go's words.
        cause: String,
    },
    /// The program could not be run, or failed.
    #[error("failed to execute command {command}: {cause}")]
    Exec {
        /// The program.
        command: String,
        /// Why, in Go's words.
        cause: String,
    },
}

/// Fetches the value, without the white space around it.
///
/// A program gets no input, and its error output is discarded; it is killed when the returned future is dropped
/// or after [`EXEC_TIMEOUT`]. `prepare` sees the command before it starts: callers that raised the limit of
/// open files give the program the original one there.
///
/// # Errors
/// When the file cannot be read, the program cannot be run, ends with another status than 0 or takes too long,
/// or when the value is longer than [`MAX_VALUE`].
pub async fn resolve(
    source: &TokenSource,
    prepare: impl FnOnce(&mut Command),
) -> Result<Token, TokenSourceError> {
    match source {
        TokenSource::File { path } => {
            // A named pipe may never be written to.
            let read = timeout(EXEC_TIMEOUT, read_file(path)).await;
            read.unwrap_or_else(|_| Err(format!("no end after {} seconds", EXEC_TIMEOUT.as_secs())))
                .map_err(|cause| TokenSourceError::File { path: path.clone(), cause })
        }
        TokenSource::Exec { command, args, env } => {
            let failure = |cause| TokenSourceError::Exec { command: command.clone(), cause };
            let mut child = prepared_command(command).map_err(failure)?;
            child.args(args).envs(env.iter().map(|(name, value)| (name, value)));
            prepare(&mut child);
            match timeout(EXEC_TIMEOUT, output(command, child)).await {
                Ok(output) => output.map_err(failure),
                Err(_) => Err(failure(format!("no end after {} seconds", EXEC_TIMEOUT.as_secs()))),
            }
        }
    }
}

/// Files that are being read at one time, all told. A pipe that is never written to holds a thread as long as it likes,
/// whether anybody still waits for it or not.
static READING: Semaphore = Semaphore::const_new(READERS);
const READERS: usize = 4;

async fn read_file(path: &Path) -> Result<Token, String> {
    let place = READING.acquire().await.map_err(|e| e.to_string())?;
    let path = path.to_owned();
    let read = spawn_blocking(move || {
        let _place = place;
        let text = |call: &str, e: &io::Error| format!("{call} {}: {}", path.display(), os_error(e));
        let file = std::fs::File::open(&path).map_err(|e| text("open", &e))?;
        let mut value = Vec::new();
        let read = file.take(MAX_VALUE + 1).read_to_end(&mut value).and_then(|_| checked(&value));
        read.map_err(|e| text("read", &e))
    });
    read.await.map_err(|e| e.to_string())?
}

/// Runs the program to its end.
async fn output(command: &str, mut child: Command) -> Result<Token, String> {
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = tokio::process::Command::from(child)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("fork/exec {command}: {}", os_error(&e)))?;
    let value = match running.stdout.take() {
        Some(stdout) => read_value(stdout).await.map_err(|e| os_error(&e))?,
        None => Token::default(),
    };
    let status = running.wait().await.map_err(|e| os_error(&e))?;
    if status.success() { Ok(value) } else { Err(status_text(status)) }
}

async fn read_value(source: impl tokio::io::AsyncRead + Unpin) -> io::Result<Token> {
    let mut value = Vec::new();
    source.take(MAX_VALUE + 1).read_to_end(&mut value).await?;
    checked(&value)
}

fn checked(value: &[u8]) -> io::Result<Token> {
    if value.len() as u64 > MAX_VALUE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_VALUE} bytes")));
    }
    Ok(Token::from(trimmed(value).to_vec()))
}

/// Without Unicode white space at both ends, as Go's `strings.TrimSpace`; bytes that are no text lose the ASCII
/// kind only.
fn trimmed(value: &[u8]) -> &[u8] {
    std::str::from_utf8(value).map_or_else(|_| value.trim_ascii(), |text| text.trim().as_bytes())
}

/// Finds the program as Go's `exec.LookPath` does, in our own `PATH` even where the child's is another.
#[cfg(unix)]
fn prepared_command(name: &str) -> Result<Command, String> {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    if name.contains('/') {
        return Ok(Command::new(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A relative folder in PATH is passed over: what it finds depends on where we were started.
    let found = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).find_map(|folder| {
        let candidate = folder.join(name);
        let metadata = std::fs::metadata(&candidate).ok()?;
        (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(candidate)
    });
    let found = found.ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))?;
    let mut command = Command::new(found);
    command.arg0(name);
    Ok(command)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the other systems")]
fn prepared_command(name: &str) -> Result<Command, String> {
    Ok(Command::new(name))
}

/// As Go's `os.ProcessState` words it: `exit status 3`, `signal: killed`.
fn status_text(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            1 => "signal: hangup".to_owned(),
            2 => "signal: interrupt".to_owned(),
            6 => "signal: aborted".to_owned(),
            9 => "signal: killed".to_owned(),
            11 => "signal: segmentation fault".to_owned(),
            13 => "signal: broken pipe".to_owned(),
            15 => "signal: terminated".to_owned(),
            other => format!("signal: signal {other}"),
        };
    }
    status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"))
}

/// A system error as Go prints it: small first letter, no number.
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), letters.as_str()))
}

#[cfg(test)]
mod tests;
