//! The pieces put together, and the one logger of the process.

use crate::clock::{Clock, SystemClock};
use crate::file::LogFile;
use crate::flood::FloodLimit;
use crate::layer::LineLayer;
use crate::options::LogOptions;
use crate::queue::{Entry, Queue};
use crate::writer::{Target, Writer};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;

/// How long the end of the process waits, at most, for lines that are not written yet. Programs that are told to stop
/// have a second for everything.
pub const DRAIN_TIMEOUT: Duration = Duration::from_millis(150);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The writer thread could not be started.
    #[error("failed to start the log writer: {0}")]
    Thread(#[source] io::Error),
    /// Another `tracing` subscriber has been made the process's own.
    #[error("another logger has been installed")]
    Taken,
}

/// A logger with its writer thread. Dropping it ends the thread after what is queued; nobody waits for that.
pub(crate) struct Logger {
    level: Arc<AtomicU8>,
    queue: Arc<Queue>,
    flood: Arc<FloodLimit>,
    clock: Arc<dyn Clock>,
}

impl Logger {
    pub(crate) fn start(clock: Arc<dyn Clock>, console: Box<dyn Write + Send>) -> io::Result<Self> {
        let logger = Self {
            level: Arc::new(AtomicU8::new(LogOptions::default().level as u8)),
            queue: Arc::default(),
            flood: Arc::default(),
            clock,
        };
        let writer = Writer::new(
            Arc::clone(&logger.queue),
            Arc::clone(&logger.flood),
            Arc::clone(&logger.clock),
            console,
        );
        std::thread::Builder::new().name("log writer".to_owned()).spawn(move || writer.run())?;
        Ok(logger)
    }

    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        tracing_subscriber::registry().with(LineLayer {
            level: Arc::clone(&self.level),
            queue: Arc::clone(&self.queue),
            flood: Arc::clone(&self.flood),
            clock: Arc::clone(&self.clock),
        })
    }

    /// From here on lines go where `options` say; those logged before still go to the old target.
    pub(crate) fn apply(&self, options: &LogOptions) {
        let target = if options.to == "console" {
            Target::Console { colour: !options.disable_print_color }
        } else {
            Target::File(LogFile::new(&options.to, options.max_days, self.clock.now()))
        };
        self.queue.push(Entry::Target(target));
        self.level.store(options.level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    pub(crate) fn print(&self, text: &str) {
        self.queue.push(Entry::Print(text.to_owned()));
    }

    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(timeout)
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.queue.close();
    }
}

static LOGGER: OnceLock<Logger> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// Guards that exist.
static GUARDS: AtomicUsize = AtomicUsize::new(0);

/// Writes out what is queued when the last guard is dropped, within [`DRAIN_TIMEOUT`]. `main` holds it until the end;
/// the log works on after that.
#[derive(Debug)]
#[must_use = "dropping the guard is what writes the last lines"]
pub struct LogGuard(());

impl LogGuard {
    fn new() -> Self {
        GUARDS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if GUARDS.fetch_sub(1, Ordering::Relaxed) == 1 {
            flush(DRAIN_TIMEOUT);
        }
    }
}

/// Makes the log of the process what `options` say. It may be called again at any time, then the new options hold for
/// all lines from then on (frpc's `--config_dir`: the last one wins). From the first call on, panics are log lines too.
///
/// # Errors
///
/// [`InitError`] at the first call only. A log file that cannot be opened is no error.
pub fn init(options: &LogOptions) -> Result<LogGuard, InitError> {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(logger) = LOGGER.get() {
        logger.apply(options);
        return Ok(LogGuard::new());
    }
    let logger = Logger::start(Arc::new(SystemClock), stdout()).map_err(InitError::Thread)?;
    tracing::subscriber::set_global_default(logger.subscriber()).map_err(|_| InitError::Taken)?;
    logger.apply(options);
    crate::panics::log();
    // Nobody else sets it: `STARTING` is held.
    let _ = LOGGER.set(logger);
    Ok(LogGuard::new())
}

/// Prints text to stdout as it is, in order with the log lines, and without ever blocking on a stalled stdout once
/// [`init`] was called. For what the original prints without the log: warnings at the start and the error at the end.
pub fn print(text: &str) {
    match LOGGER.get() {
        Some(logger) => logger.print(text),
        None => {
            // A closed stdout is nobody's error.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        }
    }
}

/// Waits until everything logged and printed so far is written, at most for `timeout`; false if it is not.
pub fn flush(timeout: Duration) -> bool {
    LOGGER.get().is_none_or(|logger| logger.flush(timeout))
}

/// Stdout without the buffer and, above all, without the lock of [`io::Stdout`]: a writer stuck in a full pipe must
/// not hold what others, or the end of the process, wait for.
#[cfg(unix)]
fn stdout() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd;
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(std::fs::File::from(descriptor)),
        Err(_) => Box::new(io::stdout()),
    }
}

#[cfg(not(unix))]
fn stdout() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

#[cfg(test)]
mod tests;
