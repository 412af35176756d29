//! The functions `eq`, `ne`, `lt`, `le`, `gt` and `ge`.

use std::cmp::Ordering;

use crate::FunctionSet;
use crate::format::Printer;
use crate::value::Value;

/// What two values must have in common to be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bool,
    Complex,
    Int,
    Uint,
    Float,
    Text,
    Other,
}

fn class(value: &Value<'_>) -> Class {
    match value {
        Value::Bool(_) => Class::Bool,
        Value::Complex(..) => Class::Complex,
        Value::Int(_) | Value::Int64(_) => Class::Int,
        Value::Uint8(_) => Class::Uint,
        Value::Float(_) => Class::Float,
        Value::Text(_) => Class::Text,
        _ => Class::Other,
    }
}

fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) | Value::Int64(number) => Some(*number),
        Value::Uint8(number) => Some(i64::from(*number)),
        _ => None,
    }
}

const BAD_TYPE: &str = "invalid type for comparison";

/// Whether the first value equals any of the others.
pub(crate) fn equal(first: &Value<'_>, others: &[Value<'_>], functions: FunctionSet) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal_pair(first, other, functions)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_pair(a: &Value<'_>, b: &Value<'_>, functions: FunctionSet) -> Result<bool, String> {
    Ok(match (a, b) {
        _ if integer(a).is_some() && integer(b).is_some() => integer(a) == integer(b),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Complex(a, i), Value::Complex(b, j)) => a == b && i == j,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Nothing, Value::Nothing) => true,
        (Value::Nothing, _) | (_, Value::Nothing) => false,
        (Value::Pair(a), Value::Pair(b)) => a == b,
        (Value::Root(_), Value::Root(_)) => true,
        _ if class(a) != class(b) => return Err(incompatible(a, b, functions)),
        (Value::Environment(_), Value::Environment(_))
        | (Value::Numbers(_) | Value::Pairs(_), Value::Numbers(_) | Value::Pairs(_)) => {
            return Err(format!(
                "non-comparable type {}: {}",
                shown(b, 's', functions),
                b.type_name(functions)
            ));
        }
        _ => {
            return Err(format!(
                "non-comparable types {}: {}, {}: {}",
                shown(a, 's', functions),
                a.type_name(functions),
                b.type_name(functions),
                shown(b, 'v', functions)
            ));
        }
    })
}

/// Whether the first value is less than the second.
pub(crate) fn less(a: &Value<'_>, b: &Value<'_>, functions: FunctionSet) -> Result<bool, String> {
    if class(a) == Class::Other || class(b) == Class::Other {
        return Err(BAD_TYPE.to_owned());
    }
    Ok(match (a, b) {
        _ if integer(a).is_some() && integer(b).is_some() => integer(a) < integer(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b) == Some(Ordering::Less),
        (Value::Text(a), Value::Text(b)) => a < b,
        _ if class(a) != class(b) => return Err(incompatible(a, b, functions)),
        _ => return Err(BAD_TYPE.to_owned()),
    })
}

/// Whether the first value is less than or equal to the second.
pub(crate) fn less_or_equal(a: &Value<'_>, b: &Value<'_>, functions: FunctionSet) -> Result<bool, String> {
    Ok(less(a, b, functions)? || equal_pair(a, b, functions)?)
}

fn incompatible(a: &Value<'_>, b: &Value<'_>, functions: FunctionSet) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(functions), b.type_name(functions))
}

/// A value inside an error. Go shows it whole; here a long list is left out, and so is the environment,
/// because it may hold secrets.
pub(crate) fn shown(value: &Value<'_>, verb: char, functions: FunctionSet) -> String {
    const LIMIT: usize = 64 << 10;
    match value {
        Value::Root(_) => return "{map[...]}".to_owned(),
        Value::Environment(_) => return "map[...]".to_owned(),
        _ => {}
    }
    let mut printer = Printer::new(LIMIT, functions);
    printer.printf(format!("%{verb}").as_bytes(), std::slice::from_ref(value));
    printer.finish().map_or_else(|_| "...".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}
