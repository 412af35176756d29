//! The command tree as clap knows it: typed values of a plain command line, and completion scripts.

use crate::command::{Command, HELP, Path};
use crate::flags::{Flag, Spec, Value};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

/// The values of a command's flags.
#[derive(Debug)]
pub(crate) struct Values(ArgMatches);

impl Values {
    /// Reads flags whose names and values are known to be good.
    ///
    /// # Errors
    ///
    /// clap's text, should its rules and ours ever differ.
    pub(super) fn read(
        root: &Command,
        path: &Path<'_>,
        flags: &[(&'static str, String)],
    ) -> Result<Self, String> {
        let line = [root.name]
            .into_iter()
            .chain(path.names())
            .map(str::to_owned)
            .chain(flags.iter().map(|(name, value)| format!("--{name}={value}")));
        let mut matches = clap_command(root).try_get_matches_from(line).map_err(|error| error.to_string())?;
        while let Some((_, inner)) = matches.remove_subcommand() {
            matches = inner;
        }
        Ok(Self(matches))
    }

    /// Whether a flag that stands alone was given as true.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.of(name).last().is_some_and(|value| matches!(value, Value::Bool(true)))
    }

    fn of(&self, name: &str) -> Vec<Value> {
        self.0
            .try_get_many::<Value>(name)
            .ok()
            .flatten()
            .map(|values| values.cloned().collect())
            .unwrap_or_default()
    }

    /// Sets everything that these flags set: the defaults, and what was typed.
    pub(crate) fn apply<T>(&self, tables: &[&[Flag<T>]], target: &mut T) {
        for flag in tables.iter().copied().flatten() {
            flag.apply(target, self.of(flag.name));
        }
    }
}

/// The whole tree.
fn clap_command(root: &Command) -> clap::Command {
    build(root, &[])
}

fn build(command: &Command, inherited: &[Spec]) -> clap::Command {
    let below: Vec<Spec> = inherited.iter().chain(&command.persistent).copied().collect();
    let flags = inherited.iter().chain(&command.local).chain(&command.persistent).chain([&HELP]);
    clap::Command::new(command.name)
        .about(command.about.clone())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args(flags.map(argument))
        .subcommands(command.commands.iter().map(|child| build(child, &below)))
}

fn argument(flag: &Spec) -> Arg {
    let kind = flag.kind;
    let argument = Arg::new(flag.name)
        .long(flag.name)
        .help(flag.help)
        .action(ArgAction::Append)
        .value_parser(ValueParser::from(move |word: &str| kind.parse(word)));
    let argument = if kind.stands_alone() {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        argument.num_args(1).allow_hyphen_values(true)
    };
    match flag.short {
        Some(short) => argument.short(short),
        None => argument,
    }
}

/// The script that makes `shell` complete the program's command lines.
pub(super) fn completion(root: &Command, shell: &str) -> String {
    let mut command = clap_command(root);
    let mut script = Vec::new();
    let shell = match shell {
        "fish" => clap_complete::Shell::Fish,
        "powershell" => clap_complete::Shell::PowerShell,
        "zsh" => clap_complete::Shell::Zsh,
        _ => clap_complete::Shell::Bash,
    };
    clap_complete::generate(shell, &mut command, root.name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
