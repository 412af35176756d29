//! How the keys of a section become values.

use crate::raw::ini::{Ini, Section};
use crate::value::{Pairs, Secret, number};

/// Reads the keys of one section. A key that is missing, empty or malformed leaves its target as it is.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    ini: &'a Ini,
    section: &'a Section,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(ini: &'a Ini, section: &'a Section) -> Self {
        Self { ini, section }
    }

    /// A value with references resolved, from the section or its ancestors; empty if there is none.
    pub(super) fn get(&self, key: &str) -> String {
        self.ini.value(self.section.name(), key).unwrap_or_default()
    }

    pub(super) fn text(&self, key: &str, target: &mut String) {
        let value = self.get(key);
        if !value.is_empty() {
            *target = value;
        }
    }

    pub(super) fn secret(&self, key: &str, target: &mut Secret) {
        let value = self.get(key);
        if !value.is_empty() {
            *target = value.into();
        }
    }

    pub(super) fn number(&self, key: &str, target: &mut i64) {
        if let Ok(value) = number::parse_int(&self.get(key), 0) {
            *target = value;
        }
    }

    pub(super) fn flag(&self, key: &str, target: &mut bool) {
        if let Some(value) = parse_bool(&self.get(key)) {
            *target = value;
        }
    }

    /// A boolean with a default of its own.
    pub(super) fn flag_or(&self, key: &str, default: bool) -> bool {
        parse_bool(&self.get(key)).unwrap_or(default)
    }

    pub(super) fn list(&self, key: &str, target: &mut Vec<String>) {
        let value = self.get(key);
        if !value.is_empty() {
            *target = split_list(&value);
        }
    }

    /// The section's own keys that begin with `prefix`, without it, with their values as written: neither references
    /// nor ancestors count here.
    pub(super) fn prefixed(&self, prefix: &str) -> Pairs {
        self.section
            .keys()
            .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.to_owned())))
            .collect()
    }

    /// The section's own value of a key, as written; empty if there is none.
    pub(super) fn written(&self, key: &str) -> String {
        self.section
            .keys()
            .find(|(name, _)| *name == key)
            .map_or_else(String::new, |(_, value)| value.to_owned())
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" | "YES" | "yes" | "Yes" | "y" | "ON" | "on" | "On" => {
            Some(true)
        }
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "NO" | "no" | "No" | "n" | "OFF" | "off" | "Off" => {
            Some(false)
        }
        _ => None,
    }
}

/// Items between commas, trimmed. `\,` is a comma and `\\` a backslash; an empty last item does not count.
fn split_list(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, ',') => {
                items.push(item.trim().to_owned());
                item.clear();
                continue;
            }
            (true, ',' | '\\') | (false, _) => {}
            (true, _) => item.push('\\'),
        }
        escaped = false;
        item.push(character);
    }
    if !item.is_empty() {
        items.push(item.trim().to_owned());
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, items) in [
            ("a, b ,c", &["a", "b", "c"][..]),
            ("a,,b,", &["a", "", "b"]),
            ("a, ", &["a", ""]),
            (r"a\,b,c\\,\d,e\", &["a,b", r"c\", r"\d", "e"]),
            (",", &[""]),
        ] {
            assert_eq!(split_list(text), items, "{text}");
        }
    }

    #[test]
    fn booleans_know_a_fixed_set_of_words() {
        for (text, value) in
            [("yes", Some(true)), ("Off", Some(false)), ("TrUe", None), ("Y", None), ("", None)]
        {
            assert_eq!(parse_bool(text), value, "{text}");
        }
    }
}
