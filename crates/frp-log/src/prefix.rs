//! Fields of spans and events as text.

use crate::layout::Escaped;
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};

/// Span fields that become prefixes, whatever the span is called.
const NAMES: [&str; 3] = ["run_id", "proxy", "visitor"];

/// Whether any field of this span is a prefix.
pub(crate) fn has_prefix(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.fields().iter().any(|field| NAMES.contains(&field.name()))
}

/// The prefixes of one span, in the order of its fields; at most one of each name.
#[derive(Default)]
pub(crate) struct Prefixes(Vec<(&'static str, String)>);

impl Prefixes {
    pub(crate) fn append_to(&self, line: &mut String) {
        for (_, value) in &self.0 {
            line.push('[');
            line.push_str(value);
            line.push_str("] ");
        }
    }
}

impl Visit for Prefixes {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let Some(&name) = NAMES.iter().find(|name| **name == field.name()) else { return };
        let mut text = String::new();
        let _ = write!(Escaped(&mut text), "{value:?}");
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = text,
            None => self.0.push((name, text)),
        }
    }
}

/// The message of an event, and its other fields as ` name=value` behind it.
#[derive(Default)]
pub(crate) struct Message {
    message: String,
    fields: String,
}

impl Message {
    pub(crate) fn append_to(&self, line: &mut String) {
        line.push_str(&self.message);
        line.push_str(if self.message.is_empty() { self.fields.trim_start() } else { &self.fields });
    }
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(Escaped(&mut self.message), "{value:?}");
        } else {
            let _ = write!(Escaped(&mut self.fields), " {}={value:?}", field.name());
        }
    }
}
