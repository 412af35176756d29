//! INI as upstream's parser reads it (go-ini 1.67.0): sections of keys with texts.
//!
//! `serde_ini` splits lines and knows nothing else of that dialect, so [`normalise`] first turns a file into lines that
//! no splitter can read differently: no comments, blanks or multi-line values, and every unusual byte encoded. What is
//! left here is what happens between sections: merging, parents and references.

mod normalise;

use std::collections::HashMap;

pub(crate) use normalise::{Dialect, IniError};
use serde_ini::{Item, Parser};

/// The section of the keys that stand before any section.
pub(crate) const DEFAULT_SECTION: &str = "DEFAULT";

/// How many ancestors a section may have; upstream does not limit it.
const MAX_ANCESTORS: usize = 64;

/// How often a value is searched for references.
const MAX_ROUNDS: usize = 99;

/// How long a value may grow by its references, in bytes; upstream does not limit it.
const MAX_VALUE: usize = 1 << 20;

/// A file's sections, in the order of their first appearance. The first is [`DEFAULT_SECTION`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Ini {
    sections: Vec<Section>,
    places: HashMap<String, usize>,
}

/// A section's own keys.
#[derive(Clone, Default)]
pub(crate) struct Section {
    name: String,
    keys: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl std::fmt::Debug for Section {
    /// Keys only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section").field("name", &self.name).field("keys", &self.places.keys()).finish()
    }
}

impl Section {
    /// The name as written between the brackets.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The keys in order with their values as written, without references resolved.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Sets a key; a known one keeps its place.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        match self.places.get(key).and_then(|place| self.keys.get_mut(*place)) {
            Some((_, known)) => value.clone_into(known),
            None => {
                self.places.insert(key.to_owned(), self.keys.len());
                self.keys.push((key.to_owned(), value.to_owned()));
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.places.get(key).and_then(|place| self.keys.get(*place)).map(|(_, value)| value.as_str())
    }
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// The file is at fault, in upstream's words.
    pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Self, IniError> {
        let lines = normalise::normalise(text, dialect)?;
        let mut ini = Self::default();
        let mut section = ini.place(DEFAULT_SECTION);
        for item in Parser::from_str(&lines) {
            match item {
                Ok(Item::Section { name }) => section = ini.place(&normalise::decode(&name)),
                Ok(Item::Value { key, value }) => {
                    let (key, value) = (normalise::decode(&key), normalise::decode(&value));
                    if let Some(section) = ini.sections.get_mut(section) {
                        section.set(&key, &value);
                    }
                }
                // The normal form has nothing else.
                Ok(Item::Empty | Item::Comment { .. }) | Err(_) => {}
            }
        }
        Ok(ini)
    }

    /// All sections, in order.
    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of that name, made if there is none.
    pub(crate) fn section_mut(&mut self, name: &str) -> Option<&mut Section> {
        let place = self.place(name);
        self.sections.get_mut(place)
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.sections.len();
        self.sections.push(Section { name: name.to_owned(), ..Section::default() });
        self.places.insert(name.to_owned(), place);
        place
    }

    /// The section of that name; nothing stands for the default section.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        let name = if name.is_empty() { DEFAULT_SECTION } else { name };
        self.places.get(name).and_then(|place| self.sections.get(*place))
    }

    /// The value of a key with its references resolved. `[a.b]` has the keys of `[a]` that it does not set itself.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<String> {
        let section = self.section(section)?;
        let (owner, value) = self.find(section, key)?;
        Some(self.resolve(owner, key, value))
    }

    /// The section that sets a key, starting from `section`, and the value as written.
    fn find<'a>(&'a self, section: &'a Section, key: &str) -> Option<(&'a Section, &'a str)> {
        if let Some(value) = section.get(key) {
            return Some((section, value));
        }
        let mut name = section.name.as_str();
        for _ in 0..MAX_ANCESTORS {
            name = name.get(..name.rfind('.')?)?;
            if let Some(ancestor) = self.section(name)
                && let Some(value) = ancestor.get(key)
            {
                return Some((ancestor, value));
            }
        }
        None
    }

    /// Replaces `%(name)s` by the value of that key in the same section, or in [`DEFAULT_SECTION`]. What names no key
    /// stays, and with it all that follows.
    fn resolve(&self, owner: &Section, key: &str, value: &str) -> String {
        let mut value = value.to_owned();
        for _ in 0..MAX_ROUNDS {
            let Some((reference, name)) = find_reference(&value) else {
                break;
            };
            let found = self
                .find(owner, name)
                .filter(|(section, _)| name != key || section.name != owner.name)
                .or_else(|| self.find(self.section(DEFAULT_SECTION)?, name));
            let Some((_, replacement)) = found else {
                break;
            };
            let occurrences = value.matches(reference).count();
            let kept = value.len() - occurrences * reference.len();
            if kept.saturating_add(occurrences.saturating_mul(replacement.len())) > MAX_VALUE {
                break;
            }
            value = value.replace(reference, replacement);
        }
        value
    }
}

/// The first `%(name)s` of a value, and its name.
fn find_reference(value: &str) -> Option<(&str, &str)> {
    for (start, _) in value.match_indices("%(") {
        let rest = value.get(start + 2..)?;
        let end = rest.find(')')?;
        if end > 0 && rest.get(end + 1..).is_some_and(|rest| rest.starts_with('s')) {
            return Some((value.get(start..start + end + 4)?, rest.get(..end)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, section: &str, key: &str) -> Option<String> {
        Ini::parse(text, Dialect::LOAD).unwrap().value(section, key)
    }

    #[test]
    fn sections_merge_and_later_keys_win() {
        let ini = Ini::parse("x = 1\n[a]\nk = 1\nl = 2\n[b]\n[a]\nk = 3\n", Dialect::LOAD).unwrap();
        let names: Vec<_> = ini.sections().iter().map(Section::name).collect();
        assert_eq!(names, ["DEFAULT", "a", "b"]);
        let keys: Vec<_> = ini.section("a").unwrap().keys().collect();
        assert_eq!(keys, [("k", "3"), ("l", "2")]);
        assert_eq!(ini.value("DEFAULT", "x").as_deref(), Some("1"));
    }

    #[test]
    fn a_section_inherits_from_its_ancestors_only() {
        let text = "d = 0\n[a]\nk = 1\nr = %(own)s\nown = a\n[a.b.c]\nown = c\n[ab]\n[.x]\n";
        assert_eq!(value(text, "a.b.c", "k").as_deref(), Some("1"));
        // A reference belongs to the section that holds it.
        assert_eq!(value(text, "a.b.c", "r").as_deref(), Some("a"));
        assert_eq!(value(text, "ab", "k"), None);
        assert_eq!(value(text, "a", "d"), None);
        assert_eq!(value(text, ".x", "d").as_deref(), Some("0"));
    }

    #[test]
    fn references_are_resolved_in_the_section_and_in_default() {
        let text = "dom = x.test\nself = base\n[a]\nhost = w.%(dom)s\nboth = %(host)s:%(host)s\nself = <%(self)s>\n\
                    gone = %(nope)s %(dom)s\nodd = 100% %(d %()s %(dom)\nloop = %(pool)s\npool = %(loop)s\n";
        for (key, expected) in [
            ("host", "w.x.test"),
            ("both", "w.x.test:w.x.test"),
            ("self", "<base>"),
            ("gone", "%(nope)s %(dom)s"),
            ("odd", "100% %(d %()s %(dom)"),
        ] {
            assert_eq!(value(text, "a", key).as_deref(), Some(expected), "{key}");
        }
        assert!(value(text, "a", "loop").unwrap().starts_with("%("));
    }

    #[test]
    fn references_cannot_grow_without_end() {
        let text = "[a]\nx = %(y)s%(y)s\ny = %(x)s%(x)s\n";
        assert!(value(text, "a", "x").unwrap().len() <= MAX_VALUE);
    }

    /// It would take 160 GB, and then more.
    #[test]
    fn a_value_that_would_be_too_long_is_not_made() {
        let mut text = format!("[a]\nx = {}\nlong = ", "%(y)s".repeat(200_000));
        text.push_str(&format!("{}\ny = {}\n", "z".repeat(MAX_VALUE), "%(long)s".repeat(100_000)));
        let resolved = value(&text, "a", "x").unwrap();
        assert_eq!(resolved, "%(y)s".repeat(200_000));
    }
}
