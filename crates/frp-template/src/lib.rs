//! The part of Go's `text/template` that frp configuration files are rendered with.
//!
//! Every configuration file, INI or not, is a template before it is anything else: it may read the
//! environment (`{{ .Envs.NAME }}`), loop over port ranges and define sub-templates. Users see the
//! engine through its output and its error texts, so both follow Go's engine (upstream
//! `pkg/config/load.go`, `pkg/config/template.go`; Go 1.26's `text/template`).
//!
//! The engine never reads the environment, a file or a clock, never panics on a template, and does a
//! bounded amount of work (see [`limits`]): a template that asks for more gets an error where Go's
//! would run on.
//!
//! What a template can reach is closed: the environment, numbers, texts, and the two lists of numbers.
//! There are no methods, functions as values, channels or structures from outside, so the parts of Go's
//! engine that deal with those are absent. So are, of `printf`, `%p`, the verbs that show a float in base 2
//! or 16, and the flag `#` for floats. Where Go shows the whole environment in an error, `map[...]` stands.
//!
//! Map, in the order in which a template passes through:
//! - `number` and [`number_range`]: Go's number grammars; the latter also serves the range sections of INI
//!   files.
//! - `lex`, `parse`, `ast`, `literal`: text to tree; the tree prints itself for error messages.
//! - `value`: what a template computes with, its truth and its Go type names.
//! - `eval`: walks the tree; its `expression` evaluates pipelines.
//! - `functions`, `compare`, `escape`: the functions that a template may call.
//! - `format`: Go's `fmt` for those values; [`quote`]: its quoted texts, which error texts elsewhere show, too.

#![forbid(unsafe_code)]

mod ast;
mod compare;
mod escape;
mod eval;
mod format;
mod functions;
mod lex;
pub mod limits;
mod literal;
mod number;
pub mod number_range;
mod parse;
pub mod quote;
mod value;

use std::collections::BTreeMap;
use std::fmt;

pub use number::NumberError;

/// The root value of a template. `{{ .Envs.NAME }}` is its only use.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// The process environment, as captured at start.
    pub envs: BTreeMap<String, String>,
}

impl fmt::Debug for Values {
    /// Names only: the environment may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("envs", &self.envs.keys()).finish()
    }
}

/// Which functions a template may call, and what Go calls the type of its root value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionSet {
    /// TOML, YAML and JSON files: the built-in functions, `parseNumberRange` and
    /// `parseNumberRangePair`. The root value is a `*config.Values`.
    V1,
    /// INI files: the built-in functions only. The root value is a `*legacy.Values`.
    Legacy,
}

/// A template that does not parse or does not run. Displays as Go's error text.
///
/// The template's author is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub(crate) String);

/// Renders `text`, a template named `frp`, with `values` as its root value.
///
/// Bytes that are not UTF-8 can only come from escapes and slices inside the template (`"\xff"`); they
/// are replaced by U+FFFD.
///
/// # Errors
/// A template that does not parse (`template: frp:1: unclosed action`) or fails while it runs
/// (`template: frp:1:5: executing "frp" at <.Nope>: can't evaluate field Nope in type *config.Values`),
/// in Go's words; or one that exceeds one of the [`limits`], in ours.
pub fn render(text: &str, values: &Values, functions: FunctionSet) -> Result<String, TemplateError> {
    let templates = parse::parse(text, functions)?;
    let output = eval::execute(text, &templates, values, functions)?;
    Ok(match String::from_utf8(output) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests;
