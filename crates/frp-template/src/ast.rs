//! The tree of a parsed template.
//!
//! Expressions print themselves as Go's engine prints them, because errors quote them.

use std::collections::HashMap;
use std::fmt;

use crate::literal::Number;
use crate::quote::quote;

/// All templates of one text by their names; the text itself is named [`crate::limits::NAME`].
pub(crate) type Templates<'t> = HashMap<String, List<'t>>;

/// What stands between two delimiting actions.
pub(crate) type List<'t> = Vec<Node<'t>>;

#[derive(Debug)]
pub(crate) enum Node<'t> {
    Text(&'t str),
    Action(Pipeline),
    Break,
    Continue,
    If(Choice<'t>),
    With(Choice<'t>),
    Range { pipeline: Pipeline, body: List<'t>, otherwise: List<'t> },
    Template(Call),
}

/// An `if` or `with`: its branches in order (`else if`, `else with`), and the last `else`.
#[derive(Debug)]
pub(crate) struct Choice<'t> {
    pub(crate) branches: Vec<(Pipeline, List<'t>)>,
    pub(crate) otherwise: List<'t>,
}

/// `{{template "name" pipeline}}`
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) position: usize,
    pub(crate) name: String,
    pub(crate) pipeline: Option<Pipeline>,
}

/// `$a, $b := first | second`
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) position: usize,
    /// The variables that are declared or assigned.
    pub(crate) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Command>,
}

/// Operands side by side; the first may be a function. Never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) position: usize,
    pub(crate) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) position: usize,
    pub(crate) term: Term,
}

#[derive(Debug)]
pub(crate) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text {
        quoted: String,
        value: Vec<u8>,
    },
    Function(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable {
        name: String,
        fields: Vec<String>,
    },
    Parentheses(Box<Pipeline>),
    /// `(...).A.B`, or a function's result with fields.
    Chain {
        start: Box<Operand>,
        fields: Vec<String>,
    },
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(self.name.as_bytes()))?;
        if let Some(pipeline) = &self.pipeline {
            write!(f, " {pipeline}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match &operand.term {
                Term::Parentheses(pipeline) => write!(f, "({pipeline})")?,
                _ => write!(f, "{operand}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(value) => write!(f, "{value}"),
            Term::Number(number) => f.write_str(&number.text),
            Term::Text { quoted, .. } => f.write_str(quoted),
            Term::Function(name) => f.write_str(name),
            Term::Field(names) => write_fields(f, names),
            Term::Variable { name, fields } => {
                f.write_str(name)?;
                write_fields(f, fields)
            }
            // Only a command shows the parentheses.
            Term::Parentheses(pipeline) => write!(f, "{pipeline}"),
            Term::Chain { start, fields } => {
                match &start.term {
                    Term::Parentheses(pipeline) => write!(f, "({pipeline})")?,
                    _ => write!(f, "{start}")?,
                }
                write_fields(f, fields)
            }
        }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}
