//! System errors in Go's words.

/// The text of a system error as Go prints it: `no such file or directory` for ENOENT and so on.
pub(crate) fn text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
