//! YAML.

use super::Value;

pub(crate) fn parse(text: &str, strict: bool) -> Result<Value, String> {
    let _ = (text, strict);
    Ok(Value::Null)
}
