//! The key tables of the model, and the walk of a value tree against them.
//!
//! Upstream decodes every format with Go's `encoding/json`, whose rules users meet: a key matches exactly or else by
//! case folding, `null` counts as missing, nothing is coerced, and the first unknown key or wrong type is what gets
//! reported, unless a value with a decoder of its own refuses, which ends the walk at once. All of that is here; the
//! tables themselves are declared with [`table!`] beside the structs they fill.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::raw::Value;
use crate::value::number;
use crate::value::{BandwidthLimit, Pairs, Secret};

/// Declares a struct together with its key table.
///
/// `.. { name: Type, }` embeds other tables, whose keys stand on the same level; the fields with keys follow.
/// `("int64")` behind a key names the Go type where it is not the usual one of the Rust type, since type errors show
/// it. `own` marks a key that upstream does not have.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident = $go:literal {
            $( .. { $( $(#[$embedded_meta:meta])* $embedded:ident: $embedded_type:ty, )* } )?
            $( $(#[$field_meta:meta])* $field:ident: $type:ty = $($own:ident)? $key:literal $(($go_type:literal))?, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        $vis struct $name {
            $( $( $(#[$embedded_meta])* $vis $embedded: $embedded_type, )* )?
            $( $(#[$field_meta])* $vis $field: $type, )*
        }

        impl $crate::table::Table for $name {
            const GO_TYPE: &'static str = $go;

            fn slot(&mut self, is_key: &dyn Fn(&str) -> bool) -> Option<$crate::table::Slot<'_>> {
                $(
                    if is_key($key) {
                        #[allow(unused_mut, unused_assignments, reason = "only some keys name a Go type")]
                        let mut go_type: Option<&'static str> = None;
                        $( go_type = Some($go_type); )?
                        return Some($crate::table::Slot {
                            key: $key,
                            embedded: Vec::new(),
                            go_type,
                            value: &mut self.$field,
                        });
                    }
                )*
                $( $(
                    if let Some(mut slot) = self.$embedded.slot(is_key) {
                        slot.embedded.insert(0, $crate::table::struct_name(
                            <$embedded_type as $crate::table::Table>::GO_TYPE,
                        ));
                        return Some(slot);
                    }
                )* )?
                let _ = is_key;
                None
            }

            fn write(&self, entries: &mut Vec<(String, $crate::raw::Value)>) {
                $( $( self.$embedded.write(entries); )* )?
                $(
                    #[allow(unused_mut, unused_assignments, reason = "only some keys are our own")]
                    let mut own = "";
                    $( own = stringify!($own); )?
                    if own.is_empty() {
                        entries.push(($key.to_owned(), $crate::table::Decode::tree(&self.$field)));
                    }
                )*
                let _ = entries;
            }
        }

        impl $crate::table::Decode for $name {
            fn go_type() -> std::borrow::Cow<'static, str> {
                $go.into()
            }

            fn decode(
                &mut self,
                value: &$crate::raw::Value,
                _go_type: Option<&'static str>,
                walk: &mut $crate::table::Walk,
            ) -> Result<(), $crate::table::DecodeError> {
                $crate::table::decode_table(self, value, walk)
            }

            fn tree(&self) -> $crate::raw::Value {
                let mut entries = Vec::new();
                $crate::table::Table::write(self, &mut entries);
                $crate::raw::Value::Object(entries)
            }
        }
    };
}
pub(crate) use table;

/// A struct with named keys.
pub(crate) trait Table {
    /// The struct's name in upstream's error texts, with its package.
    const GO_TYPE: &'static str;

    /// The place of the first key that `is_key` accepts.
    fn slot(&mut self, is_key: &dyn Fn(&str) -> bool) -> Option<Slot<'_>>;

    /// Appends all of upstream's keys with their values.
    fn write(&self, entries: &mut Vec<(String, Value)>);
}

/// Where the value of a key goes.
pub(crate) struct Slot<'a> {
    /// The key in its canonical spelling.
    pub(crate) key: &'static str,
    /// Names of the embedded structs on the way to the field; Go shows them in paths.
    pub(crate) embedded: Vec<&'static str>,
    /// The Go type of the field, if it is not the usual one.
    pub(crate) go_type: Option<&'static str>,
    /// The field.
    pub(crate) value: &'a mut dyn Decode,
}

/// A value of the model that can be read from a tree and shown as one.
pub(crate) trait Decode {
    /// The Go type that upstream's texts usually show for this Rust type.
    fn go_type() -> Cow<'static, str>
    where
        Self: Sized;

    /// Reads `value`; wrong types are kept in `walk` and leave the field as it is.
    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError>;

    /// The value as a tree, with every key of upstream's.
    fn tree(&self) -> Value;
}

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
    strict: bool,
    coerce: bool,
    structure: &'static str,
    path: Vec<&'static str>,
    first: Option<DecodeError>,
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

    fn keep(&mut self, error: DecodeError) {
        self.first.get_or_insert(error);
    }

    /// The outcome of a walk that reached its end.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.first.map_or(Ok(()), Err)
    }
}

/// Reads `value` into `target` from its root.
pub(crate) fn decode(target: &mut dyn Decode, value: &Value, mut walk: Walk) -> Result<(), DecodeError> {
    target.decode(value, None, &mut walk)?;
    walk.finish()
}

/// The name of a struct without its package.
pub(crate) fn struct_name(go_type: &'static str) -> &'static str {
    go_type.rsplit('.').next().unwrap_or(go_type)
}

/// Whether two keys are equal under the folding of Go's decoder. The tables' keys are ASCII, so besides the case of
/// letters only the two other characters that fold to ASCII letters matter.
pub(crate) fn keys_fold_equal(left: &str, right: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    left.chars().map(fold).eq(right.chars().map(fold))
}

/// Reads an object into a struct.
pub(crate) fn decode_table<T: Table>(
    table: &mut T,
    value: &Value,
    walk: &mut Walk,
) -> Result<(), DecodeError> {
    let entries = match value {
        Value::Null => return Ok(()),
        Value::Object(entries) => entries,
        other => {
            walk.type_error(other.kind(), T::GO_TYPE);
            return Ok(());
        }
    };
    for (key, value) in entries {
        // Two look-ups, since an exact match anywhere goes before a folded one.
        let exact = table.slot(&|name| name == key).is_some();
        let slot = if exact {
            table.slot(&|name| name == key)
        } else {
            table.slot(&|name| keys_fold_equal(name, key))
        };
        let Some(slot) = slot else {
            if walk.strict {
                walk.keep(DecodeError::UnknownField(key.clone()));
            }
            continue;
        };
        let depth = walk.path.len();
        let outer = std::mem::replace(&mut walk.structure, struct_name(T::GO_TYPE));
        // Upstream's coercion looks for the field's type only one level deep, and finds the embedded struct.
        let coerce = walk.coerce;
        walk.coerce &= slot.embedded.is_empty();
        walk.path.extend(slot.embedded);
        walk.path.push(slot.key);
        slot.value.decode(value, slot.go_type, walk)?;
        walk.path.truncate(depth);
        walk.coerce = coerce;
        walk.structure = outer;
    }
    Ok(())
}

/// The type to show: the field's own, or the usual one.
fn wanted<T: Decode>(go_type: Option<&'static str>) -> Cow<'static, str> {
    go_type.map_or_else(T::go_type, Cow::Borrowed)
}

impl Decode for String {
    fn go_type() -> Cow<'static, str> {
        "string".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => {}
            Value::String(text) => self.clone_from(text),
            Value::Number(text) if walk.coerce => {
                *self = text.parse::<i64>().map_or_else(
                    |_| text.parse().map_or_else(|_| text.clone(), number::general_float),
                    |integer| integer.to_string(),
                );
            }
            Value::Bool(flag) if walk.coerce => *self = flag.to_string(),
            other => walk.type_error(other.kind(), wanted::<Self>(go_type)),
        }
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Decode for Secret {
    fn go_type() -> Cow<'static, str> {
        String::go_type()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        let mut text = self.expose().to_owned();
        text.decode(value, go_type, walk)?;
        *self = text.into();
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::String(self.expose().to_owned())
    }
}

impl Decode for bool {
    fn go_type() -> Cow<'static, str> {
        "bool".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => {}
            Value::Bool(flag) => *self = *flag,
            other => walk.type_error(other.kind(), wanted::<Self>(go_type)),
        }
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Decode for i64 {
    fn go_type() -> Cow<'static, str> {
        "int".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => {}
            Value::Number(text) => match text.parse() {
                Ok(number) => *self = number,
                Err(_) => walk.type_error(format!("number {text}"), wanted::<Self>(go_type)),
            },
            other => walk.type_error(other.kind(), wanted::<Self>(go_type)),
        }
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::Number(self.to_string())
    }
}

impl<T: Decode + Default> Decode for Option<T> {
    fn go_type() -> Cow<'static, str> {
        T::go_type()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        if *value == Value::Null {
            *self = None;
            return Ok(());
        }
        self.get_or_insert_default().decode(value, go_type, walk)
    }

    fn tree(&self) -> Value {
        self.as_ref().map_or(Value::Null, Decode::tree)
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn go_type() -> Cow<'static, str> {
        format!("[]{}", T::go_type()).into()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => self.clear(),
            Value::Array(items) => {
                let item_type = go_type.and_then(|name| name.strip_prefix("[]"));
                self.clear();
                for item in items {
                    let mut element = T::default();
                    element.decode(item, item_type, walk)?;
                    self.push(element);
                }
            }
            other => walk.type_error(other.kind(), wanted::<Self>(go_type)),
        }
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::Array(self.iter().map(Decode::tree).collect())
    }
}

impl<T: Decode + Default> Decode for BTreeMap<String, T> {
    fn go_type() -> Cow<'static, str> {
        format!("map[string]{}", T::go_type()).into()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => self.clear(),
            Value::Object(entries) => {
                for (key, value) in entries {
                    let mut element = T::default();
                    element.decode(value, None, walk)?;
                    self.insert(key.clone(), element);
                }
            }
            other => walk.type_error(other.kind(), wanted::<Self>(go_type)),
        }
        Ok(())
    }

    fn tree(&self) -> Value {
        Value::Object(self.iter().map(|(key, value)| (key.clone(), value.tree())).collect())
    }
}

impl Decode for Pairs {
    fn go_type() -> Cow<'static, str> {
        BTreeMap::<String, String>::go_type()
    }

    fn decode(
        &mut self,
        value: &Value,
        go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        BTreeMap::decode(self, value, go_type, walk)
    }

    fn tree(&self) -> Value {
        BTreeMap::tree(self)
    }
}

impl Decode for BandwidthLimit {
    fn go_type() -> Cow<'static, str> {
        String::go_type()
    }

    fn decode(
        &mut self,
        value: &Value,
        _go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        match value {
            Value::Null => Ok(()),
            // A blank text leaves what a repeated key said before.
            Value::String(text) => {
                let limit = Self::parse(text).map_err(|error| DecodeError::Value(error.to_string()))?;
                if !limit.text().is_empty() {
                    *self = limit;
                }
                Ok(())
            }
            other => Err(walk.error_here(other.kind().to_owned(), Self::go_type().into_owned())),
        }
    }

    fn tree(&self) -> Value {
        Value::String(self.text().to_owned())
    }
}
