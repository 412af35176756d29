//! Go's `fmt` for the values of a template.

mod number;
mod printf;

use crate::FunctionSet;
use crate::quote::{quote, quote_with, runes};
use crate::value::Value;

/// The flags between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v`: names of fields.
    plus_v: bool,
    /// `%#v`: as Go source.
    sharp_v: bool,
}

/// Collects formatted text up to a limit.
pub(crate) struct Printer {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
    functions: FunctionSet,
    flags: Flags,
}

/// More text than the limit allows.
#[derive(Debug)]
pub(crate) struct TooLong;

impl Printer {
    /// A printer for at most `limit` bytes.
    pub(crate) fn new(limit: usize, functions: FunctionSet) -> Self {
        Self { bytes: Vec::new(), limit, full: false, functions, flags: Flags::default() }
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>, TooLong> {
        if self.full { Err(TooLong) } else { Ok(self.bytes) }
    }

    /// Go's `Sprint`: blanks only between two operands that are both no texts. With `dereference`,
    /// operands are shown as the results of actions.
    pub(crate) fn print(&mut self, values: &[Value<'_>], dereference: bool) {
        let mut after_text = true;
        for value in values {
            let is_text = match value {
                Value::Text(_) => true,
                Value::Nothing => dereference,
                _ => false,
            };
            if !is_text && !after_text {
                self.push(b" ");
            }
            after_text = is_text;
            if dereference {
                self.dereferenced(value);
            } else {
                self.value(value, 'v', 0);
            }
        }
    }

    /// Go's `Sprintln`: blanks between all operands and a newline behind them.
    pub(crate) fn println(&mut self, values: &[Value<'_>]) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.push(b" ");
            }
            self.value(value, 'v', 0);
        }
        self.push(b"\n");
    }

    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            self.full = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Writes `text` in the width of the flags; `zero` fills up with zeros.
    fn pad(&mut self, text: &[u8], zero: bool) {
        let length = runes(text).count();
        let missing = self.flags.width.unwrap_or(0).saturating_sub(length);
        if self.flags.minus {
            self.push(text);
            self.push(&vec![b' '; missing]);
        } else {
            self.push(&vec![if zero { b'0' } else { b' ' }; missing]);
            self.push(text);
        }
    }

    /// One value. `depth` is 0 for an argument itself and more inside a list, map or structure.
    fn value(&mut self, value: &Value<'_>, verb: char, depth: usize) {
        if self.full {
            return;
        }
        match value {
            Value::Nothing if verb == 'v' => self.pad(b"<nil>", self.flags.zero),
            Value::Nothing => self.bad_verb(value, verb),
            Value::Bool(truth) => match verb {
                't' | 'v' => self.pad(if *truth { b"true" } else { b"false" }, self.flags.zero),
                _ => self.bad_verb(value, verb),
            },
            Value::Int(number) | Value::Int64(number) => {
                self.integer(value, number.unsigned_abs(), *number < 0, verb);
            }
            Value::Uint8(number) if self.flags.sharp_v && verb == 'v' => {
                self.push(format!("0x{number:x}").as_bytes());
            }
            Value::Uint8(number) => self.integer(value, u64::from(*number), false, verb),
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(real, imaginary) => self.complex(value, *real, *imaginary, verb),
            Value::Text(text) => self.text(value, text, verb),
            Value::Root(values) => {
                if depth > 0 {
                    return self.bad_verb(value, verb);
                }
                self.push(b"&");
                self.structure(value, &[("Envs", Value::Environment(&values.envs))], verb, depth);
            }
            Value::Environment(map) => self.map(map, verb, depth),
            Value::Numbers(list) => {
                self.list(value, list.items().iter().map(|number| Value::Int64(*number)), verb, depth);
            }
            Value::Pairs(list) => {
                self.list(value, list.items().iter().map(|pair| Value::Pair(*pair)), verb, depth);
            }
            Value::Pair((first, second)) => {
                let fields = [("First", Value::Int64(*first)), ("Second", Value::Int64(*second))];
                self.structure(value, &fields, verb, depth);
            }
        }
    }

    /// The value that a pointer points to, as the result of an action shows it.
    pub(crate) fn dereferenced(&mut self, value: &Value<'_>) {
        match value {
            Value::Nothing => self.push(b"<no value>"),
            Value::Root(values) => {
                self.structure(value, &[("Envs", Value::Environment(&values.envs))], 'v', 0);
            }
            _ => self.value(value, 'v', 0),
        }
    }

    fn list<'v>(
        &mut self,
        list: &Value<'_>,
        items: impl Iterator<Item = Value<'v>>,
        verb: char,
        depth: usize,
    ) {
        let source = self.flags.sharp_v;
        if source {
            self.push(list.type_name(self.functions).as_bytes());
        }
        self.push(if source { b"{" } else { b"[" });
        for (index, item) in items.enumerate() {
            if self.full {
                return;
            }
            if index > 0 {
                self.push(if source { b", " } else { b" " });
            }
            self.value(&item, verb, depth + 1);
        }
        self.push(if source { b"}" } else { b"]" });
    }

    fn map(&mut self, map: &std::collections::BTreeMap<String, String>, verb: char, depth: usize) {
        let source = self.flags.sharp_v;
        self.push(if source { b"map[string]string{" } else { b"map[" });
        for (index, (name, value)) in map.iter().enumerate() {
            if index > 0 {
                self.push(if source { b", " } else { b" " });
            }
            self.value(&Value::text(name), verb, depth + 1);
            self.push(b":");
            self.value(&Value::text(value), verb, depth + 1);
        }
        self.push(if source { b"}" } else { b"]" });
    }

    fn structure(&mut self, whole: &Value<'_>, fields: &[(&str, Value<'_>)], verb: char, depth: usize) {
        let source = self.flags.sharp_v;
        if source {
            self.push(whole.pointed_type_name(self.functions).as_bytes());
        }
        self.push(b"{");
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                self.push(if source { b", " } else { b" " });
            }
            if source || self.flags.plus_v {
                self.push(name.as_bytes());
                self.push(b":");
            }
            self.value(value, verb, depth + 1);
        }
        self.push(b"}");
    }

    fn text(&mut self, value: &Value<'_>, text: &[u8], verb: char) {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => {
                let text = self.truncated(text);
                self.pad(text, self.flags.zero);
            }
            'q' => self.quoted(text),
            'x' | 'X' => self.hexadecimal_text(text, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    /// As many characters as the precision allows.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else {
            return text;
        };
        let length: usize = runes(text).take(precision).map(|rune| rune.map_or(1, char::len_utf8)).sum();
        &text[..length]
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        let raw = self.flags.sharp || self.flags.sharp_v;
        let quoted = if raw && self.flags.sharp && can_backquote(text) {
            format!("`{}`", String::from_utf8_lossy(text))
        } else if self.flags.plus {
            quote_with(text, '"', true)
        } else {
            quote(text)
        };
        self.pad(quoted.as_bytes(), self.flags.zero);
    }

    /// Two digits for each byte; with `#` a prefix, with a blank as flag a blank between bytes.
    fn hexadecimal_text(&mut self, text: &[u8], verb: char) {
        let prefix = match (self.flags.sharp, verb) {
            (false, _) => "",
            (true, 'X') => "0X",
            (true, _) => "0x",
        };
        let text = &text[..self.flags.precision.unwrap_or(text.len()).min(text.len())];
        let mut digits = String::with_capacity(text.len() * 2);
        for (index, byte) in text.iter().enumerate() {
            if index > 0 && self.flags.space {
                digits.push(' ');
            }
            if index == 0 || self.flags.space {
                digits.push_str(prefix);
            }
            digits.push_str(&if verb == 'X' { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(digits.as_bytes(), self.flags.zero);
    }

    /// `%!d(string=x)`: the verb does not fit the value.
    fn bad_verb(&mut self, value: &Value<'_>, verb: char) {
        self.push(format!("%!{verb}(").as_bytes());
        self.push(value.type_name(self.functions).as_bytes());
        if !matches!(value, Value::Nothing) {
            self.push(b"=");
            self.value(value, 'v', 0);
        }
        self.push(b")");
    }
}

fn can_backquote(text: &[u8]) -> bool {
    runes(text).all(|rune| match rune {
        Ok(c) => c != '\u{feff}' && c != '`' && c != '\u{7f}' && (c >= ' ' || c == '\t'),
        Err(_) => false,
    })
}
