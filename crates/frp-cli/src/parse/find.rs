//! Which command the words name (upstream: `spf13/cobra`, `command.go`).

use crate::command::{Command, Path};
use crate::flags::Spec;
use crate::go::quote;

/// How many letters may differ in a command that is suggested.
const SUGGESTION_DISTANCE: usize = 2;

/// A command, and the words without its name.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) path: Path<'a>,
    pub(super) words: Vec<String>,
}

/// The first word on the root is no command. Displays as upstream's text, suggestions included.
#[derive(Debug, thiserror::Error)]
#[error("unknown command {} for {}{suggestions}", quote(.word), quote(.path))]
pub(super) struct UnknownCommand {
    word: String,
    path: String,
    suggestions: String,
}

impl UnknownCommand {
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Goes down the tree as long as words name sub-commands.
pub(super) fn find<'a>(root: &'a Command, words: &[String]) -> Result<Found<'a>, UnknownCommand> {
    let mut path = Path::root(root);
    let mut words = words.to_vec();
    while let Some((at, child)) = next(&path, &words) {
        words.remove(at);
        path = path.child(child);
    }
    if path.is_root()
        && let Some(at) = bare_words(&path, &words).into_iter().next()
        && let Some(word) = words.get(at)
    {
        return Err(UnknownCommand {
            word: word.clone(),
            path: path.text(),
            suggestions: suggestions(root, word),
        });
    }
    Ok(Found { path, words })
}

/// The sub-command that the first bare word names, and where that word is.
fn next<'a>(path: &Path<'a>, words: &[String]) -> Option<(usize, &'a Command)> {
    let at = bare_words(path, words).into_iter().next()?;
    let word = words.get(at)?;
    let child = path.command().commands.iter().find(|command| command.name == word)?;
    Some((at, child))
}

/// Where words stand that are neither flags nor values of flags. The rule is upstream's: a flag that is unknown is
/// taken for one with a value (as is `--help`, which is unknown at this point), and a flag that is followed by one
/// word only ends the search.
fn bare_words(path: &Path<'_>, words: &[String]) -> Vec<usize> {
    let flags: Vec<Spec> = path.flags().collect();
    let stands_alone = |is_it: &dyn Fn(&Spec) -> bool| {
        flags.iter().find(|flag| is_it(flag)).is_some_and(|flag| flag.kind.stands_alone())
    };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        if word == "--" {
            break;
        }
        let takes_next = match word.strip_prefix('-') {
            Some(_) if word.contains('=') => false,
            Some(rest) => match rest.strip_prefix('-') {
                Some(name) => {
                    let name = super::words::normalised(name);
                    !stands_alone(&|flag| flag.name == name)
                }
                None => {
                    let mut letters = rest.bytes();
                    match (letters.next(), letters.next()) {
                        (Some(letter), None) => !stands_alone(&|flag| flag.short == Some(char::from(letter))),
                        _ => false,
                    }
                }
            },
            None => false,
        };
        if takes_next {
            if words.len() - at <= 1 {
                break;
            }
            at += 1;
        } else if !word.is_empty() && !word.starts_with('-') {
            found.push(at - 1);
        }
    }
    found
}

fn suggestions(root: &Command, word: &str) -> String {
    let near: Vec<_> = root
        .commands
        .iter()
        .filter(|command| command.name != "help")
        .filter(|command| {
            let (name, word) = (command.name.to_lowercase(), word.to_lowercase());
            distance(&word, &name) <= SUGGESTION_DISTANCE || name.starts_with(&word)
        })
        .map(|command| format!("\t{}\n", command.name))
        .collect();
    if near.is_empty() { String::new() } else { format!("\n\nDid you mean this?\n{}", near.concat()) }
}

/// How many letters must be put in, taken out or changed to make one word the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.bytes().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (above, other) in row.iter_mut().skip(1).zip(&to) {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = *above;
            left = changed.min(diagonal + 1).min(left + 1);
            *above = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// A word as Go's `%#q` writes it: between backquotes if it can be.
pub(super) fn backquote(word: &str) -> String {
    if word.chars().any(|character| character == '`' || (character.is_control() && character != '\t')) {
        quote(word)
    } else {
        format!("`{word}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("verfy", "verify", 1),
            ("x", "xtcp", 3),
            ("kitten", "sitting", 3),
            ("tcp", "udp", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn topics_are_quoted() {
        assert_eq!(backquote("nope"), "`nope`");
        assert_eq!(backquote("a`b"), "\"a`b\"");
    }
}
