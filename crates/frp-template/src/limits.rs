//! How much a template may ask for. Go's engine has no such bounds except for depth.

/// Name of the template that a file is, as it stands in every error.
pub(crate) const NAME: &str = "frp";

/// Work that one rendering may do: a step of evaluation costs 1, a byte of text produced costs 1, a
/// number in a list costs 8. Far above any real file, small enough to end within a second or two.
pub const MAX_WORK: usize = 16 << 20;

/// Numbers that one range list may expand to (`parseNumberRange "1-1000000"`).
pub const MAX_RANGE_NUMBERS: usize = 1_000_000;

/// How deep parentheses may nest. Go allows 10,000.
pub const MAX_PARENTHESES: usize = 100;

/// How deep `if`, `with`, `range` and `block` may nest in the text. Go does not limit it.
pub const MAX_NESTING: usize = 100;

/// How deep template calls may nest while running. Go allows 100,000.
pub const MAX_TEMPLATE_DEPTH: usize = 100;

/// How deep evaluation may nest while running, over all calls: each `if`, `with`, `range`, `template`
/// and parenthesis counts 1.
pub const MAX_EVALUATION_DEPTH: usize = 250;
