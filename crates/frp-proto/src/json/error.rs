use thiserror::Error;

/// A message body that the original would refuse too. Says where and what, never quotes the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("invalid message body at byte {offset}: {kind}")]
pub struct JsonError {
    /// Offset in the body, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What can be wrong with a message body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The body ends inside a value.
    #[error("unexpected end of JSON")]
    UnexpectedEnd,
    /// The bytes are not JSON.
    #[error("invalid JSON")]
    Syntax,
    /// Something follows the body's object.
    #[error("data after the JSON object")]
    TrailingData,
    /// Arrays and objects nest deeper than [`crate::limits::MAX_JSON_DEPTH`].
    #[error("nesting too deep")]
    TooDeep,
    /// The value is of another JSON type than the field.
    #[error("expected {0}")]
    WrongType(&'static str),
    /// A number has a fraction or an exponent, or does not fit the field.
    #[error("number does not fit the field")]
    Number,
    /// A byte string is not standard base64 with padding.
    #[error("invalid base64")]
    Base64,
    /// An IP text is neither empty nor an address.
    #[error("invalid IP address")]
    Address,
}
