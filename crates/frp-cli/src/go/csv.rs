//! The first record of a text in comma separated values (`encoding/csv` with its default settings).

/// The fields of the first record that is not an empty line.
///
/// # Errors
///
/// Go's text for a quote in a wrong place, or `EOF` where there is no record.
pub(crate) fn read_record(text: &str) -> Result<Vec<String>, String> {
    let mut lines = Lines { rest: text, number: 0 };
    let mut line = loop {
        match lines.next() {
            None => return Err("EOF".to_owned()),
            Some("\n") => {}
            Some(line) => break line,
        }
    };
    let record_line = lines.number;
    let mut column = 1;
    let mut fields = Vec::new();
    loop {
        if !line.starts_with('"') {
            let (field, rest) = match line.split_once(',') {
                Some((field, rest)) => (field, Some(rest)),
                None => (line.strip_suffix('\n').unwrap_or(line), None),
            };
            if let Some(at) = field.find('"') {
                let what = "bare \" in non-quoted-field";
                return Err(error(record_line, lines.number, column + at, what));
            }
            fields.push(field.to_owned());
            let Some(rest) = rest else { return Ok(fields) };
            column += field.len() + 1;
            line = rest;
            continue;
        }
        line = line.get(1..).unwrap_or_default();
        column += 1;
        let mut field = String::new();
        let what = "extraneous or missing \" in quoted-field";
        loop {
            if let Some((before, after)) = line.split_once('"') {
                field.push_str(before);
                column += before.len() + 1;
                line = after;
                if let Some(after) = line.strip_prefix('"') {
                    field.push('"');
                    column += 1;
                    line = after;
                } else if let Some(after) = line.strip_prefix(',') {
                    column += 1;
                    line = after;
                    fields.push(field);
                    break;
                } else if line.is_empty() || line == "\n" {
                    fields.push(field);
                    return Ok(fields);
                } else {
                    return Err(error(record_line, lines.number, column - 1, what));
                }
            } else if !line.is_empty() {
                // The field goes on in the next line.
                field.push_str(line);
                column += line.len();
                line = "";
                if let Some(next) = lines.next() {
                    line = next;
                    column = 1;
                }
            } else {
                return Err(error(record_line, lines.number, column, what));
            }
        }
    }
}

fn error(record_line: usize, line: usize, column: usize, what: &str) -> String {
    let text = format!("parse error on line {line}, column {column}: {what}");
    if record_line == line { text } else { format!("record on line {record_line}; {text}") }
}

/// Lines with their break; a carriage return before it, or before the end of the text, is dropped in what follows.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, rest) = match self.rest.find('\n') {
            Some(end) => self.rest.split_at(end + 1),
            None => (self.rest.strip_suffix('\r').unwrap_or(self.rest), ""),
        };
        self.rest = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_and_unquoted() {
        for (text, fields) in [
            ("a", vec!["a"]),
            ("a,b", vec!["a", "b"]),
            (",", vec!["", ""]),
            (" a , b ", vec![" a ", " b "]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""a""b""#, vec!["a\"b"]),
            (r#""","#, vec!["", ""]),
            ("\n\na,b\nc", vec!["a", "b"]),
            ("\"a\nb\",c", vec!["a\nb", "c"]),
        ] {
            assert_eq!(read_record(text), Ok(fields.into_iter().map(str::to_owned).collect()), "{text:?}");
        }
    }

    #[test]
    fn quotes_in_wrong_places_are_named() {
        for (text, message) in [
            ("a\"b", "parse error on line 1, column 2: bare \" in non-quoted-field"),
            ("a,b\"", "parse error on line 1, column 4: bare \" in non-quoted-field"),
            ("\"a\"b", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("\n", "EOF"),
        ] {
            assert_eq!(read_record(text), Err(message.to_owned()), "{text:?}");
        }
    }
}
