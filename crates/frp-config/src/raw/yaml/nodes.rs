//! The nodes of a YAML document, with aliases resolved to the nodes they name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libyaml_safer::{Error, ErrorKind, Event, EventData, Parser, ScalarStyle};

use super::YamlError;
use super::resolve::ScalarNode;

/// Nesting beyond this is refused.
pub(super) const MAX_DEPTH: usize = 500;

/// A node's place in its document.
pub(super) type NodeId = usize;

/// One node.
#[derive(Debug)]
pub(super) enum Node {
    /// A text.
    Scalar(ScalarNode),
    /// A list.
    Sequence(Vec<NodeId>),
    /// Keys with values, in their order.
    Mapping(Vec<(NodeId, NodeId)>),
    /// Another node once more.
    Alias {
        /// That node.
        target: NodeId,
        /// The name that both share.
        anchor: String,
    },
}

/// The first document of a text.
#[derive(Debug)]
pub(super) struct Document {
    nodes: Vec<Node>,
    /// The outermost node, if the text holds any.
    pub(super) root: Option<NodeId>,
}

impl Document {
    /// Reads the first document of `text`.
    pub(super) fn parse(text: &str) -> Result<Self, YamlError> {
        let mut builder = Builder {
            document: Self { nodes: Vec::new(), root: None },
            open: Vec::new(),
            anchors: HashMap::new(),
        };
        let (ended, added) = with_last_line_ended(text);
        let mut bytes = ended.as_bytes();
        let mut parser = Parser::new();
        parser.set_input_string(&mut bytes);
        let mut line = 0;
        loop {
            let event = next_event(&mut parser, line)?.map_err(|error| syntax(&error, text))?;
            line = event.end_mark.line;
            let at_end = event.end_mark.index == ended.len() as u64;
            match event.data {
                EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
                EventData::StreamEnd | EventData::DocumentEnd { .. } => return Ok(builder.document),
                EventData::Alias { anchor } => {
                    let target = builder.anchors.get(&anchor).copied();
                    let target = target
                        .ok_or_else(|| YamlError::Content(format!("unknown anchor '{anchor}' referenced")))?;
                    builder.add(Node::Alias { target, anchor }, None);
                }
                EventData::Scalar { anchor, tag, mut value, style, .. } => {
                    let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                    if block && added && at_end && value.ends_with('\n') {
                        value.pop();
                    }
                    builder.add(Node::Scalar(scalar(value, style, tag)), anchor);
                }
                EventData::SequenceStart { anchor, .. } => {
                    builder.open(Node::Sequence(Vec::new()), anchor)?
                }
                EventData::MappingStart { anchor, .. } => builder.open(Node::Mapping(Vec::new()), anchor)?,
                EventData::SequenceEnd | EventData::MappingEnd => {
                    builder.open.pop();
                }
            }
        }
    }

    /// The node of this id.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        #[expect(clippy::indexing_slicing, reason = "ids are only made by adding nodes")]
        &self.nodes[id]
    }
}

/// The parser's next event, behind one that ended in this line (from 0). It panics at a tag that a comma follows
/// (`[!a,b]`), where upstream's reader has these words; no other fault is known to make it panic.
fn next_event(parser: &mut Parser<&mut &[u8]>, line: u64) -> Result<Result<Event, Error>, YamlError> {
    catch_unwind(AssertUnwindSafe(|| parser.parse())).map_err(|_| YamlError::Syntax {
        line: line + 1,
        message: "did not find expected whitespace or line break".to_owned(),
    })
}

/// The text with a line break at its end, without which the parser does not survive a block scalar there, and whether
/// it was added. Blanks without a line break mean nothing.
fn with_last_line_ended(text: &str) -> (Cow<'_, str>, bool) {
    let kept = text.trim_end_matches(' ');
    if kept.is_empty() || kept.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return (Cow::Borrowed(kept), false);
    }
    (Cow::Owned(format!("{text}\n")), true)
}

/// A fault in upstream's words, with the line that its reader would name: it counts the lines of the scanner from 1
/// and those of the parser from 0, and names none for the first.
fn syntax(error: &Error, text: &str) -> YamlError {
    let line_of = |mark: Option<libyaml_safer::Mark>| mark.map_or(0, |mark| mark.line);
    // What ends within quotes ends in its last line, not in that which an added line break begins.
    let newlines = text.bytes().filter(|byte| *byte == b'\n').count() as u64;
    let last = if error.problem() == "found unexpected end of stream" { newlines } else { u64::MAX };
    let line = match (line_of(error.problem_mark()).min(last), line_of(error.context_mark())) {
        (0, context) => context,
        (problem, _) if error.kind() == ErrorKind::Scanner => problem + 1,
        (problem, _) => problem,
    };
    YamlError::Syntax { line, message: error.problem().to_owned() }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<String>) -> ScalarNode {
    let tag = tag.map(|tag| match tag.strip_prefix("tag:yaml.org,2002:") {
        Some(short) => format!("!!{short}"),
        None => tag,
    });
    // The tag `!` says that it is a text.
    let plain = style == ScalarStyle::Plain && tag.as_deref() != Some("!");
    ScalarNode { text, plain, tag: tag.filter(|tag| tag != "!") }
}

/// A document under construction.
struct Builder {
    document: Document,
    /// Sequences and mappings that have not ended, with the key that waits for its value.
    open: Vec<(NodeId, Option<NodeId>)>,
    anchors: HashMap<String, NodeId>,
}

impl Builder {
    /// Adds a node to the innermost open one.
    fn add(&mut self, node: Node, anchor: Option<String>) -> NodeId {
        let id = self.document.nodes.len();
        self.document.nodes.push(node);
        // The anchor is known inside its own node, which then is found to contain itself.
        self.anchors.extend(anchor.map(|anchor| (anchor, id)));
        let Some((parent, key)) = self.open.last_mut() else {
            self.document.root = Some(id);
            return id;
        };
        match self.document.nodes.get_mut(*parent) {
            Some(Node::Sequence(items)) => items.push(id),
            Some(Node::Mapping(pairs)) => match key.take() {
                Some(key) => pairs.push((key, id)),
                None => *key = Some(id),
            },
            Some(Node::Scalar(_) | Node::Alias { .. }) | None => {}
        }
        id
    }

    fn open(&mut self, node: Node, anchor: Option<String>) -> Result<(), YamlError> {
        if self.open.len() == MAX_DEPTH {
            return Err(YamlError::Content(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let id = self.add(node, anchor);
        self.open.push((id, None));
        Ok(())
    }
}
