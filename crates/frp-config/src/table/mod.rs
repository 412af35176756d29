//! The key tables of the model, and the walk of a value tree against them.
//!
//! Upstream decodes every format with Go's `encoding/json`, whose rules users meet: a key matches exactly or else by
//! case folding, `null` counts as missing, nothing is coerced, and the first unknown key or wrong type is what gets
//! reported, unless a value with a decoder of its own refuses, which ends the walk at once. All of that is here; the
//! tables themselves are declared with [`table!`] beside the structs they fill.

mod fields;
mod walk;

use std::borrow::Cow;

pub(crate) use walk::{DecodeError, TypeError, Walk};

use crate::raw::Value;

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
