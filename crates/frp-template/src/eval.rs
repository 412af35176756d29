//! Walks the tree.

use crate::ast::{Call, Choice, Command, Node, Operand, Pipeline, Templates, Term};
use crate::format::Printer;
use crate::functions::{self, Failure, Parameter};
use crate::limits::{MAX_EVALUATION_DEPTH, MAX_TEMPLATE_DEPTH, MAX_WORK, NAME};
use crate::literal::Number;
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

/// The operands of a call, and what comes through the pipe as the last one.
struct Arguments<'a, 'p> {
    operands: &'a [Operand],
    piped: Option<&'p Value<'a>>,
}

impl Arguments<'_, '_> {
    const NONE: Self = Arguments { operands: &[], piped: None };

    fn is_empty(&self) -> bool {
        self.operands.is_empty() && self.piped.is_none()
    }

    fn count(&self) -> usize {
        self.operands.len() + usize::from(self.piped.is_some())
    }
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

    fn pipeline(&mut self, dot: &Value<'a>, pipeline: &'a Pipeline) -> Evaluated<Value<'a>> {
        self.enter()?;
        self.at = At::Pipeline(pipeline);
        let mut value = None;
        for command in &pipeline.commands {
            self.spend(1)?;
            value = Some(self.command(dot, command, value.as_ref())?);
        }
        let value = value.unwrap_or(Value::Nothing);
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        self.depth -= 1;
        Ok(value)
    }

    fn assign(&mut self, name: &'a str, value: Value<'a>) -> Evaluated<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => Err(self.error(format_args!("undefined variable: {name}"))),
        }
    }

    fn replace_from_top(&mut self, place: usize, value: Value<'a>) {
        if let Some((_, known)) = self.variables.iter_mut().rev().nth(place - 1) {
            *known = value;
        }
    }

    fn command(
        &mut self,
        dot: &Value<'a>,
        command: &'a Command,
        piped: Option<&Value<'a>>,
    ) -> Evaluated<Value<'a>> {
        let Some((first, operands)) = command.operands.split_first() else {
            return Ok(Value::Nothing);
        };
        let arguments = Arguments { operands, piped };
        match &first.term {
            Term::Field(names) => {
                self.at = At::Operand(first);
                return self.fields(dot.clone(), names, &arguments);
            }
            Term::Chain { start, fields } => return self.chain(dot, first, start, fields, &arguments),
            Term::Function(name) => {
                self.at = At::Operand(first);
                return self.call(dot, name, At::Command(command), &arguments);
            }
            Term::Variable { name, fields } => return self.variable(first, name, fields, &arguments),
            Term::Parentheses(pipeline) => {
                self.refuse_arguments(first, &arguments)?;
                return self.pipeline(dot, pipeline);
            }
            _ => {}
        }
        self.at = At::Operand(first);
        self.refuse_arguments(first, &arguments)?;
        match &first.term {
            Term::Nil => Err(self.error("nil is not a command")),
            Term::Dot => Ok(dot.clone()),
            _ => self.constant(first),
        }
    }

    fn refuse_arguments(&self, operand: &Operand, arguments: &Arguments<'_, '_>) -> Evaluated<()> {
        if arguments.is_empty() {
            Ok(())
        } else {
            Err(self.error(format_args!("can't give argument to non-function {operand}")))
        }
    }

    fn constant(&mut self, operand: &'a Operand) -> Evaluated<Value<'a>> {
        self.at = At::Operand(operand);
        match &operand.term {
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Number(number) => self.number(number),
            Term::Text { value, .. } => {
                self.spend(value.len())?;
                Ok(Value::Text(value.as_slice().into()))
            }
            _ => Ok(Value::Nothing),
        }
    }

    /// A number constant where nothing says which type is wanted.
    fn number(&self, number: &Number) -> Evaluated<Value<'a>> {
        if let Some((real, imaginary)) = number.complex {
            return Ok(Value::Complex(real, imaginary));
        }
        match (number.float, number.int) {
            (Some(float), _) if number.looks_like_float() => Ok(Value::Float(float)),
            (_, Some(int)) => Ok(Value::Int(int)),
            _ => Err(self.error(format_args!("{} overflows int", number.text))),
        }
    }

    fn variable(
        &mut self,
        operand: &'a Operand,
        name: &str,
        fields: &[String],
        arguments: &Arguments<'a, '_>,
    ) -> Evaluated<Value<'a>> {
        self.at = At::Operand(operand);
        let known = self.variables.iter().rev().find(|(known, _)| *known == name);
        let Some(value) = known.map(|(_, value)| value.clone()) else {
            return Err(self.error(format_args!("undefined variable: {name}")));
        };
        if fields.is_empty() {
            self.refuse_arguments(operand, arguments)?;
            return Ok(value);
        }
        self.fields(value, fields, arguments)
    }

    fn chain(
        &mut self,
        dot: &Value<'a>,
        operand: &'a Operand,
        start: &'a Operand,
        fields: &[String],
        arguments: &Arguments<'a, '_>,
    ) -> Evaluated<Value<'a>> {
        self.at = At::Operand(operand);
        let value = self.argument(dot, Parameter::Any, start)?;
        self.fields(value, fields, arguments)
    }

    /// `.A.B` of a value. Only methods could take the arguments, and there are none.
    fn fields(
        &mut self,
        mut value: Value<'a>,
        names: &[String],
        arguments: &Arguments<'a, '_>,
    ) -> Evaluated<Value<'a>> {
        for (index, name) in names.iter().enumerate() {
            let with_arguments = index + 1 == names.len() && !arguments.is_empty();
            value = self.field(&value, name, with_arguments)?;
        }
        Ok(value)
    }

    fn field(&mut self, value: &Value<'a>, name: &str, with_arguments: bool) -> Evaluated<Value<'a>> {
        let found = match (value, name) {
            (Value::Nothing, _) => return Ok(Value::Nothing),
            (Value::Environment(map), _) => {
                if with_arguments {
                    return Err(self.error(format_args!("{name} is not a method but has arguments")));
                }
                let Some(value) = map.get(name) else {
                    return Ok(Value::Nothing);
                };
                self.spend(value.len())?;
                return Ok(Value::text(value));
            }
            (Value::Root(values), "Envs") => Value::Environment(&values.envs),
            (Value::Pair((first, _)), "First") => Value::Int64(*first),
            (Value::Pair((_, second)), "Second") => Value::Int64(*second),
            _ => {
                let type_name = value.type_name(self.functions);
                return Err(self.error(format_args!("can't evaluate field {name} in type {type_name}")));
            }
        };
        if with_arguments {
            return Err(self.error(format_args!("{name} has arguments but cannot be invoked as function")));
        }
        Ok(found)
    }

    /// Calls a function. `whole` is what an error of the function itself shows.
    fn call(
        &mut self,
        dot: &Value<'a>,
        name: &str,
        whole: At<'a>,
        arguments: &Arguments<'a, '_>,
    ) -> Evaluated<Value<'a>> {
        let Some(signature) = functions::signature(name) else {
            return Err(self.error(format_args!("{} is not a defined function", quote(name.as_bytes()))));
        };
        let (wanted, count) = (signature.fixed.len(), arguments.count());
        if signature.variadic && count < wanted {
            let got = arguments.operands.len();
            return Err(
                self.error(format_args!("wrong number of args for {name}: want at least {wanted} got {got}"))
            );
        }
        if !signature.variadic && count != wanted {
            return Err(
                self.error(format_args!("wrong number of args for {name}: want {wanted} got {count}"))
            );
        }
        if matches!(name, "and" | "or") {
            return self.and_or(dot, name == "or", arguments);
        }
        let parameter = |index: usize| signature.fixed.get(index).copied().unwrap_or(Parameter::Any);
        let mut values = Vec::with_capacity(count);
        for (index, operand) in arguments.operands.iter().enumerate() {
            values.push(self.argument(dot, parameter(index), operand)?);
        }
        if let Some(piped) = arguments.piped {
            values.push(self.check(piped.clone(), parameter(count - 1))?);
        }
        let result = if name == "call" {
            Err(Failure::Message(self.not_callable(&values, arguments)))
        } else {
            functions::invoke(name, &values, self.work, self.functions)
        };
        match result {
            Ok(value) => {
                self.spend(cost(&value))?;
                Ok(value)
            }
            Err(failure) => {
                self.at = whole;
                Err(match failure {
                    Failure::Message(message) => self.error(format_args!("error calling {name}: {message}")),
                    Failure::TooLong => self.too_much_work(),
                })
            }
        }
    }

    /// The first argument that decides, else the last.
    fn and_or(
        &mut self,
        dot: &Value<'a>,
        deciding: bool,
        arguments: &Arguments<'a, '_>,
    ) -> Evaluated<Value<'a>> {
        let mut value = Value::Nothing;
        for operand in arguments.operands {
            value = self.argument(dot, Parameter::Any, operand)?;
            if value.truth() == deciding {
                return Ok(value);
            }
        }
        Ok(arguments.piped.cloned().unwrap_or(value))
    }

    /// Why `call` fails: no value of a template is a function.
    fn not_callable(&self, values: &[Value<'a>], arguments: &Arguments<'a, '_>) -> String {
        let Some(value) = values.first().filter(|value| !matches!(value, Value::Nothing)) else {
            return "call of nil".to_owned();
        };
        let name = match (arguments.operands.first(), value) {
            (Some(operand), _) => operand.to_string(),
            (None, Value::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            (None, _) => format!("<{} Value>", value.type_name(self.functions)),
        };
        format!("non-function {name} of type {}", value.type_name(self.functions))
    }

    fn argument(
        &mut self,
        dot: &Value<'a>,
        parameter: Parameter,
        operand: &'a Operand,
    ) -> Evaluated<Value<'a>> {
        self.spend(1)?;
        self.at = At::Operand(operand);
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil if parameter == Parameter::Text => {
                return Err(self.error("cannot assign nil to string"));
            }
            Term::Nil => return Ok(Value::Nothing),
            Term::Field(names) => self.fields(dot.clone(), names, &Arguments::NONE)?,
            Term::Variable { name, fields } => self.variable(operand, name, fields, &Arguments::NONE)?,
            Term::Parentheses(pipeline) => self.pipeline(dot, pipeline)?,
            Term::Function(name) => self.call(dot, name, At::Operand(operand), &Arguments::NONE)?,
            Term::Chain { start, fields } => self.chain(dot, operand, start, fields, &Arguments::NONE)?,
            Term::Bool(_) | Term::Number(_) if parameter == Parameter::Text => {
                return Err(self.error(format_args!("expected string; found {operand}")));
            }
            Term::Bool(_) | Term::Number(_) | Term::Text { .. } => return self.constant(operand),
        };
        self.check(value, parameter)
    }

    fn check(&self, value: Value<'a>, parameter: Parameter) -> Evaluated<Value<'a>> {
        match (parameter, &value) {
            (Parameter::Any, _) | (Parameter::Text, Value::Text(_)) => Ok(value),
            (Parameter::Text, Value::Nothing) => Err(self.error("invalid value; expected string")),
            (Parameter::Text, _) => {
                let name = value.type_name(self.functions);
                Err(self.error(format_args!("wrong type for value; expected string; got {name}")))
            }
        }
    }

    /// A value inside an error. The environment is left out: it may hold secrets.
    fn shown(&self, value: &Value<'_>) -> String {
        crate::compare::shown(value, 'v', self.functions)
    }
}

/// The work that went into a value: what it keeps in memory.
fn cost(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Numbers(list) => list.items().len() * 8,
        Value::Pairs(list) => list.items().len() * 16,
        _ => 1,
    }
}
