//! Words to flags with values (upstream: `spf13/pflag` v1.0.5, `flag.go`).

use frp_template::quote::quote_char;

use crate::flags::Spec;
use crate::go::quote;

/// What the words are.
#[derive(Debug, Default)]
pub(super) struct ParsedWords {
    /// Flags in the order of typing, with a value each.
    pub(super) flags: Vec<(&'static str, String)>,
    /// Words without a dash, and all behind `--`.
    pub(super) words: Vec<String>,
}

/// `_` and `-` are the same in long names.
pub(super) fn normalised(name: &str) -> String {
    name.replace('_', "-")
}

/// Reads words until the first mistake; values are checked as they come, since upstream names the first mistake.
///
/// # Errors
///
/// The text behind `Error: `.
pub(super) fn parse(flags: &[Spec], words: &[String]) -> Result<ParsedWords, String> {
    let mut parsed = ParsedWords::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.words.extend(words.cloned());
            break;
        }
        if let Some(name) = word.strip_prefix("--") {
            parsed.flags.push(long(flags, word, name, &mut words)?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            cluster(flags, letters, &mut words, &mut parsed.flags)?;
        } else {
            parsed.words.push(word.clone());
        }
    }
    Ok(parsed)
}

type Rest<'a> = std::slice::Iter<'a, String>;
type Given = (&'static str, String);

/// `--name`, `--name=value` or `--name value`.
fn long(flags: &[Spec], word: &str, text: &str, rest: &mut Rest<'_>) -> Result<Given, String> {
    if text.starts_with(['-', '=']) {
        return Err(format!("bad flag syntax: {word}"));
    }
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let normalised = normalised(name);
    let Some(flag) = flags.iter().find(|flag| flag.name == normalised) else {
        return Err(format!("unknown flag: --{name}"));
    };
    let value = match value {
        Some(value) => value,
        None if flag.kind.stands_alone() => "true",
        None => rest.next().ok_or_else(|| format!("flag needs an argument: {word}"))?,
    };
    given(flag, value)
}

/// `-n`, `-nvalue`, `-n=value`, `-n value`, and several flags that stand alone behind one dash.
fn cluster(flags: &[Spec], letters: &str, rest: &mut Rest<'_>, into: &mut Vec<Given>) -> Result<(), String> {
    let mut letters = letters;
    while let Some(&letter) = letters.as_bytes().first() {
        // Upstream goes by bytes and shows them as Latin-1.
        let letter = char::from(letter);
        let Some(flag) = flags.iter().find(|flag| flag.short == Some(letter)) else {
            return Err(format!("unknown shorthand flag: {} in -{letters}", quote_char(letter)));
        };
        // A shorthand is ASCII, so this is a boundary.
        let behind = letters.get(1..).unwrap_or_default();
        letters = "";
        let value = match behind.strip_prefix('=').filter(|value| !value.is_empty()) {
            Some(value) => value,
            None if flag.kind.stands_alone() => {
                letters = behind;
                "true"
            }
            None if !behind.is_empty() => behind,
            None => rest
                .next()
                .ok_or_else(|| format!("flag needs an argument: {} in -{letter}", quote_char(letter)))?,
        };
        into.push(given(flag, value)?);
    }
    Ok(())
}

fn given(flag: &Spec, value: &str) -> Result<Given, String> {
    match flag.kind.parse(value) {
        Ok(_) => Ok((flag.name, value.to_owned())),
        Err(error) => {
            Err(format!("invalid argument {} for {} flag: {error}", quote(value), quote(&flag.label())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Kind;

    fn flags() -> Vec<Spec> {
        let flag = |name, short, kind| Spec { name, short, kind, default: "", help: "" };
        vec![
            flag("config", Some('c'), Kind::Text),
            flag("strict-config", None, Kind::Bool),
            flag("version", Some('v'), Kind::Bool),
            flag("all", Some('a'), Kind::Bool),
            flag("bind-port", Some('p'), Kind::Number),
        ]
    }

    type Read = (Vec<(String, String)>, Vec<String>);

    fn read(words: &[&str]) -> Result<Read, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let parsed = parse(&flags(), &words)?;
        let flags = parsed.flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok((flags, parsed.words))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_stand_in_every_form() {
        for words in [vec!["--config", "f"], vec!["--config=f"], vec!["-c", "f"], vec!["-cf"], vec!["-c=f"]] {
            assert_eq!(read(&words).unwrap().0, pairs(&[("config", "f")]), "{words:?}");
        }
        // A lone `=` is a value.
        assert_eq!(read(&["-c="]).unwrap().0, pairs(&[("config", "=")]));
        assert_eq!(read(&["--config="]).unwrap().0, pairs(&[("config", "")]));
        assert_eq!(read(&["--config", "--version"]).unwrap().0, pairs(&[("config", "--version")]));
        assert_eq!(read(&["-c", "--"]).unwrap().0, pairs(&[("config", "--")]));
        assert_eq!(
            read(&["-vac", "f"]).unwrap().0,
            pairs(&[("version", "true"), ("all", "true"), ("config", "f")])
        );
        assert_eq!(read(&["-v=0"]).unwrap().0, pairs(&[("version", "0")]));
    }

    #[test]
    fn booleans_take_no_word_of_their_own() {
        let (flags, words) = read(&["--strict_config", "false", "", "-", "--", "-v"]).unwrap();
        assert_eq!(flags, pairs(&[("strict-config", "true")]));
        assert_eq!(words, ["false", "", "-", "-v"]);
    }

    #[test]
    fn mistakes_are_named_as_typed() {
        for (words, error) in [
            (vec!["--nope=1"], "unknown flag: --nope"),
            (vec!["--no_pe"], "unknown flag: --no_pe"),
            (vec!["-vZc"], "unknown shorthand flag: 'Z' in -Zc"),
            (vec!["-é"], "unknown shorthand flag: 'Ã' in -é"),
            (vec!["-'"], r"unknown shorthand flag: '\'' in -'"),
            (vec!["-\""], "unknown shorthand flag: '\"' in -\""),
            (vec!["---x"], "bad flag syntax: ---x"),
            (vec!["--=x"], "bad flag syntax: --=x"),
            (vec!["--bind_port"], "flag needs an argument: --bind_port"),
            (vec!["-vp"], "flag needs an argument: 'p' in -p"),
            (
                vec!["--bind_port", "x", "--nope"],
                "invalid argument \"x\" for \"-p, --bind-port\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                vec!["-v=x"],
                "invalid argument \"x\" for \"-v, --version\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
        ] {
            assert_eq!(read(&words).unwrap_err(), error, "{words:?}");
        }
    }
}
