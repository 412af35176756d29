//! The tree of commands: what help, parsing and completion need to know of each.

use crate::flags::{Kind, Spec};

/// A command with its sub-commands.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// One line for the list of commands.
    pub(crate) about: String,
    /// What stands above the usage in the command's own help; empty repeats `about`.
    pub(crate) long: String,
    /// Flags that only this command has.
    pub(crate) local: Vec<Spec>,
    /// Flags that sub-commands have too.
    pub(crate) persistent: Vec<Spec>,
    /// In the order in which suggestions name them.
    pub(crate) commands: Vec<Self>,
    /// Does something by itself; else it prints its help.
    pub(crate) runnable: bool,
    /// What words without a dash do.
    pub(crate) words: Words,
}

/// What words on a command that is not a sub-command do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// They are ignored, except that on the root they are unknown commands.
    Ignored,
    /// They are errors.
    Refused,
    /// They are the command's business; the text names them in the usage line.
    Named(&'static str),
}

/// Every command has it, and upstream's library adds it only when flags are parsed.
pub(crate) const HELP: Spec =
    Spec { name: "help", short: Some('h'), kind: Kind::Bool, default: "", help: "print this help" };

impl Command {
    pub(crate) fn new(name: &'static str, about: impl Into<String>) -> Self {
        Self {
            name,
            about: about.into(),
            long: String::new(),
            local: Vec::new(),
            persistent: Vec::new(),
            commands: Vec::new(),
            runnable: true,
            words: Words::Ignored,
        }
    }

    /// Adds what upstream's library gives every program: `help` and `completion`.
    pub(crate) fn with_help_and_completion(mut self) -> Self {
        self.commands
            .push(Self { words: Words::Named("[command]"), ..Self::new("help", "Explain a command") });
        let shells = ["bash", "fish", "powershell", "zsh"].map(|shell| Self {
            local: vec![Spec {
                name: "no-descriptions",
                short: None,
                kind: Kind::Bool,
                default: "",
                help: "has no effect: the scripts are the same with and without",
            }],
            words: Words::Refused,
            ..Self::new(shell, format!("Print the completion script for {shell}"))
        });
        self.commands.push(Self {
            commands: shells.into(),
            runnable: false,
            words: Words::Refused,
            ..Self::new("completion", "Print a completion script for a shell")
        });
        self
    }
}

/// The way from the root to a command: never empty, the command itself last.
#[derive(Debug, Clone)]
pub(crate) struct Path<'a> {
    parents: Vec<&'a Command>,
    command: &'a Command,
}

impl<'a> Path<'a> {
    pub(crate) fn root(command: &'a Command) -> Self {
        Self { parents: Vec::new(), command }
    }

    pub(crate) fn child(mut self, command: &'a Command) -> Self {
        self.parents.push(self.command);
        self.command = command;
        self
    }

    pub(crate) fn command(&self) -> &'a Command {
        self.command
    }

    pub(crate) fn is_root(&self) -> bool {
        self.parents.is_empty()
    }

    /// From the root on.
    fn all(&self) -> impl Iterator<Item = &'a Command> {
        self.parents.iter().copied().chain([self.command])
    }

    /// The names from the sub-command of the root on; empty for the root.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.all().skip(1).map(|command| command.name).collect()
    }

    /// As it is typed: `frpc stcp visitor`.
    pub(crate) fn text(&self) -> String {
        self.all().map(|command| command.name).collect::<Vec<_>>().join(" ")
    }

    /// The command's own flags, `--help` left out.
    pub(crate) fn own_flags(&self) -> impl Iterator<Item = Spec> {
        self.command.local.iter().chain(&self.command.persistent).copied()
    }

    /// Flags it has from the commands above it.
    pub(crate) fn inherited_flags(&self) -> impl Iterator<Item = Spec> {
        self.parents.iter().flat_map(|parent| &parent.persistent).copied()
    }

    /// All flags, `--help` left out.
    pub(crate) fn flags(&self) -> impl Iterator<Item = Spec> {
        self.own_flags().chain(self.inherited_flags())
    }
}
