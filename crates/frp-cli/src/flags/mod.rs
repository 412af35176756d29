//! The flags of all commands, each one block in a table: name, default, help, and what it sets.
//!
//! Names, shorthands, types and defaults are upstream's (`pkg/config/flags.go`, `cmd/frps/root.go`,
//! `cmd/frpc/sub/*.go`).

pub(crate) mod admin;
pub(crate) mod common;
pub(crate) mod proxy;
pub(crate) mod root;
pub(crate) mod server;
pub(crate) mod visitor;

use crate::go;
use frp_config::value::{BandwidthLimit, PortsRange, ports};
use std::collections::BTreeMap;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A truth value that stands behind `=` or not at all.
    Bool,
    /// A value that is required and ignored. Upstream's `--dashboard-tls-mode` is like that.
    Ignored,
    Number,
    Text,
    /// Comma separated, repeatable.
    List,
    /// `key=value` items, repeatable.
    Pairs,
    /// Go's form of durations.
    Duration,
    /// Port numbers and ranges.
    Ports,
    /// A number of `KB` or `MB`.
    Bandwidth,
}

impl Kind {
    /// The word for the type in a help text, where it has one.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Bool | Self::Ignored => "",
            Self::Number => "int",
            Self::Text | Self::Ports | Self::Bandwidth => "string",
            Self::List => "strings",
            Self::Pairs => "stringToString",
            Self::Duration => "duration",
        }
    }

    /// Whether the flag can stand alone.
    pub(crate) fn stands_alone(self) -> bool {
        self == Self::Bool
    }

    /// Whether values of repeated flags add up; else the last one counts.
    pub(crate) fn adds_up(self) -> bool {
        matches!(self, Self::List | Self::Pairs)
    }

    /// Reads a value. The error is what stands behind the colon of `invalid argument`.
    pub(crate) fn parse(self, word: &str) -> Result<Value, String> {
        Ok(match self {
            Self::Bool => Value::Bool(go::parse_bool(word)?),
            Self::Ignored => Value::Bool(false),
            Self::Number => Value::Number(go::parse_int(word)?),
            Self::Text => Value::Text(word.to_owned()),
            Self::List if word.is_empty() => Value::List(Vec::new()),
            Self::List => Value::List(go::read_record(word)?),
            Self::Pairs => Value::Pairs(parse_pairs(word)?),
            Self::Duration => Value::Number(go::parse_duration(word)?),
            Self::Ports => Value::Ports(ports::parse_list(word).map_err(|error| error.to_string())?),
            Self::Bandwidth => {
                Value::Bandwidth(BandwidthLimit::parse(word).map_err(|error| error.to_string())?)
            }
        })
    }
}

/// A word with exactly one `=` is one item, whatever commas it has; only with more of them is it a list.
fn parse_pairs(word: &str) -> Result<Vec<(String, String)>, String> {
    let refuse = |item: &str| format!("{item} must be formatted as key=value");
    let items = match word.matches('=').count() {
        0 => return Err(refuse(word)),
        1 => vec![word.trim_matches('"').to_owned()],
        _ => go::read_record(word)?,
    };
    items
        .iter()
        .map(|item| {
            let (key, value) = item.split_once('=').ok_or_else(|| refuse(item))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// A value of a flag.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
    Ports(Vec<PortsRange>),
    Bandwidth(BandwidthLimit),
}

/// What a flag does to the settings `T`; the variant says what it takes.
pub(crate) enum Set<T> {
    Bool(fn(&mut T, bool)),
    Ignored,
    Number(fn(&mut T, i64)),
    Text(fn(&mut T, String)),
    List(fn(&mut T, Vec<String>)),
    Pairs(fn(&mut T, BTreeMap<String, String>)),
    Duration(fn(&mut T, i64)),
    Ports(fn(&mut T, Vec<PortsRange>)),
    Bandwidth(fn(&mut T, BandwidthLimit)),
}

/// A flag and what it sets.
pub(crate) struct Flag<T> {
    /// Long name, with dashes.
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    /// As it would be typed; empty for the zero value of the type.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) set: Set<T>,
}

impl<T> Flag<T> {
    pub(crate) fn spec(&self) -> Spec {
        let kind = match self.set {
            Set::Bool(_) => Kind::Bool,
            Set::Ignored => Kind::Ignored,
            Set::Number(_) => Kind::Number,
            Set::Text(_) => Kind::Text,
            Set::List(_) => Kind::List,
            Set::Pairs(_) => Kind::Pairs,
            Set::Duration(_) => Kind::Duration,
            Set::Ports(_) => Kind::Ports,
            Set::Bandwidth(_) => Kind::Bandwidth,
        };
        Spec { name: self.name, short: self.short, kind, default: self.default, help: self.help }
    }

    /// Sets the default, then what was typed, in the order of typing.
    pub(crate) fn apply(&self, target: &mut T, typed: Vec<Value>) {
        let spec = self.spec();
        let mut values = typed;
        if values.is_empty() && !spec.default.is_empty() {
            values.extend(spec.kind.parse(spec.default));
        }
        if spec.kind.adds_up() {
            self.apply_sum(target, values);
        } else if let Some(value) = values.pop() {
            self.apply_one(target, value);
        }
    }

    fn apply_sum(&self, target: &mut T, values: Vec<Value>) {
        let (mut list, mut pairs) = (Vec::new(), BTreeMap::new());
        for value in values {
            match value {
                Value::List(items) => list.extend(items),
                Value::Pairs(items) => pairs.extend(items),
                Value::Bool(_)
                | Value::Number(_)
                | Value::Text(_)
                | Value::Ports(_)
                | Value::Bandwidth(_) => {}
            }
        }
        match self.set {
            Set::List(set) => set(target, list),
            Set::Pairs(set) => set(target, pairs),
            Set::Bool(_)
            | Set::Ignored
            | Set::Number(_)
            | Set::Text(_)
            | Set::Duration(_)
            | Set::Ports(_)
            | Set::Bandwidth(_) => {}
        }
    }

    fn apply_one(&self, target: &mut T, value: Value) {
        match (&self.set, value) {
            (Set::Bool(set), Value::Bool(value)) => set(target, value),
            (Set::Number(set) | Set::Duration(set), Value::Number(value)) => set(target, value),
            (Set::Text(set), Value::Text(value)) => set(target, value),
            (Set::Ports(set), Value::Ports(value)) => set(target, value),
            (Set::Bandwidth(set), Value::Bandwidth(value)) => set(target, value),
            // The kind that parsed the value comes from the same `set`.
            _ => {}
        }
    }
}

/// What parsing and help need to know of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

impl Spec {
    /// As error texts name it: `-p, --bind-port`.
    pub(crate) fn label(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

pub(crate) fn specs<T>(table: &[Flag<T>]) -> impl Iterator<Item = Spec> + '_ {
    table.iter().map(Flag::spec)
}
