//! The request to stop, from a terminal or a service manager.

use std::io;

/// Listens for SIGINT and SIGTERM (Ctrl-C elsewhere) from the moment it is made, so that a signal that comes
/// before the first [`Shutdown::requested`] is not lost and does not kill the process.
#[derive(Debug)]
pub struct Shutdown {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Shutdown {
    /// Installs the handlers. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn new() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }
        #[cfg(windows)]
        {
            Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
        }
    }

    /// Waits for the next request to stop. May be dropped and called again without losing one.
    pub async fn requested(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(windows)]
        {
            self.interrupt.recv().await;
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_signals_are_heard_and_survived() {
        let mut shutdown = Shutdown::new().unwrap();
        for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
            shutdown.requested().await;
        }
    }
}
