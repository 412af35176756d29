//! The state of a walk, and what it refuses.

use crate::value::number;

/// What a walk refuses. Displays as Go's own text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A key that no table has.
    #[error("json: unknown field {}", number::quote(.0))]
    UnknownField(String),
    /// A value of the wrong type.
    #[error("{0}")]
    Type(TypeError),
    /// The text of a value's own decoder.
    #[error("{0}")]
    Value(String),
}

/// A value whose type does not fit its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeError {
    /// What was found, such as `string` or `number 1.5`.
    pub(crate) found: String,
    /// The innermost struct, if there was one.
    pub(crate) structure: &'static str,
    /// The path of keys from the decoded value to the field; empty for that value itself.
    pub(crate) path: String,
    /// The Go type that was wanted.
    pub(crate) wanted: String,
}

impl std::fmt::Display for TypeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { found, structure, path, wanted } = self;
        if structure.is_empty() && path.is_empty() {
            return write!(f, "json: cannot unmarshal {found} into Go value of type {wanted}");
        }
        write!(f, "json: cannot unmarshal {found} into Go struct field {structure}.{path} of type {wanted}")
    }
}

/// The state of one walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(super) strict: bool,
    pub(super) coerce: bool,
    pub(super) structure: &'static str,
    pub(super) path: Vec<&'static str>,
    pub(super) first: Option<DecodeError>,
}

impl Walk {
    /// A walk that refuses unknown keys if `strict`.
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// A walk that takes numbers and booleans for texts, as upstream does for lenient YAML of frps.
    pub(crate) fn coercing() -> Self {
        Self { coerce: true, ..Self::default() }
    }

    /// Remembers that `value` does not fit; the first refusal is the one that counts.
    pub(crate) fn type_error(&mut self, found: impl Into<String>, wanted: impl Into<String>) {
        let error = self.error_here(found.into(), wanted.into());
        self.keep(error);
    }

    /// A type error that ends the walk, for values with decoders of their own.
    pub(crate) fn error_here(&self, found: String, wanted: String) -> DecodeError {
        DecodeError::Type(TypeError { found, structure: self.structure, path: self.path.join("."), wanted })
    }

    /// An error of a value that was read by a walk of its own, with the place of that value put before it.
    pub(crate) fn locate(&self, error: DecodeError) -> DecodeError {
        let DecodeError::Type(TypeError { found, path, wanted, .. }) = error else { return error };
        let inner = (!path.is_empty()).then_some(path);
        let path = self.path.iter().map(|key| (*key).to_owned()).chain(inner).collect::<Vec<_>>().join(".");
        DecodeError::Type(TypeError { found, structure: self.structure, path, wanted })
    }

    /// Remembers an error, unless there is one already.
    pub(super) fn keep(&mut self, error: DecodeError) {
        self.first.get_or_insert(error);
    }

    /// The outcome of a walk that reached its end.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.first.map_or(Ok(()), Err)
    }
}
