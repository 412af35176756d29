//! How the values of fields are read: nothing is coerced, and `null` leaves a field as it is or empties it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Decode, DecodeError, Walk};
use crate::raw::Value;
use crate::value::{BandwidthLimit, Pairs, Secret, number};

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
