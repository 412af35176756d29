//! The log lines of a test: level, prefixes as the programs print them, and the message.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Captures what this test logs: each test runs on one thread of its own.
pub(crate) struct Log {
    lines: Arc<Lines>,
    seen: usize,
    _default: DefaultGuard,
}

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    added: Notify,
}

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = Arc::new(Lines::default());
        let subscriber = Registry::default().with(Capture(Arc::clone(&lines)));
        Self { lines, seen: 0, _default: set_default(subscriber) }
    }

    /// Waits for the next line that ends so.
    pub(crate) async fn line(&mut self, end: &str) {
        let wait = async {
            loop {
                let added = self.lines.added.notified();
                if let Some(at) = self.all().iter().skip(self.seen).position(|line| line.ends_with(end)) {
                    return self.seen + at + 1;
                }
                added.await;
            }
        };
        let found = tokio::time::timeout(super::PATIENCE, wait).await;
        self.seen = found.unwrap_or_else(|_| panic!("no line [{end}] in {:#?}", self.all()));
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.all().iter().any(|line| line.contains(text))
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lines.lock().unwrap().clone()
    }
}

struct Capture(Arc<Lines>);

/// What a span adds to the lines inside it.
struct Prefix(String);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "run_id" | "proxy" | "visitor" => write!(self.0, "[{value:?}] ").unwrap(),
            "message" => write!(self.0, "{value:?}").unwrap(),
            _ => {}
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields(String::new());
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(Prefix(fields.0));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !event.metadata().target().starts_with("frp") {
            return;
        }
        let mut line = Fields(format!("{} ", event.metadata().level()));
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            line.0.push_str(span.extensions().get::<Prefix>().map_or("", |prefix| &prefix.0));
        }
        event.record(&mut line);
        self.0.lines.lock().unwrap().push(line.0);
        self.0.added.notify_waiters();
    }
}
