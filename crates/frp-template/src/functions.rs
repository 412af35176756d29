//! The functions that a template may call.

use std::rc::Rc;

use crate::FunctionSet;
use crate::compare;
use crate::escape;
use crate::format::{Printer, TooLong};
use crate::number_range;
use crate::value::{Slice, Value};

/// What a function takes at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// Any value, none included.
    Any,
    /// A text and nothing else.
    Text,
}

/// What a function takes.
pub(crate) struct Signature {
    pub(crate) fixed: &'static [Parameter],
    /// Any number of values of any type after the fixed ones.
    pub(crate) variadic: bool,
}

/// Why a call failed.
pub(crate) enum Failure {
    /// The function's own error.
    Message(String),
    /// The result is longer than the caller allows.
    TooLong,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<TooLong> for Failure {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

/// Whether there is a function of that name.
pub(crate) fn exists(name: &str, functions: FunctionSet) -> bool {
    signature(name).is_some() && (functions == FunctionSet::V1 || !name.starts_with("parseNumberRange"))
}

pub(crate) fn signature(name: &str) -> Option<Signature> {
    use Parameter::{Any, Text};
    let (fixed, variadic): (&[Parameter], bool) = match name {
        "and" | "or" | "eq" | "index" | "slice" | "call" => (&[Any], true),
        "ne" | "lt" | "le" | "gt" | "ge" => (&[Any, Any], false),
        "not" | "len" => (&[Any], false),
        "print" | "println" | "html" | "js" | "urlquery" => (&[], true),
        "printf" => (&[Text], true),
        "parseNumberRange" => (&[Text], false),
        "parseNumberRangePair" => (&[Text, Text], false),
        _ => return None,
    };
    Some(Signature { fixed, variadic })
}

/// Calls a function other than `and`, `or` (which do not evaluate all their arguments) and `call`, with
/// arguments that fit its signature. Texts that it makes are at most `limit` bytes long.
pub(crate) fn invoke<'v>(
    name: &str,
    arguments: &[Value<'v>],
    limit: usize,
    functions: FunctionSet,
) -> Result<Value<'v>, Failure> {
    let printer = || Printer::new(limit, functions);
    Ok(match (name, arguments) {
        ("not", [value]) => Value::Bool(!value.truth()),
        ("len", [value]) => length(value, functions)?,
        ("eq", [first, others @ ..]) => Value::Bool(compare::equal(first, others, functions)?),
        ("ne", [a, b]) => Value::Bool(!compare::equal(a, std::slice::from_ref(b), functions)?),
        ("lt", [a, b]) => Value::Bool(compare::less(a, b, functions)?),
        ("le", [a, b]) => Value::Bool(compare::less_or_equal(a, b, functions)?),
        ("gt", [a, b]) => Value::Bool(!compare::less_or_equal(a, b, functions)?),
        ("ge", [a, b]) => Value::Bool(!compare::less(a, b, functions)?),
        ("index", [item, indexes @ ..]) => index(item, indexes, functions)?,
        ("slice", [item, indexes @ ..]) => slice(item, indexes, functions)?,
        ("print", values) => {
            let mut printer = printer();
            printer.print(values, false);
            Value::Text(printer.finish()?.into())
        }
        ("println", values) => {
            let mut printer = printer();
            printer.println(values);
            Value::Text(printer.finish()?.into())
        }
        ("printf", [Value::Text(format), values @ ..]) => {
            let mut printer = printer();
            printer.printf(format, values);
            Value::Text(printer.finish()?.into())
        }
        ("html" | "js" | "urlquery", values) => {
            let mut printer = printer();
            printer.print(values, true);
            let text = printer.finish()?;
            let escaped = match name {
                "html" => escape::html(&text),
                "js" => escape::javascript(&text),
                _ => escape::url_query(&text),
            };
            Value::Text(escaped.into())
        }
        ("parseNumberRange", [Value::Text(text)]) => Value::Numbers(Slice::new(numbers(text)?)),
        ("parseNumberRangePair", [Value::Text(first), Value::Text(second)]) => {
            let (first, second) = (numbers(first)?, numbers(second)?);
            if first.len() != second.len() {
                return Err("first and second range numbers are not in pairs".to_owned().into());
            }
            Value::Pairs(Slice::new(first.into_iter().zip(second).collect()))
        }
        _ => return Err(format!("wrong number of args for {name}").into()),
    })
}

fn numbers(text: &[u8]) -> Result<Vec<i64>, String> {
    number_range::parse(&String::from_utf8_lossy(text)).map_err(|error| error.to_string())
}

fn length<'v>(value: &Value<'_>, functions: FunctionSet) -> Result<Value<'v>, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Environment(map) => map.len(),
        Value::Numbers(list) => list.items().len(),
        Value::Pairs(list) => list.items().len(),
        Value::Nothing => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        _ => return Err(format!("len of type {}", value.pointed_type_name(functions))),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// A number as an index into something of `length`, where `length` itself is still in range.
fn position(index: &Value<'_>, length: usize, functions: FunctionSet) -> Result<usize, String> {
    let number = match index {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Uint8(number) => i64::from(*number),
        Value::Nothing => return Err("cannot index slice/array with nil".to_owned()),
        _ => return Err(format!("cannot index slice/array with type {}", index.type_name(functions))),
    };
    match usize::try_from(number) {
        Ok(position) if position <= length => Ok(position),
        _ => Err(format!("index out of range: {number}")),
    }
}

fn index<'v>(item: &Value<'v>, indexes: &[Value<'v>], functions: FunctionSet) -> Result<Value<'v>, String> {
    if matches!(item, Value::Nothing) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = item.clone();
    for index in indexes {
        let beyond = |kind: &str| format!("reflect: {kind} index out of range");
        item = match &item {
            Value::Text(text) => {
                let at = position(index, text.len(), functions)?;
                Value::Uint8(*text.get(at).ok_or_else(|| beyond("string"))?)
            }
            Value::Numbers(list) => {
                let at = position(index, list.items().len(), functions)?;
                Value::Int64(*list.items().get(at).ok_or_else(|| beyond("slice"))?)
            }
            Value::Pairs(list) => {
                let at = position(index, list.items().len(), functions)?;
                Value::Pair(*list.items().get(at).ok_or_else(|| beyond("slice"))?)
            }
            Value::Environment(map) => match index {
                Value::Text(name) => {
                    let value = std::str::from_utf8(name).ok().and_then(|name| map.get(name));
                    Value::text(value.map_or("", |value| value))
                }
                Value::Nothing => return Err("value is nil; should be of type string".to_owned()),
                _ => {
                    let name = index.type_name(functions);
                    return Err(format!("value has type {name}; should be string"));
                }
            },
            _ => return Err(format!("can't index item of type {}", item.pointed_type_name(functions))),
        };
    }
    Ok(item)
}

fn slice<'v>(item: &Value<'v>, indexes: &[Value<'v>], functions: FunctionSet) -> Result<Value<'v>, String> {
    if matches!(item, Value::Nothing) {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match item {
        Value::Text(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Text(text) => text.len(),
        Value::Numbers(list) => list.items().len(),
        Value::Pairs(list) => list.items().len(),
        _ => return Err(format!("can't slice item of type {}", item.pointed_type_name(functions))),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length, functions)?;
    }
    let [start, end, capacity] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    if end > capacity {
        return Err(format!("invalid slice index: {end} > {capacity}"));
    }
    Ok(match item {
        Value::Text(text) => Value::Text(Rc::from(&text[start..end])),
        Value::Numbers(list) => Value::Numbers(list.part(start, end)),
        Value::Pairs(list) => Value::Pairs(list.part(start, end)),
        _ => Value::Nothing,
    })
}
