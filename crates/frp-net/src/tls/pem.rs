//! PEM files, read as leniently as Go's `encoding/pem`: text around the blocks, headers, any line endings and
//! line lengths; a block that is damaged is skipped and the next one found.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One block.
pub(super) struct Block {
    /// `CERTIFICATE`, `RSA PRIVATE KEY`, ...
    pub(super) label: String,
    /// Whether it has headers (`Proc-Type: 4,ENCRYPTED`).
    pub(super) has_headers: bool,
    pub(super) content: Vec<u8>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// All blocks of a file, in order.
pub(super) fn blocks(file: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(file);
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<&str>)> = None;
    for line in text.lines().map(str::trim_end) {
        if let Some(label) = label(line, BEGIN) {
            // A begin without an end before it is forgotten.
            open = Some((label.to_owned(), Vec::new()));
        } else if let Some(ending) = label(line, END) {
            let complete = open.take().filter(|(begun, _)| begun == ending);
            blocks.extend(complete.and_then(|(label, lines)| decode(label, &lines)));
        } else if let Some((_, lines)) = &mut open {
            lines.push(line);
        }
    }
    blocks
}

fn label<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker)?.strip_suffix(DASHES)
}

fn decode(label: String, lines: &[&str]) -> Option<Block> {
    let headers = lines.iter().take_while(|line| line.contains(':')).count();
    let mut encoded = lines.get(headers..)?.concat();
    encoded.retain(|c| !c.is_ascii_whitespace());
    let content = STANDARD.decode(encoded).ok()?;
    Some(Block { label, has_headers: headers > 0, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, bool, String)> {
        let read = |b: Block| (b.label, b.has_headers, String::from_utf8(b.content).unwrap());
        blocks(text.as_bytes()).into_iter().map(read).collect()
    }

    fn one(label: &str, content: &str) -> Vec<(String, bool, String)> {
        vec![(label.to_owned(), false, content.to_owned())]
    }

    #[test]
    fn text_around_and_between_is_ignored() {
        let text = "subject=/CN=x\n-----BEGIN A-----\naGVs\nbG8=\n-----END A-----\nmore\n-----BEGIN B B-----\n\
                    d29ybGQ=\n-----END B B-----";
        assert_eq!(found(text), [one("A", "hello"), one("B B", "world")].concat());
    }

    #[test]
    fn any_line_endings_and_indents() {
        assert_eq!(found("-----BEGIN A-----\r\naGV sbG8=\t\r\n-----END A-----  \r\n"), one("A", "hello"));
        assert_eq!(found("-----BEGIN A-----\naG\nV\ns\nbG8=\n\n-----END A-----\n"), one("A", "hello"));
    }

    #[test]
    fn headers_are_noticed() {
        let text = "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\naGVsbG8=\n-----END A-----\n";
        assert_eq!(found(text), [("A".to_owned(), true, "hello".to_owned())]);
    }

    #[test]
    fn damaged_blocks_are_skipped() {
        let good = "-----BEGIN A-----\naGVsbG8=\n-----END A-----\n";
        for bad in [
            "-----BEGIN A-----\naGV*\n-----END A-----\n",
            "-----BEGIN A-----\naGVsbG8=\n-----END B-----\n",
            "-----BEGIN A-----\naGVs\n",
            "-----END A-----\n",
            "-----BEGIN A\naGVs\n",
        ] {
            assert_eq!(found(&format!("{bad}{good}")), one("A", "hello"), "{bad}");
        }
        assert!(found("no block at all").is_empty());
        assert!(blocks(b"\xff\xfe-----BEGIN").is_empty());
    }
}
