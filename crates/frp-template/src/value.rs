//! What a template computes with.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::{FunctionSet, Values};

/// A value. Integer types are kept apart because Go prints their names in errors.
#[derive(Clone)]
pub(crate) enum Value<'v> {
    /// No value: a missing map key, an absent argument, `nil`.
    Nothing,
    Bool(bool),
    Int(i64),
    Int64(i64),
    /// A byte of a text.
    Uint8(u8),
    Float(f64),
    Complex(f64, f64),
    /// A text; Go's may hold any bytes.
    Text(Rc<[u8]>),
    /// `.`
    Root(&'v Values),
    /// `.Envs`
    Environment(&'v BTreeMap<String, String>),
    /// The result of `parseNumberRange`.
    Numbers(Slice<i64>),
    /// The result of `parseNumberRangePair`.
    Pairs(Slice<(i64, i64)>),
    Pair((i64, i64)),
}

/// A part of a shared list.
#[derive(Clone)]
pub(crate) struct Slice<T> {
    items: Rc<[T]>,
    start: usize,
    end: usize,
}

impl<T> Slice<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { start: 0, end: items.len(), items: items.into() }
    }

    pub(crate) fn items(&self) -> &[T] {
        self.items.get(self.start..self.end).unwrap_or_default()
    }

    /// The items from `start` to before `end`, both within this slice.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        Self { items: Rc::clone(&self.items), start: self.start + start, end: self.start + end }
    }
}

impl Value<'_> {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().into())
    }

    /// What `if`, `and` and `not` make of it: whether it is not the zero of its type.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Uint8(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Environment(map) => !map.is_empty(),
            Self::Numbers(list) => !list.items().is_empty(),
            Self::Pairs(list) => !list.items().is_empty(),
            Self::Root(_) | Self::Pair(_) => true,
        }
    }

    /// Go's name of the type.
    pub(crate) fn type_name(&self, functions: FunctionSet) -> &'static str {
        match self {
            Self::Nothing => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint8(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Text(_) => "string",
            Self::Root(_) => match functions {
                FunctionSet::V1 => "*config.Values",
                FunctionSet::Legacy => "*legacy.Values",
            },
            Self::Environment(_) => "map[string]string",
            Self::Numbers(_) => "[]int64",
            Self::Pairs(_) => "[]config.NumberPair",
            Self::Pair(_) => "config.NumberPair",
        }
    }

    /// Go's name of the type of what a pointer points to, or of the value itself.
    pub(crate) fn pointed_type_name(&self, functions: FunctionSet) -> &'static str {
        self.type_name(functions).trim_start_matches('*')
    }
}
