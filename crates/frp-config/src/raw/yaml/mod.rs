//! YAML as upstream's reader understands it: the events of a parser, resolved by the rules of YAML 1.1 and turned
//! into the tree that upstream's detour over JSON gives (`gopkg.in/yaml.v2`, `sigs.k8s.io/yaml`).

mod nodes;
mod resolve;

use nodes::{Document, MAX_DEPTH, Node, NodeId};
use resolve::Scalar;

use super::Value;
use crate::value::number;

/// Text that is no YAML, or that JSON cannot say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum YamlError {
    /// The text breaks a rule of YAML.
    #[error("yaml: {}{message}", line_prefix(*.line))]
    Syntax {
        /// The line as upstream's reader counts it; 0 names none.
        line: u64,
        /// The parser's words.
        message: String,
    },
    /// The text is YAML that upstream's reader refuses, in its words.
    #[error("yaml: {0}")]
    Content(String),
    /// What JSON does not have, in Go's words.
    #[error("{0}")]
    Json(String),
}

fn line_prefix(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

/// Reads the first document; what comes behind it is not looked at.
///
/// Strict mode makes one more round through upstream's number types, so that `strict` decides what becomes of integers
/// beyond 64 bits with sign.
///
/// # Errors
/// The text is at fault.
pub(crate) fn parse(text: &str, strict: bool) -> Result<Value, YamlError> {
    if !text.chars().all(is_allowed) {
        return Err(YamlError::Content("control characters are not allowed".to_owned()));
    }
    let document = Document::parse(text)?;
    let Some(root) = document.root else { return Ok(Value::Null) };
    let mut conversion =
        Conversion { document: &document, strict, open: Vec::new(), visited: 0, through_aliases: 0 };
    conversion.value(root)
}

/// What the reader of libyaml lets through.
const fn is_allowed(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..
    )
}

/// What the reader of libyaml says to bytes that begin with a broken sequence.
pub(crate) fn utf8_fault(bytes: &[u8]) -> &'static str {
    let width = match bytes.first() {
        Some(0xc0..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        Some(0xf0..0xf8) => 4,
        _ => return "invalid leading UTF-8 octet",
    };
    match bytes.get(1..width) {
        None => "incomplete UTF-8 octet sequence",
        Some(trailing) if trailing.iter().any(|byte| byte & 0xc0 != 0x80) => "invalid trailing UTF-8 octet",
        // Overlong, a surrogate, or beyond Unicode.
        Some(_) if width == 2 || bytes.starts_with(&[0xe0]) || bytes.starts_with(&[0xf0]) => {
            "invalid length of a UTF-8 sequence"
        }
        Some(_) => "invalid Unicode character",
    }
}

/// The way from nodes to values.
struct Conversion<'d> {
    document: &'d Document,
    strict: bool,
    /// Nodes that are being converted, to find aliases to themselves.
    open: Vec<NodeId>,
    visited: usize,
    through_aliases: usize,
}

/// A mapping in the order of its keys as texts.
type Mapping = std::collections::BTreeMap<String, Value>;

impl Conversion<'_> {
    fn value(&mut self, id: NodeId) -> Result<Value, YamlError> {
        self.enter(id)?;
        let value = match self.document.node(id) {
            Node::Scalar(scalar) => self.scalar(scalar.resolve()?)?,
            Node::Sequence(items) => {
                Value::Array(items.iter().map(|item| self.value(*item)).collect::<Result<_, _>>()?)
            }
            Node::Mapping(pairs) => {
                let mut mapping = Mapping::new();
                self.mapping(pairs, &mut mapping)?;
                Value::Object(mapping.into_iter().collect())
            }
            Node::Alias { target, .. } => self.value(*target)?,
        };
        self.open.pop();
        Ok(value)
    }

    /// Refuses aliases that contain themselves or blow the document up, by the measure of upstream's reader.
    fn enter(&mut self, id: NodeId) -> Result<(), YamlError> {
        if self.open.contains(&id) {
            // Upstream names the anchor, which here is that of the alias on the way.
            let anchor = self.open.iter().rev().find_map(|open| match self.document.node(*open) {
                Node::Alias { anchor, .. } => Some(anchor.as_str()),
                Node::Scalar(_) | Node::Sequence(_) | Node::Mapping(_) => None,
            });
            let anchor = anchor.unwrap_or_default();
            return Err(YamlError::Content(format!("anchor '{anchor}' value contains itself")));
        }
        // Aliases nest what the text does not: the tree must not become deeper than a text without them can make it.
        if self.open.len() > MAX_DEPTH {
            return Err(YamlError::Content(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        self.visited += 1;
        if self.open.iter().any(|open| matches!(self.document.node(*open), Node::Alias { .. })) {
            self.through_aliases += 1;
        }
        if self.through_aliases > 100 && self.visited > 1000 && self.aliases_excessive() {
            return Err(YamlError::Content("document contains excessive aliasing".to_owned()));
        }
        self.open.push(id);
        Ok(())
    }

    /// Nearly all of a small document may come from aliases, and a tenth of a large one.
    fn aliases_excessive(&self) -> bool {
        const SMALL: usize = 400_000;
        const LARGE: usize = 4_000_000;
        let percent = match self.visited {
            ..=SMALL => 99,
            LARGE.. => 10,
            between => 99 - 89 * (between - SMALL) / (LARGE - SMALL),
        };
        self.through_aliases * 100 > self.visited * percent
    }

    /// Adds the pairs of a mapping in their order: a later key wins over an earlier one, and so does what is merged in.
    fn mapping(&mut self, pairs: &[(NodeId, NodeId)], mapping: &mut Mapping) -> Result<(), YamlError> {
        for (key, value) in pairs {
            if matches!(self.document.node(*key), Node::Scalar(scalar) if scalar.is_merge()) {
                self.merge(*value, mapping)?;
                continue;
            }
            let key = self.key(*key, *value)?;
            let value = self.value(*value)?;
            mapping.insert(key, value);
        }
        Ok(())
    }

    /// What stands behind `<<`: a mapping, or a list of mappings of which the first wins.
    fn merge(&mut self, id: NodeId, mapping: &mut Mapping) -> Result<(), YamlError> {
        let refuse =
            || YamlError::Content("map merge requires map or sequence of maps as the value".to_owned());
        self.enter(id)?;
        match self.document.node(id) {
            Node::Mapping(pairs) => self.mapping(pairs, mapping)?,
            Node::Alias { target, .. } if matches!(self.document.node(*target), Node::Mapping(_)) => {
                self.merge(*target, mapping)?;
            }
            Node::Sequence(items) => {
                for item in items.iter().rev() {
                    match self.document.node(*item) {
                        Node::Mapping(_) | Node::Alias { .. } => self.merge(*item, mapping)?,
                        Node::Scalar(_) | Node::Sequence(_) => return Err(refuse()),
                    }
                }
            }
            Node::Alias { .. } | Node::Scalar(_) => return Err(refuse()),
        }
        self.open.pop();
        Ok(())
    }

    fn key(&mut self, key: NodeId, value: NodeId) -> Result<String, YamlError> {
        let target = match self.document.node(key) {
            Node::Alias { target, .. } => self.document.node(*target),
            node => node,
        };
        let Node::Scalar(scalar) = target else {
            return Err(YamlError::Content("invalid map key: it is no scalar".to_owned()));
        };
        Ok(match scalar.resolve()? {
            Scalar::Text(text) => text,
            Scalar::Bool(flag) => flag.to_string(),
            Scalar::Int(number) => number.to_string(),
            Scalar::Float(number) => resolve::key_float(number),
            Scalar::Null => {
                return Err(YamlError::Json(format!(
                    "Unsupported map key of type: %!s(<nil>), key: <nil>, value: {}",
                    self.shown(value)?
                )));
            }
            Scalar::Unsigned(number) => {
                return Err(YamlError::Json(format!(
                    "Unsupported map key of type: uint64, key: {number:#x}, value: {}",
                    self.shown(value)?
                )));
            }
        })
    }

    /// A value as Go's `%+#v` shows it, for simple values.
    fn shown(&mut self, id: NodeId) -> Result<String, YamlError> {
        Ok(match self.value(id)? {
            Value::Null => "<nil>".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(text) => text,
            Value::String(text) => number::quote(&text),
            Value::Array(_) | Value::Object(_) => "...".to_owned(),
        })
    }

    fn scalar(&self, scalar: Scalar) -> Result<Value, YamlError> {
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => Value::Bool(flag),
            Scalar::Text(text) => Value::String(text),
            Scalar::Int(number) => Value::Number(number.to_string()),
            // The extra round makes a float of what is no signed 64-bit integer.
            #[expect(clippy::cast_precision_loss, reason = "as upstream does")]
            Scalar::Unsigned(number) if self.strict => Value::Number(number::json_float(number as f64)),
            Scalar::Unsigned(number) => Value::Number(number.to_string()),
            Scalar::Float(number) if number.is_nan() => {
                return Err(YamlError::Json("json: unsupported value: NaN".to_owned()));
            }
            Scalar::Float(number) if number.is_infinite() => {
                let sign = if number > 0.0 { '+' } else { '-' };
                return Err(YamlError::Json(format!("json: unsupported value: {sign}Inf")));
            }
            Scalar::Float(number) => Value::Number(number::json_float(number)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        fn show(value: &Value) -> String {
            match value {
                Value::Null => "null".to_owned(),
                Value::Bool(flag) => flag.to_string(),
                Value::Number(text) => text.clone(),
                Value::String(text) => number::quote(text),
                Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
                Value::Object(entries) => {
                    let entries: Vec<String> =
                        entries.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
                    format!("{{{}}}", entries.join(","))
                }
            }
        }
        parse(text, true).map_or_else(|error| error.to_string(), |value| show(&value))
    }

    #[test]
    fn merged_keys_follow_their_order() {
        let anchors = "a: &a {p: 1, q: 1}\nb: &b {p: 2, r: 2}\n";
        let with = |tail: &str| read(&format!("{anchors}{tail}"));
        assert!(with("c: {<<: *a, p: 3}").ends_with("c:{p:3,q:1}}"));
        assert!(with("c: {p: 3, <<: *a}").ends_with("c:{p:1,q:1}}"));
        assert!(with("c: {<<: [*a, *b]}").ends_with("c:{p:1,q:1,r:2}}"));
        assert_eq!(with("c: {<<: 1}"), "yaml: map merge requires map or sequence of maps as the value");
    }

    #[test]
    fn keys_become_texts() {
        assert_eq!(read("{1: a, yes: b, 1.5: c, a: d}"), "{1:\"a\",1.5:\"c\",a:\"d\",true:\"b\"}");
        assert_eq!(read("~: x"), "Unsupported map key of type: %!s(<nil>), key: <nil>, value: \"x\"");
    }

    #[test]
    fn block_scalars_may_end_the_text() {
        assert_eq!(read("a: |\n  x"), "{a:\"x\"}");
        assert_eq!(read("a: |+\n  x"), "{a:\"x\"}");
        assert_eq!(read("a: >-\n  x"), "{a:\"x\"}");
        assert_eq!(read("a: |\n  x\n"), "{a:\"x\\n\"}");
        assert_eq!(read("a: |\n  x\n "), "{a:\"x\\n\"}");
        assert_eq!(read("a: |"), "{a:\"\"}");
        assert_eq!(read("a: |\n  x\n# c"), "{a:\"x\\n\"}");
    }

    #[test]
    fn aliases_are_bounded() {
        assert_eq!(read("a: &a [*a]"), "yaml: anchor 'a' value contains itself");
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let before = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(',')));
        }
        assert_eq!(read(&bomb), "yaml: document contains excessive aliasing");
    }

    #[test]
    fn depth_is_bounded() {
        assert!(read(&"[".repeat(100_000)).starts_with("yaml: "));
        assert!(read(&"- ".repeat(100_000)).starts_with("yaml: "));
    }

    #[test]
    fn depth_through_aliases_is_bounded() {
        let mut chain = String::from("a0: &a0 x\n");
        for level in 1..100 {
            let (open, close) = ("[".repeat(400), "]".repeat(400));
            chain.push_str(&format!("a{level}: &a{level} {open}*a{}{close}\n", level - 1));
        }
        assert_eq!(read(&chain), "yaml: exceeded max depth of 500");
        assert!(read("a: &a [x]\nb: &b [*a]\nc: [*b]").ends_with("c:[[[\"x\"]]]}"));
    }

    #[test]
    fn a_tag_before_a_comma_is_refused() {
        let refused = |line| format!("yaml: line {line}: did not find expected whitespace or line break");
        assert_eq!(read("[!a,b]"), refused(1));
        assert_eq!(read("a: b\nc: {d: !e, f: g}"), refused(2));
        assert_eq!(read("[!a x,b]"), "[\"x\",\"b\"]");
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(read("a: 1\n---\na: 2\n"), "{a:1}");
        assert_eq!(read("---\n---\na: 2\n"), "null");
        assert_eq!(read(""), "null");
    }
}
