//! The nodes of a YAML document, with aliases resolved to the nodes they name.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::YamlError;
use super::resolve::ScalarNode;

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 500;

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
    Alias(NodeId),
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
        let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        while let Some(event) = parser.next_event() {
            let event = match event {
                Ok((event, _)) => event,
                // The root is complete: whatever follows would belong to another document.
                Err(_) if builder.document.root.is_some() && builder.open.is_empty() => break,
                Err(error) => return Err(syntax(&error)),
            };
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => break,
                Event::Alias(anchor) => {
                    let target = builder.anchors.get(&anchor).copied();
                    let target =
                        target.ok_or_else(|| YamlError::Content("unknown anchor referenced".to_owned()))?;
                    builder.add(Node::Alias(target));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let id = builder.add(Node::Scalar(scalar(text.into_owned(), style, tag.as_deref())));
                    builder.anchors.insert(anchor, id);
                }
                Event::SequenceStart(anchor, _) => builder.open(Node::Sequence(Vec::new()), anchor)?,
                Event::MappingStart(anchor, _) => builder.open(Node::Mapping(Vec::new()), anchor)?,
                Event::SequenceEnd | Event::MappingEnd => {
                    builder.open.pop();
                }
            }
        }
        Ok(builder.document)
    }

    /// The node of this id.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        #[expect(clippy::indexing_slicing, reason = "ids are only made by adding nodes")]
        &self.nodes[id]
    }
}

fn syntax(error: &ScanError) -> YamlError {
    YamlError::Syntax { line: error.marker().line(), message: error.info().to_owned() }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> ScalarNode {
    let tag = tag.map(|tag| {
        let full = format!("{}{}", tag.handle, tag.suffix);
        full.strip_prefix("tag:yaml.org,2002:").map_or_else(|| full.clone(), |short| format!("!!{short}"))
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
    anchors: HashMap<usize, NodeId>,
}

impl Builder {
    /// Adds a node to the innermost open one.
    fn add(&mut self, node: Node) -> NodeId {
        let id = self.document.nodes.len();
        self.document.nodes.push(node);
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
            Some(Node::Scalar(_) | Node::Alias(_)) | None => {}
        }
        id
    }

    fn open(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if self.open.len() == MAX_DEPTH {
            return Err(YamlError::Content(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let id = self.add(node);
        // The anchor is known inside its own node, which then is found to contain itself.
        self.anchors.insert(anchor, id);
        self.open.push((id, None));
        Ok(())
    }
}
