//! From words to a command with the values of its flags.
//!
//! The words are read by the rules of upstream's libraries (`spf13/cobra` v1.8.0, `spf13/pflag` v1.0.5), which differ
//! from clap's in most details that users can see; what is left after that is a plain command line, which clap turns
//! into typed values.

mod find;
mod matches;
mod words;

pub(crate) use matches::Values;

use crate::command::{Command, HELP, Path, Words};
use crate::exit::Exit;
use crate::flags::Spec;
use crate::go::quote;
use crate::usage;

/// A command line that is understood, and asks for something other than help.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) path: Path<'a>,
    pub(crate) values: Values,
}

/// Reads the words behind the program's name.
///
/// # Errors
///
/// Everything that ends here: mistakes, help, completion scripts.
pub(crate) fn parse<'a>(root: &'a Command, words: &[String]) -> Result<Parsed<'a>, Exit> {
    let found = find::find(root, words).map_err(|error| {
        Exit::misuse(format!("Error: {error}\nRun '{} --help' for usage.\n", error.path()))
    })?;
    let path = found.path;
    let misuse = |error: String| Exit::misuse(format!("Error: {error}\n{}\n", usage::usage(&path)));
    let flags: Vec<Spec> = path.flags().chain([HELP]).collect();
    let parsed = words::parse(&flags, &found.words).map_err(misuse)?;
    let values = Values::read(root, &path, &parsed.flags).map_err(misuse)?;

    let command = path.command();
    if values.is_set(HELP.name) || !command.runnable {
        return Err(Exit::answer(usage::help(&path)));
    }
    if command.words == Words::Refused
        && let Some(word) = parsed.words.first()
    {
        return Err(misuse(format!("unknown command {} for {}", quote(word), quote(&path.text()))));
    }
    match path.names().as_slice() {
        ["help"] => Err(help(root, &parsed.words)),
        ["completion", shell] => Err(Exit::answer(matches::completion(root, shell))),
        _ => Ok(Parsed { path, values }),
    }
}

/// `help [command]`.
fn help(root: &Command, topic: &[String]) -> Exit {
    match find::find(root, topic) {
        Ok(found) => Exit::answer(usage::help(&found.path)),
        Err(_) => {
            let words: Vec<_> = topic.iter().map(|word| find::backquote(word)).collect();
            let usage = usage::usage(&Path::root(root));
            Exit { stderr: format!("Unknown help topic [{}]\n{usage}", words.join(" ")), ..Exit::default() }
        }
    }
}
