//! The thread that owns the outputs. It alone may wait for them.

use crate::clock::Clock;
use crate::file::{At, LogFile};
use crate::flood::{FloodLimit, Suppressed};
use crate::layout::{self, COLOUR_END};
use crate::options::Level;
use crate::queue::{Batch, Entry, Queue};
use chrono::{DateTime, Utc};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// Text that is handed to the system in one call, at most.
const CHUNK: usize = 64 * 1024;
/// How often the counts of lines left out are told while there are any.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait with a file target: waits do not notice when the system's clock is set.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The pause before the next try when stdout does not block and is full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Where lines go.
pub(crate) enum Target {
    Console { colour: bool },
    File(LogFile),
}

pub(crate) struct Writer {
    queue: Arc<Queue>,
    flood: Arc<FloodLimit>,
    clock: Arc<dyn Clock>,
    console: Box<dyn Write + Send>,
    target: Target,
    /// Text that is not handed over yet, for stdout or else for the file.
    pending: Vec<u8>,
    pending_for_console: bool,
    /// When the counts of lines left out are told next, if there are any.
    next_count: Option<DateTime<Utc>>,
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        flood: Arc<FloodLimit>,
        clock: Arc<dyn Clock>,
        console: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            queue,
            flood,
            clock,
            console,
            target: Target::Console { colour: true },
            pending: Vec::new(),
            pending_for_console: true,
            next_count: None,
        }
    }

    /// Until the queue is closed.
    pub(crate) fn run(mut self) {
        loop {
            let wait = self.wait();
            let Some(batch) = self.queue.take(wait) else { return };
            self.tick();
            self.write(batch);
        }
    }

    /// How long nothing needs to be done if nothing arrives.
    fn wait(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        let count = self.flood.is_pending().then(|| {
            let next = *self.next_count.get_or_insert(now + COUNT_INTERVAL);
            // A clock that was set back must not delay the count.
            (next - now).to_std().unwrap_or_default().min(COUNT_INTERVAL)
        });
        let check = match &self.target {
            Target::Console { .. } => None,
            Target::File(file) => Some(file.until_next_check(now).to_std().unwrap_or_default().min(MAX_WAIT)),
        };
        [count, check].into_iter().flatten().min()
    }

    fn tick(&mut self) {
        if let Target::File(file) = &mut self.target {
            let local = |at| self.clock.local(at);
            file.tick(At { now: self.clock.now(), local: &local });
        }
    }

    fn write(&mut self, mut batch: Batch) {
        if self.next_count.is_some_and(|next| next <= self.clock.now()) {
            self.tell_suppressed();
        }
        for entry in std::mem::take(&mut batch.entries) {
            match entry {
                Entry::Line(level, text) => self.line(level, &text),
                Entry::Print(text) => self.text(true, "", &text, ""),
                Entry::Target(target) => {
                    self.hand_over();
                    self.target = target;
                }
                Entry::Flush => self.tell_suppressed(),
            }
        }
        if batch.dropped > 0 {
            let text = format!("dropped {} log lines, the output does not keep up", batch.dropped);
            self.own_line(Level::Warn, (file!(), line!()), &text);
        }
        self.hand_over();
        self.queue.finish(&batch);
    }

    fn tell_suppressed(&mut self) {
        self.next_count = None;
        for suppressed in self.flood.take_pending() {
            let Suppressed { metadata, .. } = suppressed;
            let caller = (metadata.file().unwrap_or("???"), metadata.line().unwrap_or(0));
            self.own_line(Level::of(*metadata.level()), caller, &suppressed.text());
        }
    }

    fn own_line(&mut self, level: Level, caller: (&str, u32), text: &str) {
        let mut line = String::new();
        layout::header(&mut line, self.clock.local(self.clock.now()), level, caller);
        line.push_str(text);
        line.push('\n');
        self.line(level, &line);
    }

    fn line(&mut self, level: Level, text: &str) {
        match self.target {
            // The original's brush leaves lines of level trace alone, reset included.
            Target::Console { colour: true } if level != Level::Trace => {
                self.text(true, layout::colour_start(level), text, COLOUR_END);
            }
            Target::Console { .. } => self.text(true, "", text, ""),
            Target::File(_) => self.text(false, "", text, ""),
        }
    }

    fn text(&mut self, for_console: bool, before: &str, text: &str, after: &str) {
        if self.pending_for_console != for_console || self.pending.len() + text.len() > CHUNK {
            self.hand_over();
            self.pending_for_console = for_console;
        }
        for part in [before, text, after] {
            self.pending.extend_from_slice(part.as_bytes());
        }
    }

    fn hand_over(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        // Errors (a closed pipe, a full disk, a directory that cannot be made) cost the lines, nothing else.
        let _ = match &mut self.target {
            Target::File(file) if !self.pending_for_console => {
                let local = |at| self.clock.local(at);
                file.write(&self.pending, At { now: self.clock.now(), local: &local })
            }
            Target::File(_) | Target::Console { .. } => write_patiently(&mut self.console, &self.pending),
        };
        self.pending.clear();
        // One huge line must not keep its memory for ever.
        self.pending.shrink_to(CHUNK);
    }
}

/// Writes all, also to a stdout that someone has made non-blocking.
fn write_patiently(output: &mut dyn Write, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match output.write(text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => text = text.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::park_timeout(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    output.flush()
}
