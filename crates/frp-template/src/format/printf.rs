//! Go's `Sprintf`: the format text.

use super::{Flags, Printer};
use crate::value::Value;

/// Widths and precisions beyond this are errors, as in Go.
const MAX_SIZE: usize = 1_000_000;

/// Where a format is being read.
struct Reader<'f> {
    format: &'f [u8],
    position: usize,
    argument: usize,
    /// An explicit index (`%[2]d`) was used somewhere.
    reordered: bool,
    /// The indexes of the current verb made sense so far.
    good_index: bool,
}

impl Printer {
    pub(crate) fn printf(&mut self, format: &[u8], values: &[Value<'_>]) {
        let mut reader = Reader { format, position: 0, argument: 0, reordered: false, good_index: true };
        while let Some(length) = reader.rest().iter().position(|byte| *byte == b'%') {
            self.push(&reader.rest()[..length]);
            reader.position += length + 1;
            self.directive(&mut reader, values);
            if self.full {
                return;
            }
        }
        self.push(reader.rest());
        self.flags = Flags::default();
        if reader.reordered || reader.argument >= values.len() {
            return;
        }
        self.push(b"%!(EXTRA ");
        for (index, value) in values[reader.argument..].iter().enumerate() {
            if index > 0 {
                self.push(b", ");
            }
            self.push(value.type_name(self.functions).as_bytes());
            if !matches!(value, Value::Nothing) {
                self.push(b"=");
                self.value(value, 'v', 0);
            }
        }
        self.push(b")");
    }

    /// What follows a `%`.
    fn directive(&mut self, reader: &mut Reader<'_>, values: &[Value<'_>]) {
        reader.good_index = true;
        self.flags = Flags::default();
        while let Some(byte) = reader.peek() {
            match byte {
                b'#' => self.flags.sharp = true,
                b'0' => self.flags.zero = true,
                b'+' => self.flags.plus = true,
                b'-' => self.flags.minus = true,
                b' ' => self.flags.space = true,
                _ => break,
            }
            reader.position += 1;
        }
        let mut after_index = reader.index(values.len());
        after_index = self.width(reader, values, after_index);
        // A point at the very end is a verb.
        if reader.rest().len() > 1 && reader.take(b'.') {
            after_index = self.precision(reader, values, after_index);
        }
        if !after_index {
            reader.index(values.len());
        }
        let Some(verb) = reader.verb() else {
            self.push(b"%!(NOVERB)");
            return;
        };
        if verb == '%' {
            self.push(b"%");
        } else if !reader.good_index {
            self.push(format!("%!{verb}(BADINDEX)").as_bytes());
        } else if let Some(value) = values.get(reader.argument) {
            reader.argument += 1;
            self.verb(value, verb);
        } else {
            self.push(format!("%!{verb}(MISSING)").as_bytes());
        }
    }

    /// Whether an index stands before what follows.
    fn width(&mut self, reader: &mut Reader<'_>, values: &[Value<'_>], after_index: bool) -> bool {
        if reader.take(b'*') {
            let width = reader.size_argument(values);
            match width {
                None => self.push(b"%!(BADWIDTH)"),
                Some(width) if width < 0 => {
                    self.flags.minus = true;
                    self.flags.zero = false;
                }
                Some(_) => {}
            }
            self.flags.width = width.and_then(|width| usize::try_from(width.unsigned_abs()).ok());
            return false;
        }
        self.flags.width = reader.number();
        if after_index && self.flags.width.is_some() {
            reader.good_index = false;
        }
        after_index
    }

    fn precision(&mut self, reader: &mut Reader<'_>, values: &[Value<'_>], after_index: bool) -> bool {
        if after_index {
            reader.good_index = false;
        }
        let after_index = reader.index(values.len());
        if reader.take(b'*') {
            let precision = reader.size_argument(values).and_then(|size| usize::try_from(size).ok());
            if precision.is_none() {
                self.push(b"%!(BADPREC)");
            }
            self.flags.precision = precision;
            return false;
        }
        self.flags.precision = Some(reader.number().unwrap_or(0));
        after_index
    }

    fn verb(&mut self, value: &Value<'_>, verb: char) {
        match verb {
            'T' => {
                let name = value.type_name(self.functions);
                let name = match (self.flags.precision, value) {
                    (None, _) | (_, Value::Nothing) => name,
                    (Some(precision), _) => &name[..precision.min(name.len())],
                };
                self.pad(name.as_bytes(), self.flags.zero);
            }
            'p' => self.bad_verb(value, verb),
            'v' => {
                self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
                self.flags.plus_v = std::mem::take(&mut self.flags.plus);
                self.value(value, verb, 0);
            }
            _ => self.value(value, verb, 0),
        }
    }
}

impl<'f> Reader<'f> {
    fn rest(&self) -> &'f [u8] {
        self.format.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// A decimal number; one that is too large swallows the rest of the format.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let value = number.unwrap_or(0) * 10 + usize::from(digit - b'0');
            if value > MAX_SIZE {
                self.position = self.format.len();
                return None;
            }
            number = Some(value);
            self.position += 1;
        }
        number
    }

    /// An explicit argument index, `[2]`. True if one that makes sense was read.
    fn index(&mut self, count: usize) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let Some(length) = self.rest().iter().position(|byte| *byte == b']') else {
            self.good_index = false;
            self.position += 1;
            return false;
        };
        let close = self.position + length;
        self.position += 1;
        let number = self.number();
        let parsed = number.is_some() && self.position == close;
        self.position = close + 1;
        match number {
            Some(number) if parsed && (1..=count).contains(&number) => {
                self.argument = number - 1;
                true
            }
            _ => {
                self.good_index = false;
                parsed
            }
        }
    }

    /// The argument that a `*` takes as its size.
    fn size_argument(&mut self, values: &[Value<'_>]) -> Option<i64> {
        let value = values.get(self.argument)?;
        self.argument += 1;
        let size = match value {
            Value::Int(size) | Value::Int64(size) => *size,
            Value::Uint8(size) => i64::from(*size),
            _ => return None,
        };
        (size.unsigned_abs() <= MAX_SIZE as u64).then_some(size)
    }

    fn verb(&mut self) -> Option<char> {
        let rest = self.rest();
        let first = *rest.first()?;
        if first.is_ascii() {
            self.position += 1;
            return Some(char::from(first));
        }
        let Ok(c) = crate::quote::runes(rest).next()? else {
            self.position += 1;
            return Some(char::REPLACEMENT_CHARACTER);
        };
        self.position += c.len_utf8();
        Some(c)
    }
}
