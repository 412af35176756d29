//! What an http proxy wants done to the heads of its messages.

use frp_config::proxy::HttpProxy;
use frp_config::value::Secret;
use frp_http::head::{is_token, is_value};
use frp_http::{Credentials, Name};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    http_user: String,
    http_password: Secret,
    /// `hostHeaderRewrite`, where it is set.
    pub(super) host: Option<String>,
    /// `requestHeaders.set`.
    pub(super) request: Fields,
    /// `responseHeaders.set`.
    pub(super) response: Fields,
}

impl Policy {
    pub(crate) fn new(config: &HttpProxy) -> Self {
        Self {
            http_user: config.http_user.clone(),
            http_password: config.http_password.clone(),
            host: Some(config.host_header_rewrite.clone()).filter(|host| !host.is_empty()),
            request: Fields::new(config.request_headers.set.iter()),
            response: Fields::new(config.response_headers.set.iter()),
        }
    }

    /// Whether a request with these credentials may pass.
    pub(super) fn lets_pass(&self, given: Option<&Credentials>) -> bool {
        if self.http_user.is_empty() && self.http_password.is_empty() {
            return true;
        }
        given.is_some_and(|given| given.are(&self.http_user, &self.http_password))
    }
}

/// Fields that replace those of a message.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Replacement>);

#[derive(Debug)]
struct Replacement {
    known: Name,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Fields {
    /// What is no field, or would frame or route the message, has no effect, as with the original.
    fn new<'a>(set: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let replacements = set.into_iter().filter_map(|(name, value)| {
            let known = Name::of(name.as_bytes());
            let frames =
                matches!(known, Name::Host | Name::ContentLength | Name::TransferEncoding | Name::Trailer);
            let value: Vec<u8> =
                value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
            let value = value.trim_ascii().to_vec();
            (!frames && is_token(name.as_bytes()) && is_value(&value)).then(|| Replacement {
                known,
                name: name.clone().into_bytes(),
                value,
            })
        });
        Self(replacements.collect())
    }

    /// Whether a field of the message is replaced.
    pub(super) fn replaces(&self, known: Name, name: &[u8]) -> bool {
        let same = |other: &Replacement| {
            if known == Name::Other { other.name.eq_ignore_ascii_case(name) } else { other.known == known }
        };
        !self.0.is_empty() && self.0.iter().any(same)
    }

    /// The same for a field that we would add.
    pub(super) fn sets(&self, known: Name) -> bool {
        self.0.iter().any(|other| other.known == known)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for field in &self.0 {
            super::write::field(out, &field.name, &field.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let list: Vec<(String, String)> =
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Fields::new(list.iter().map(|(name, value)| (name, value)))
    }

    #[test]
    fn what_would_frame_or_break_a_message_has_no_effect() {
        let fields = fields(&[
            ("Host", "a"),
            ("Content-Length", "1"),
            ("transfer-encoding", "x"),
            ("X Y", "1"),
            ("X-A", " a\r\nB: c "),
            ("X-E", ""),
        ]);
        let mut out = Vec::new();
        fields.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "X-A: a  B: c\r\nX-E: \r\n");
        assert!(fields.replaces(Name::Other, b"x-a") && !fields.replaces(Name::Host, b"Host"));
    }

    #[test]
    fn credentials_are_asked_for_when_either_is_set() {
        let policy = |user: &str, password: &str| Policy {
            http_user: user.to_owned(),
            http_password: password.into(),
            ..Policy::default()
        };
        let bob = Credentials::parse(b"Basic Ym9iOnNlOmNyZXQ=").unwrap();
        assert!(policy("", "").lets_pass(None));
        assert!(policy("bob", "se:cret").lets_pass(Some(&bob)));
        assert!(!policy("bob", "").lets_pass(Some(&bob)));
        assert!(!policy("", "se:cret").lets_pass(Some(&bob)));
        assert!(!policy("", "x").lets_pass(None));
    }
}
