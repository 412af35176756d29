//! Walks the tree.

mod expression;

use crate::ast::{Call, Choice, Command, Node, Operand, Pipeline, Templates};
use crate::format::Printer;
use crate::limits::{MAX_EVALUATION_DEPTH, MAX_TEMPLATE_DEPTH, MAX_WORK, NAME};
use crate::quote::quote;
use crate::value::Value;
use crate::{FunctionSet, TemplateError, Values};

/// Runs the template named [`NAME`].
///
/// # Errors
/// The first thing that goes wrong, in Go's words, or that the work exceeds a limit.
pub(crate) fn execute(
    text: &str,
    templates: &Templates<'_>,
    values: &Values,
    functions: FunctionSet,
) -> Result<Vec<u8>, TemplateError> {
    let root = Value::Root(values);
    let mut evaluator = Evaluator {
        text,
        templates,
        functions,
        output: Vec::new(),
        work: MAX_WORK,
        template: NAME,
        template_depth: 0,
        depth: 0,
        variables: vec![("$", root.clone())],
        at: At::Start,
    };
    evaluator.list(&root, templates.get(NAME).map_or(&[], Vec::as_slice))?;
    Ok(evaluator.output)
}

/// What is being evaluated. Errors show its place and its text.
#[derive(Clone, Copy)]
enum At<'a> {
    Start,
    Pipeline(&'a Pipeline),
    Command(&'a Command),
    Operand(&'a Operand),
    Call(&'a Call),
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Evaluator<'a> {
    text: &'a str,
    templates: &'a Templates<'a>,
    functions: FunctionSet,
    output: Vec<u8>,
    /// Work that is left to do, of [`MAX_WORK`].
    work: usize,
    /// Name of the template that is running.
    template: &'a str,
    template_depth: usize,
    depth: usize,
    /// Innermost last. A template sees only its own.
    variables: Vec<(&'a str, Value<'a>)>,
    at: At<'a>,
}

type Evaluated<T> = Result<T, TemplateError>;

impl<'a> Evaluator<'a> {
    fn error(&self, message: impl std::fmt::Display) -> TemplateError {
        let (position, context) = match self.at {
            At::Start => return TemplateError(format!("template: {NAME}: {message}")),
            At::Pipeline(pipeline) => (pipeline.position, pipeline.to_string()),
            At::Command(command) => (command.position, command.to_string()),
            At::Operand(operand) => (operand.position, operand.to_string()),
            At::Call(call) => (call.position, call.to_string()),
        };
        let before = &self.text[..position];
        let line = before.matches('\n').count() + 1;
        let column = position - before.rfind('\n').map_or(0, |newline| newline + 1);
        let template = quote(self.template.as_bytes());
        TemplateError(format!(
            "template: {NAME}:{line}:{column}: executing {template} at <{context}>: {message}"
        ))
    }

    fn spend(&mut self, work: usize) -> Evaluated<()> {
        match self.work.checked_sub(work) {
            Some(left) => {
                self.work = left;
                Ok(())
            }
            None => Err(self.too_much_work()),
        }
    }

    fn too_much_work(&self) -> TemplateError {
        self.error("exceeded maximum amount of work and output")
    }

    fn enter(&mut self) -> Evaluated<()> {
        if self.depth >= MAX_EVALUATION_DEPTH {
            return Err(
                self.error(format_args!("exceeded maximum evaluation depth ({MAX_EVALUATION_DEPTH})"))
            );
        }
        self.depth += 1;
        Ok(())
    }

    fn list(&mut self, dot: &Value<'a>, nodes: &'a [Node<'a>]) -> Evaluated<Flow> {
        self.enter()?;
        let mut flow = Flow::Next;
        for node in nodes {
            flow = self.node(dot, node)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.depth -= 1;
        Ok(flow)
    }

    fn node(&mut self, dot: &Value<'a>, node: &'a Node<'a>) -> Evaluated<Flow> {
        self.spend(1)?;
        match node {
            Node::Text(text) => {
                self.spend(text.len())?;
                self.output.extend_from_slice(text.as_bytes());
            }
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() {
                    self.print(&value)?;
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(choice) => return self.choice(dot, choice, false),
            Node::With(choice) => return self.choice(dot, choice, true),
            Node::Range { pipeline, body, otherwise } => return self.range(dot, pipeline, body, otherwise),
            Node::Template(call) => self.template(dot, call)?,
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value<'a>) -> Evaluated<()> {
        let mut printer = Printer::new(self.work, self.functions);
        printer.dereferenced(value);
        let text = printer.finish().map_err(|_| self.too_much_work())?;
        self.spend(text.len())?;
        self.output.extend_from_slice(&text);
        Ok(())
    }

    /// `if`, or `with` which makes the value the new dot.
    fn choice(&mut self, dot: &Value<'a>, choice: &'a Choice<'a>, with: bool) -> Evaluated<Flow> {
        let mark = self.variables.len();
        let mut chosen = None;
        for (pipeline, body) in &choice.branches {
            let value = self.pipeline(dot, pipeline)?;
            if value.truth() {
                chosen = Some((if with { value } else { dot.clone() }, body));
                break;
            }
        }
        let (dot, body) = chosen.unwrap_or_else(|| (dot.clone(), &choice.otherwise));
        let flow = self.list(&dot, body)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(
        &mut self,
        dot: &Value<'a>,
        pipeline: &'a Pipeline,
        body: &'a [Node<'a>],
        otherwise: &'a [Node<'a>],
    ) -> Evaluated<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, pipeline)?;
        let iterated = self.iterate(&value, pipeline, body)?;
        let flow = if iterated { Flow::Next } else { self.list(dot, otherwise)? };
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// Runs the body for every item of `value`. False if there was none.
    fn iterate(
        &mut self,
        value: &Value<'a>,
        pipeline: &'a Pipeline,
        body: &'a [Node<'a>],
    ) -> Evaluated<bool> {
        type Item<'v> = fn(i64) -> Value<'v>;
        let integer: Option<(i64, Item<'a>)> = match value {
            Value::Int(count) => Some((*count, Value::Int)),
            Value::Int64(count) => Some((*count, Value::Int64)),
            Value::Uint8(count) => {
                Some((i64::from(*count), |n| Value::Uint8(u8::try_from(n).unwrap_or(u8::MAX))))
            }
            _ => None,
        };
        if let Some((count, item)) = integer {
            if pipeline.variables.len() > 1 {
                let value = self.shown(value);
                return Err(
                    self.error(format_args!("can't use {value} to iterate over more than one variable"))
                );
            }
            for number in 0..count {
                if self.iteration(Value::Nothing, &item(number), pipeline, body)? == Flow::Break {
                    break;
                }
            }
            return Ok(count > 0);
        }
        match value {
            Value::Numbers(list) => {
                for (index, number) in list.items().iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if self.iteration(index, &Value::Int64(*number), pipeline, body)? == Flow::Break {
                        break;
                    }
                }
                Ok(!list.items().is_empty())
            }
            Value::Pairs(list) => {
                for (index, pair) in list.items().iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if self.iteration(index, &Value::Pair(*pair), pipeline, body)? == Flow::Break {
                        break;
                    }
                }
                Ok(!list.items().is_empty())
            }
            Value::Environment(map) => {
                for (name, value) in *map {
                    self.spend(name.len() + value.len())?;
                    if self.iteration(Value::text(name), &Value::text(value), pipeline, body)? == Flow::Break
                    {
                        break;
                    }
                }
                Ok(!map.is_empty())
            }
            Value::Nothing => Ok(false),
            _ => {
                let value = self.shown(value);
                Err(self.error(format_args!("range can't iterate over {value}")))
            }
        }
    }

    fn iteration(
        &mut self,
        index: Value<'a>,
        item: &Value<'a>,
        pipeline: &'a Pipeline,
        body: &'a [Node<'a>],
    ) -> Evaluated<Flow> {
        self.spend(1)?;
        match (pipeline.variables.as_slice(), pipeline.assigns) {
            ([name], true) => self.assign(name, item.clone())?,
            ([first, second, ..], true) => {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            }
            // The pipeline has declared them, on top of all others.
            ([_], false) => self.replace_from_top(1, item.clone()),
            ([_, _, ..], false) => {
                self.replace_from_top(1, item.clone());
                self.replace_from_top(2, index);
            }
            ([], _) => {}
        }
        let mark = self.variables.len();
        let flow = self.list(item, body)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn template(&mut self, dot: &Value<'a>, call: &'a Call) -> Evaluated<()> {
        self.at = At::Call(call);
        let Some((name, nodes)) = self.templates.get_key_value(&call.name) else {
            return Err(self.error(format_args!("template {} not defined", quote(call.name.as_bytes()))));
        };
        if self.template_depth >= MAX_TEMPLATE_DEPTH {
            return Err(self.error(format_args!("exceeded maximum template depth ({MAX_TEMPLATE_DEPTH})")));
        }
        let dot = match &call.pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Nothing,
        };
        let outer_variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let outer_template = std::mem::replace(&mut self.template, name);
        self.template_depth += 1;
        self.list(&dot, nodes)?;
        self.template_depth -= 1;
        self.template = outer_template;
        self.variables = outer_variables;
        Ok(())
    }
}
