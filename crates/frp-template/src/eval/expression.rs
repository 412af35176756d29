//! What a pipeline comes to.

use super::{At, Evaluated, Evaluator};
use crate::ast::{Command, Operand, Pipeline, Term};
use crate::functions::{self, Failure, Parameter};
use crate::literal::Number;
use crate::quote::quote;
use crate::value::Value;

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

impl<'a> Evaluator<'a> {
    pub(super) fn pipeline(&mut self, dot: &Value<'a>, pipeline: &'a Pipeline) -> Evaluated<Value<'a>> {
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

    pub(super) fn assign(&mut self, name: &'a str, value: Value<'a>) -> Evaluated<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => Err(self.error(format_args!("undefined variable: {name}"))),
        }
    }

    pub(super) fn replace_from_top(&mut self, place: usize, value: Value<'a>) {
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
    pub(super) fn shown(&self, value: &Value<'_>) -> String {
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
