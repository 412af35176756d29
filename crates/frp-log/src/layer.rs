//! The `tracing` layer: which events become lines, and what stands in them.

use crate::clock::Clock;
use crate::flood::{FloodLimit, Suppressed, Verdict};
use crate::layout;
use crate::options::Level;
use crate::prefix::{Message, Prefixes, has_prefix};
use crate::queue::{Entry, Queue};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub(crate) struct LineLayer {
    pub(crate) level: Arc<AtomicU8>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) flood: Arc<FloodLimit>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl LineLayer {
    fn level(&self) -> Level {
        Level::from_number(self.level.load(Ordering::Relaxed))
    }

    /// Spans only matter for their prefixes, and matter at every level. Events of other crates (TLS, name resolution)
    /// appear from warn on: below that they talk of things an frp user cannot know, and may quote what is secret.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("frp");
        if metadata.is_span() {
            return ours && has_prefix(metadata);
        }
        let least = if ours { self.level() } else { self.level().max(Level::Warn) };
        Level::of(*metadata.level()) >= least
    }

    fn push(&self, now: DateTime<Utc>, metadata: &Metadata<'_>, text: impl FnOnce(&mut String)) {
        let level = Level::of(*metadata.level());
        let caller = (metadata.file().unwrap_or("???"), metadata.line().unwrap_or(0));
        let mut line = String::with_capacity(160);
        layout::header(&mut line, self.clock.local(now), level, caller);
        text(&mut line);
        line.push('\n');
        self.queue.push(Entry::Line(level, line));
    }

    fn tell(&self, now: DateTime<Utc>, suppressed: &Suppressed) {
        self.push(now, suppressed.metadata, |line| line.push_str(&suppressed.text()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level() {
            Level::Trace => LevelFilter::TRACE,
            Level::Debug => LevelFilter::DEBUG,
            // Not less than info, for the sake of the spans.
            Level::Info | Level::Warn | Level::Error => LevelFilter::INFO,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut prefixes = Prefixes::default();
            attributes.record(&mut prefixes);
            span.extensions_mut().insert(prefixes);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(prefixes) = span.extensions_mut().get_mut::<Prefixes>()
        {
            values.record(prefixes);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let now = self.clock.now();
        match self.flood.check(metadata, now) {
            Verdict::Suppress { first } => {
                if first {
                    self.queue.nudge();
                }
                return;
            }
            Verdict::Pass(None) => {}
            Verdict::Pass(Some(suppressed)) => self.tell(now, &suppressed),
        }
        let mut message = Message::default();
        event.record(&mut message);
        self.push(now, metadata, |line| {
            for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
                if let Some(prefixes) = span.extensions().get::<Prefixes>() {
                    prefixes.append_to(line);
                }
            }
            message.append_to(line);
        });
    }
}
