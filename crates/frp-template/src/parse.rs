//! Tokens to tree.

use std::collections::HashMap;

use crate::ast::{Call, Choice, Command, List, Node, Operand, Pipeline, Templates, Term};
use crate::functions;
use crate::lex::{Kind, Token, lex};
use crate::limits::{MAX_NESTING, MAX_PARENTHESES, NAME};
use crate::literal::{Number, unquote};
use crate::quote::quote;
use crate::{FunctionSet, TemplateError};

/// Parses `text`, and with it every template that it defines.
///
/// # Errors
/// The first thing that is wrong in the text, in Go's words.
pub(crate) fn parse(text: &str, functions: FunctionSet) -> Result<Templates<'_>, TemplateError> {
    let mut parser = Parser {
        text,
        tokens: lex(text),
        next: 0,
        furthest_line: 0,
        action_line: 0,
        scope: Scope::new(),
        parentheses: 0,
        nesting: 0,
        functions,
        templates: HashMap::new(),
    };
    let root = parser.root()?;
    parser.add(NAME.to_owned(), root)?;
    Ok(parser.templates)
}

/// What a template of its own begins anew.
struct Scope {
    variables: Vec<String>,
    /// How many `range` bodies we are in.
    ranges: usize,
}

impl Scope {
    fn new() -> Self {
        Self { variables: vec!["$".to_owned()], ranges: 0 }
    }
}

/// Where a pipeline stands. Go's errors name it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Command,
    Parentheses,
    If,
    With,
    Range,
    Block,
    Template,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Parentheses => "parenthesized pipeline",
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
            Self::Block => "block clause",
            Self::Template => "template clause",
        }
    }
}

/// What ended a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    /// An `else`; if `if` or `with` follows directly, it is the next token.
    Else,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item<'t> {
    Node(Node<'t>),
    Ending(Ending),
}

struct Parser<'t> {
    text: &'t str,
    /// All tokens; the last one is the end or an error, which nothing accepts.
    tokens: Vec<Token<'t>>,
    /// The token to read next.
    next: usize,
    /// Line of the last token that this template has looked at: errors are reported there.
    furthest_line: usize,
    /// Line where the action being read began; 0 outside of one.
    action_line: usize,
    scope: Scope,
    parentheses: usize,
    nesting: usize,
    functions: FunctionSet,
    templates: Templates<'t>,
}

type Parsed<T> = Result<T, TemplateError>;

impl<'t> Parser<'t> {
    fn peek(&mut self) -> &Token<'t> {
        let index = self.next.min(self.tokens.len() - 1);
        let token = &self.tokens[index];
        self.furthest_line = self.furthest_line.max(token.line);
        token
    }

    fn read(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_kind(&mut self) -> Kind {
        self.skip_space();
        self.peek().kind
    }

    fn read_solid(&mut self) -> Token<'t> {
        self.skip_space();
        self.read()
    }

    fn error(&self, message: impl std::fmt::Display) -> TemplateError {
        TemplateError(format!("template: {NAME}:{}: {message}", self.furthest_line))
    }

    fn unexpected(&self, token: &Token<'_>, place: &str) -> TemplateError {
        if token.kind != Kind::Error {
            return self.error(format_args!("unexpected {} in {place}", token.describe()));
        }
        let started = if self.action_line != 0 && self.action_line != token.line {
            // "unclosed action" needs no second "action".
            let word = if token.text.ends_with(" action") { "" } else { " in action" };
            format!("{word} started at {NAME}:{}", self.action_line)
        } else {
            String::new()
        };
        self.error(format_args!("{}{started}", token.text))
    }

    fn expect(&mut self, kind: Kind, place: &str) -> Parsed<()> {
        let token = self.read_solid();
        if token.kind == kind { Ok(()) } else { Err(self.unexpected(&token, place)) }
    }

    fn root(&mut self) -> Parsed<List<'t>> {
        let mut list = Vec::new();
        while self.peek().kind != Kind::EndOfText {
            if self.peek().kind == Kind::LeftDelimiter {
                let delimiter = self.next;
                self.next += 1;
                if self.read_solid().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.next = delimiter;
            }
            match self.item()? {
                Item::Node(node) => list.push(node),
                Item::Ending(ending) => return Err(self.error(format_args!("unexpected {}", ending.name()))),
            }
        }
        Ok(list)
    }

    /// `{{define "name"}} ... {{end}}`; the keyword has been read.
    fn definition(&mut self) -> Parsed<()> {
        const PLACE: &str = "define clause";
        let outer_line = self.furthest_line;
        let token = self.read_solid();
        let name = self.template_name(&token, PLACE)?;
        self.expect(Kind::RightDelimiter, PLACE)?;
        self.template_body(name, PLACE)?;
        self.furthest_line = outer_line;
        Ok(())
    }

    /// The body of a `define` or `block` up to its `end`.
    fn template_body(&mut self, name: String, place: &str) -> Parsed<()> {
        let outer_scope = std::mem::replace(&mut self.scope, Scope::new());
        let outer_action = std::mem::take(&mut self.action_line);
        let outer_line = self.furthest_line;
        let (body, ending) = self.list()?;
        if ending != Ending::End {
            if place == Place::Block.name() {
                self.furthest_line = outer_line;
            }
            return Err(self.error(format_args!("unexpected {} in {place}", ending.name())));
        }
        self.add(name, body)?;
        self.scope = outer_scope;
        self.action_line = outer_action;
        Ok(())
    }

    /// Keeps a template; of two with one name only one may have content.
    fn add(&mut self, name: String, body: List<'t>) -> Parsed<()> {
        match self.templates.get(&name) {
            Some(known) if !is_empty(known) => {
                if is_empty(&body) {
                    return Ok(());
                }
                let name = quote(name.as_bytes());
                Err(self.error(format_args!("template: multiple definition of template {name}")))
            }
            _ => {
                self.templates.insert(name, body);
                Ok(())
            }
        }
    }

    fn list(&mut self) -> Parsed<(List<'t>, Ending)> {
        if self.nesting >= MAX_NESTING {
            return Err(self.error("max nesting depth exceeded"));
        }
        self.nesting += 1;
        let mut list = Vec::new();
        while self.peek_kind() != Kind::EndOfText {
            match self.item()? {
                Item::Node(node) => list.push(node),
                Item::Ending(ending) => {
                    self.nesting -= 1;
                    return Ok((list, ending));
                }
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn item(&mut self) -> Parsed<Item<'t>> {
        let token = self.read_solid();
        match token.kind {
            Kind::Text => {
                Ok(Item::Node(Node::Text(&self.text[token.position..token.position + token.text.len()])))
            }
            Kind::LeftDelimiter => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Parsed<Item<'t>> {
        let kind = self.peek_kind();
        if !matches!(
            kind,
            Kind::Block
                | Kind::Break
                | Kind::Continue
                | Kind::Else
                | Kind::End
                | Kind::If
                | Kind::Range
                | Kind::Template
                | Kind::With
        ) {
            let pipeline = self.pipeline(Place::Command, Kind::RightDelimiter)?;
            return Ok(Item::Node(Node::Action(pipeline)));
        }
        self.next += 1;
        Ok(Item::Node(match kind {
            Kind::End => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Kind::Else => {
                if !matches!(self.peek_kind(), Kind::If | Kind::With) {
                    self.expect(Kind::RightDelimiter, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Kind::Break => {
                self.leave_range("{{break}}")?;
                Node::Break
            }
            Kind::Continue => {
                self.leave_range("{{continue}}")?;
                Node::Continue
            }
            Kind::If => Node::If(self.choice(Place::If, Kind::If)?),
            Kind::With => Node::With(self.choice(Place::With, Kind::With)?),
            Kind::Range => self.range()?,
            Kind::Block => self.block()?,
            _ => self.call()?,
        }))
    }

    fn leave_range(&mut self, name: &str) -> Parsed<()> {
        self.expect(Kind::RightDelimiter, name)?;
        if self.scope.ranges == 0 {
            return Err(self.error(format_args!("{name} outside {{{{range}}}}")));
        }
        Ok(())
    }

    /// `if` or `with`, whose keyword has been read. `else if` is one more branch. Only the end of
    /// the whole drops variables, so a branch sees those of the branches before it.
    fn choice(&mut self, place: Place, keyword: Kind) -> Parsed<Choice<'t>> {
        let outer_variables = self.scope.variables.len();
        let mut choice = Choice { branches: Vec::new(), otherwise: Vec::new() };
        loop {
            let pipeline = self.pipeline(place, Kind::RightDelimiter)?;
            let (body, ending) = self.list()?;
            choice.branches.push((pipeline, body));
            if ending == Ending::End {
                break;
            }
            if self.peek().kind == keyword {
                self.next += 1;
                continue;
            }
            choice.otherwise = self.otherwise()?;
            break;
        }
        self.scope.variables.truncate(outer_variables);
        Ok(choice)
    }

    /// The list after `else`.
    fn otherwise(&mut self) -> Parsed<List<'t>> {
        let (list, ending) = self.list()?;
        if ending != Ending::End {
            return Err(self.error(format_args!("expected end; found {}", ending.name())));
        }
        Ok(list)
    }

    fn range(&mut self) -> Parsed<Node<'t>> {
        let outer_variables = self.scope.variables.len();
        let pipeline = self.pipeline(Place::Range, Kind::RightDelimiter)?;
        self.scope.ranges += 1;
        let (body, ending) = self.list()?;
        self.scope.ranges -= 1;
        let otherwise = if ending == Ending::Else { self.otherwise()? } else { Vec::new() };
        self.scope.variables.truncate(outer_variables);
        Ok(Node::Range { pipeline, body, otherwise })
    }

    /// `{{block "name" pipeline}} ... {{end}}`: a definition and its call.
    fn block(&mut self) -> Parsed<Node<'t>> {
        let token = self.read_solid();
        let name = self.template_name(&token, Place::Block.name())?;
        let pipeline = self.pipeline(Place::Block, Kind::RightDelimiter)?;
        let outer_line = self.furthest_line;
        self.template_body(name.clone(), Place::Block.name())?;
        self.furthest_line = outer_line;
        Ok(Node::Template(Call { position: token.position, name, pipeline: Some(pipeline) }))
    }

    fn call(&mut self) -> Parsed<Node<'t>> {
        let token = self.read_solid();
        let name = self.template_name(&token, Place::Template.name())?;
        let pipeline = if self.peek_kind() == Kind::RightDelimiter {
            self.next += 1;
            None
        } else {
            Some(self.pipeline(Place::Template, Kind::RightDelimiter)?)
        };
        Ok(Node::Template(Call { position: token.position, name, pipeline }))
    }

    fn template_name(&mut self, token: &Token<'_>, place: &str) -> Parsed<String> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return Err(self.unexpected(token, place));
        }
        let name = unquote(&token.text).map_err(|message| self.error(message))?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    fn pipeline(&mut self, place: Place, end: Kind) -> Parsed<Pipeline> {
        self.skip_space();
        let position = self.peek().position;
        let mut pipeline = Pipeline { position, variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipeline, place)?;
        loop {
            let kind = self.peek_kind();
            if kind == end {
                self.next += 1;
                break;
            }
            if !starts_operand(kind) {
                let token = self.read();
                return Err(self.unexpected(&token, place.name()));
            }
            pipeline.commands.push(self.command()?);
        }
        self.check_commands(&pipeline, place)?;
        Ok(pipeline)
    }

    /// `$a :=`, `$a =`, and in a range `$a, $b :=`.
    fn declarations(&mut self, pipeline: &mut Pipeline, place: Place) -> Parsed<()> {
        while self.peek_kind() == Kind::Variable {
            let start = self.next;
            let name = self.read().text.into_owned();
            let kind = self.peek_kind();
            if matches!(kind, Kind::Assign | Kind::Declare) {
                self.next += 1;
                pipeline.assigns = kind == Kind::Assign;
                self.declare(pipeline, name);
                return Ok(());
            }
            if kind != Kind::Character || self.peek().text != "," {
                // An operand, not a declaration.
                self.next = start;
                return Ok(());
            }
            self.next += 1;
            self.declare(pipeline, name);
            if place != Place::Range || pipeline.variables.len() >= 2 {
                return Err(self.error(format_args!("too many declarations in {}", place.name())));
            }
            if !matches!(self.peek_kind(), Kind::Variable | Kind::RightDelimiter | Kind::RightParenthesis) {
                return Err(self.error("range can only initialize variables"));
            }
        }
        Ok(())
    }

    fn declare(&mut self, pipeline: &mut Pipeline, name: String) {
        self.scope.variables.push(name.clone());
        pipeline.variables.push(name);
    }

    fn check_commands(&self, pipeline: &Pipeline, place: Place) -> Parsed<()> {
        if pipeline.commands.is_empty() {
            return Err(self.error(format_args!("missing value for {}", place.name())));
        }
        for (index, command) in pipeline.commands.iter().enumerate().skip(1) {
            let first = command.operands.first().map(|operand| &operand.term);
            if let Some(Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text { .. }) = first {
                let stage = index + 1;
                return Err(self.error(format_args!("non executable command in pipeline stage {stage}")));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        self.skip_space();
        let mut command = Command { position: self.peek().position, operands: Vec::new() };
        loop {
            self.skip_space();
            command.operands.extend(self.operand()?);
            match self.peek().kind {
                Kind::Space => self.next += 1,
                Kind::RightDelimiter | Kind::RightParenthesis => break,
                Kind::Pipe => {
                    self.next += 1;
                    break;
                }
                _ => {
                    let token = self.read();
                    return Err(self.unexpected(&token, "operand"));
                }
            }
        }
        if command.operands.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(command)
    }

    /// A term and the fields chained to it; nothing if no operand begins here.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let position = self.peek().position;
        let mut chained = Vec::new();
        while self.peek().kind == Kind::Field {
            chained.push(field_name(&self.read()));
        }
        match &mut operand.term {
            Term::Field(names) | Term::Variable { fields: names, .. } => {
                names.append(&mut chained);
                operand.position = position;
                Ok(Some(operand))
            }
            Term::Bool(_) | Term::Text { .. } | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(operand.to_string().as_bytes());
                Err(self.error(format_args!("unexpected . after term {term}")))
            }
            _ => {
                let term = Term::Chain { start: Box::new(operand), fields: chained };
                Ok(Some(Operand { position, term }))
            }
        }
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        if !starts_operand(self.peek_kind()) {
            return Ok(None);
        }
        let token = self.read();
        let text = &*token.text;
        let term = match token.kind {
            Kind::Identifier => {
                if !functions::exists(text, self.functions) {
                    let name = quote(text.as_bytes());
                    return Err(self.error(format_args!("function {name} not defined")));
                }
                Term::Function(text.to_owned())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool => Term::Bool(text == "true"),
            Kind::Field => Term::Field(vec![field_name(&token)]),
            Kind::Variable => {
                if !self.scope.variables.iter().any(|name| name == text) {
                    let name = quote(text.as_bytes());
                    return Err(self.error(format_args!("undefined variable {name}")));
                }
                Term::Variable { name: text.to_owned(), fields: Vec::new() }
            }
            Kind::LeftParenthesis => {
                if self.parentheses >= MAX_PARENTHESES {
                    return Err(self.error("max expression depth exceeded"));
                }
                self.parentheses += 1;
                let pipeline = self.pipeline(Place::Parentheses, Kind::RightParenthesis)?;
                self.parentheses -= 1;
                let position = pipeline.position;
                return Ok(Some(Operand { position, term: Term::Parentheses(Box::new(pipeline)) }));
            }
            Kind::String | Kind::RawString => {
                let value = unquote(text).map_err(|message| self.error(message))?;
                Term::Text { quoted: text.to_owned(), value }
            }
            Kind::CharacterConstant => self.number(Number::from_character(text))?,
            Kind::Complex => self.number(Number::from_complex(text))?,
            _ => self.number(Number::parse(text))?,
        };
        Ok(Some(Operand { position: token.position, term }))
    }

    fn number(&self, number: Result<Number, String>) -> Parsed<Term> {
        number.map(Term::Number).map_err(|message| self.error(message))
    }
}

fn field_name(token: &Token<'_>) -> String {
    token.text.strip_prefix('.').unwrap_or(&token.text).to_owned()
}

fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharacterConstant
            | Kind::Complex
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::RawString
            | Kind::String
            | Kind::Variable
            | Kind::LeftParenthesis
    )
}

/// Whether a template holds nothing but blanks.
fn is_empty(list: &[Node<'_>]) -> bool {
    list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
