//! Text to tokens.
//!
//! All tokens are read at once; reading stops at the first error, which is a token of its own, so that
//! the parser reports whatever comes first in the text.

use crate::quote::{describe, quote};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The text of the token is the error message.
    Error,
    EndOfText,
    Text,
    LeftDelimiter,
    RightDelimiter,
    Space,
    Assign,
    Declare,
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    /// Any other printable ASCII character.
    Character,
    String,
    RawString,
    CharacterConstant,
    Number,
    Complex,
    Bool,
    Dot,
    /// `.Name`
    Field,
    /// `$`, `$name`
    Variable,
    Identifier,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Kind {
    fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Dot
                | Self::Nil
                | Self::Block
                | Self::Break
                | Self::Continue
                | Self::Define
                | Self::Else
                | Self::End
                | Self::If
                | Self::Range
                | Self::Template
                | Self::With
        )
    }
}

/// One token: its text, and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) text: std::borrow::Cow<'t, str>,
    /// Byte offset in the whole text.
    pub(crate) position: usize,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// How Go names the token in an error.
    pub(crate) fn describe(&self) -> String {
        match self.kind {
            Kind::EndOfText => "EOF".to_owned(),
            Kind::Error => self.text.clone().into_owned(),
            kind if kind.is_keyword() => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                format!("{}...", quote(start.as_bytes()))
            }
            _ => quote(self.text.as_bytes()),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
/// A trim marker with the blank that must stand beside it.
const MARKER_LENGTH: usize = 2;

/// Reads all tokens of `text`. The last one is [`Kind::EndOfText`] or [`Kind::Error`].
pub(crate) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, start: 0, position: 0, line: 1, parentheses: 0, tokens: Vec::new() };
    if let Err(message) = lexer.run() {
        let (position, line) = (lexer.start, lexer.line);
        lexer.tokens.push(Token { kind: Kind::Error, text: message.into(), position, line });
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    /// Where the token being read begins.
    start: usize,
    position: usize,
    /// Line of `start`.
    line: usize,
    parentheses: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, accepted: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(c) if accepted(c) => {
                self.position += c.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn take_all(&mut self, accepted: impl Fn(char) -> bool) {
        while self.take(&accepted) {}
    }

    /// Ends the token at the current position.
    fn emit(&mut self, kind: Kind) {
        let text = &self.text[self.start..self.position];
        self.tokens.push(Token { kind, text: text.into(), position: self.start, line: self.line });
        self.skip();
    }

    /// Begins the next token at the current position.
    fn skip(&mut self) {
        let passed = &self.text.as_bytes()[self.start..self.position];
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.start = self.position;
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(length) = self.rest().find(LEFT) {
            self.text_before_action(length);
            let marker = if trims_left(&self.rest()[LEFT.len()..]) { MARKER_LENGTH } else { 0 };
            if self.rest()[LEFT.len() + marker..].starts_with("/*") {
                self.position += LEFT.len() + marker;
                self.skip();
                self.comment()?;
                continue;
            }
            self.position += LEFT.len();
            self.emit(Kind::LeftDelimiter);
            self.position += marker;
            self.skip();
            self.parentheses = 0;
            while self.inside_action()? {}
        }
        self.position = self.text.len();
        if self.position > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::EndOfText);
        Ok(())
    }

    /// The text up to an action, without its trailing blanks if the action trims them.
    fn text_before_action(&mut self, length: usize) {
        let text = &self.rest()[..length];
        let end = self.position + length;
        let kept = if trims_left(&self.text[end + LEFT.len()..]) {
            text.trim_end_matches(is_blank).len()
        } else {
            length
        };
        self.position += kept;
        if kept > 0 {
            self.emit(Kind::Text);
        }
        self.position = end;
        self.skip();
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(end) = self.rest()[2..].find("*/") else {
            return Err("unclosed comment".to_owned());
        };
        self.position += 2 + end + 2;
        let Some(trim) = self.at_right_delimiter() else {
            return Err("comment ends before closing delimiter".to_owned());
        };
        self.close_action(trim);
        self.skip();
        Ok(())
    }

    /// Whether an action ends here, and if so, whether it trims the text behind it.
    fn at_right_delimiter(&self) -> Option<bool> {
        let rest = self.rest();
        if trims_right(rest) && rest[MARKER_LENGTH..].starts_with(RIGHT) {
            Some(true)
        } else {
            rest.starts_with(RIGHT).then_some(false)
        }
    }

    /// Passes the end of an action and what it trims.
    fn close_action(&mut self, trim: bool) {
        if trim {
            self.position += MARKER_LENGTH + RIGHT.len();
            self.take_all(is_blank);
        } else {
            self.position += RIGHT.len();
        }
    }

    /// Reads one token inside an action. False when it was the end of the action.
    fn inside_action(&mut self) -> Result<bool, String> {
        if let Some(trim) = self.at_right_delimiter() {
            if self.parentheses > 0 {
                return Err("unclosed left paren".to_owned());
            }
            self.right_delimiter(trim);
            return Ok(false);
        }
        let Some(c) = self.next() else {
            return Err("unclosed action".to_owned());
        };
        match c {
            c if is_blank(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if !self.take(|c| c == '=') {
                    return Err("expected :=".to_owned());
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::CharacterConstant, "unterminated character constant")?,
            '`' => self.raw_string()?,
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) && self.peek().is_some() => {
                self.name(Kind::Field, Kind::Dot)?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position = self.start;
                self.number()?;
            }
            c if is_word(c) => self.word()?,
            '(' => {
                self.parentheses += 1;
                self.emit(Kind::LeftParenthesis);
            }
            ')' => {
                let Some(parentheses) = self.parentheses.checked_sub(1) else {
                    return Err("unexpected right paren".to_owned());
                };
                self.parentheses = parentheses;
                self.emit(Kind::RightParenthesis);
            }
            ' '..='~' => self.emit(Kind::Character),
            c => return Err(format!("unrecognized character in action: {}", describe(c))),
        }
        Ok(true)
    }

    fn right_delimiter(&mut self, trim: bool) {
        if trim {
            self.position += MARKER_LENGTH;
            self.skip();
        }
        self.position += RIGHT.len();
        self.emit(Kind::RightDelimiter);
        if trim {
            self.take_all(is_blank);
            self.skip();
        }
    }

    /// A run of blanks, except the last one if it belongs to a trim marker.
    fn space(&mut self) {
        self.take_all(is_blank);
        let last = self.position - 1;
        if trims_right(&self.text[last..]) && self.text[last + MARKER_LENGTH..].starts_with(RIGHT) {
            self.position = last;
        }
        if self.position > self.start {
            self.emit(Kind::Space);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.next();
                }
                Some('\\' | '\n') | None => return Err(unterminated.to_owned()),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw_string(&mut self) -> Result<(), String> {
        let Some(end) = self.rest().find('`') else {
            return Err("unterminated raw quoted string".to_owned());
        };
        self.position += end + 1;
        self.emit(Kind::RawString);
        Ok(())
    }

    /// The rest of `.name` or `$name`; nothing may follow directly but what ends an operand.
    fn name(&mut self, kind: Kind, alone: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(alone);
            return Ok(());
        }
        self.take_all(is_word);
        self.require_terminator()?;
        self.emit(kind);
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        self.take_all(is_word);
        self.require_terminator()?;
        let kind = match &self.text[self.start..self.position] {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn require_terminator(&self) -> Result<(), String> {
        match self.peek() {
            Some(c) if !self.at_terminator() => Err(format!("bad character {}", describe(c))),
            _ => Ok(()),
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_blank(c) || self.rest().starts_with(RIGHT),
        }
    }

    /// A number. Whether it makes sense is decided when it is converted.
    fn number(&mut self) -> Result<(), String> {
        let mut kind = Kind::Number;
        let mut good = self.scan_number();
        if good && matches!(self.peek(), Some('+' | '-')) {
            kind = Kind::Complex;
            good = self.scan_number() && self.text[..self.position].ends_with('i');
        }
        if !good {
            let text = &self.text[self.start..self.position];
            return Err(format!("bad number syntax: {}", quote(text.as_bytes())));
        }
        self.emit(kind);
        Ok(())
    }

    fn scan_number(&mut self) -> bool {
        self.take(|c| matches!(c, '+' | '-'));
        let mut base = 10;
        if self.take(|c| c == '0') {
            for (letter, other) in [('x', 16), ('o', 8), ('b', 2)] {
                if base == 10 && self.take(|c| c.eq_ignore_ascii_case(&letter)) {
                    base = other;
                }
            }
        }
        let is_digit = |c: char| c == '_' || c.is_digit(base);
        self.take_all(is_digit);
        if self.take(|c| c == '.') {
            self.take_all(is_digit);
        }
        let exponent = match base {
            10 => Some('e'),
            16 => Some('p'),
            _ => None,
        };
        if exponent.is_some_and(|letter| self.take(|c| c.eq_ignore_ascii_case(&letter))) {
            self.take(|c| matches!(c, '+' | '-'));
            self.take_all(|c| c == '_' || c.is_ascii_digit());
        }
        self.take(|c| c == 'i');
        // A letter directly behind belongs to the bad number.
        !self.take(is_word)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
}

/// Whether what follows a left delimiter trims the text before it.
fn trims_left(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_blank)
}

/// Whether a trim marker of a right delimiter begins here.
fn trims_right(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_blank) && chars.next() == Some('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        lex(text).iter().map(|token| token.kind).collect()
    }

    #[test]
    fn markers_trim_the_text_around_an_action() {
        let tokens = lex("a \n{{- .X -}} \t b");
        let texts: Vec<_> = tokens.iter().map(|token| (token.kind, &*token.text, token.line)).collect();
        assert_eq!(
            texts,
            [
                (Kind::Text, "a", 1),
                (Kind::LeftDelimiter, "{{", 2),
                (Kind::Field, ".X", 2),
                (Kind::RightDelimiter, "}}", 2),
                (Kind::Text, "b", 2),
                (Kind::EndOfText, "", 2),
            ]
        );
    }

    #[test]
    fn a_minus_without_blank_is_a_sign() {
        assert_eq!(kinds("{{-3}}")[1], Kind::Number);
    }

    #[test]
    fn comments_leave_no_token() {
        assert_eq!(kinds("a{{/* x */}}b"), [Kind::Text, Kind::Text, Kind::EndOfText]);
        assert_eq!(kinds("{{- /* x */ -}}"), [Kind::EndOfText]);
    }

    #[test]
    fn every_cut_of_a_template_ends_in_one_last_token() {
        let text = "é{{ range $i, $v := (index .Envs \"a\\\"b\" | printf `%q` '\\n' 1e3 0x1p4 1+2i) -}}\n{{/* c */}}{{end}}";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let last = lex(&text[..end]).pop().unwrap().kind;
            assert!(matches!(last, Kind::EndOfText | Kind::Error), "{end}");
        }
    }
}
