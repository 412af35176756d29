//! Help and usage texts, in the layout that users and scripts know (upstream: `spf13/cobra` and `spf13/pflag`).

use crate::command::{Command, HELP, Path, Words};
use crate::flags::{Kind, Spec};
use std::fmt::Write;

/// Width of the column of command names, at least.
const MIN_NAME_WIDTH: usize = 11;

/// What `--help` prints.
pub(crate) fn help(path: &Path<'_>) -> String {
    let command = path.command();
    let about = if command.long.is_empty() { &command.about } else { &command.long };
    format!("{}\n\n{}", about.trim_end(), usage(path))
}

/// What follows an error, from the line `Usage:` on.
pub(crate) fn usage(path: &Path<'_>) -> String {
    let command = path.command();
    let mut text = String::from("Usage:");
    // Writing to a `String` cannot fail.
    if command.runnable {
        let words = match command.words {
            Words::Named(words) => format!(" {words}"),
            Words::Ignored | Words::Refused => String::new(),
        };
        let _ = write!(text, "\n  {}{words} [flags]", path.text());
    }
    if !command.commands.is_empty() {
        let _ = write!(text, "\n  {} [command]", path.text());
        commands(&mut text, command);
    }
    flags(&mut text, "Flags", path.own_flags().chain([HELP]).collect());
    flags(&mut text, "Global Flags", path.inherited_flags().collect());
    if !command.commands.is_empty() {
        let _ = write!(
            text,
            "\n\nUse \"{} [command] --help\" for more information about a command.",
            path.text()
        );
    }
    text.push('\n');
    text
}

fn commands(text: &mut String, command: &Command) {
    let mut commands: Vec<_> = command.commands.iter().collect();
    commands.sort_by_key(|command| command.name);
    let width = commands.iter().map(|command| command.name.len()).max().unwrap_or(0).max(MIN_NAME_WIDTH);
    text.push_str("\n\nAvailable Commands:");
    for Command { name, about, .. } in commands {
        let _ = write!(text, "\n  {name:width$} {about}");
    }
}

fn flags(text: &mut String, title: &str, mut flags: Vec<Spec>) {
    if flags.is_empty() {
        return;
    }
    flags.sort_by_key(|flag| flag.name);
    let labels: Vec<_> = flags.iter().map(label).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    let _ = write!(text, "\n\n{title}:");
    for (flag, label) in flags.iter().zip(&labels) {
        let _ = write!(text, "\n{label:width$}   {}{}", flag.help, default(flag));
    }
}

fn label(flag: &Spec) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let word = flag.kind.word();
    let blank = if word.is_empty() { "" } else { " " };
    format!("  {short}--{}{blank}{word}", flag.name)
}

/// The default, unless it is the zero value of the type.
fn default(flag: &Spec) -> String {
    match flag.kind {
        // Upstream's library does not know the zero value of maps.
        Kind::Pairs => " (default [])".to_owned(),
        _ if flag.default.is_empty() => String::new(),
        Kind::Text => format!(" (default \"{}\")", flag.default),
        Kind::Bool
        | Kind::Ignored
        | Kind::Number
        | Kind::List
        | Kind::Duration
        | Kind::Ports
        | Kind::Bandwidth => {
            format!(" (default {})", flag.default)
        }
    }
}
