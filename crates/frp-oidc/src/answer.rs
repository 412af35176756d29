//! What a token endpoint answers: RFC 6749, 5.1 and 5.2, as golang.org/x/oauth2 reads it (`internal/token.go`).

use frp_proto::Secret;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::form;
use crate::http::Answer;

/// A token, and how long it is good for.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) token: Secret,
    /// Seconds; none where the endpoint does not say. May be negative.
    pub(crate) expires_in: Option<i64>,
}

/// No token. Nothing here shows what the endpoint said but for the fields that RFC 6749 means to be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// An error with a code.
    #[error("oauth2: {code:?}{}", details(description, uri))]
    Refused {
        /// `error`.
        code: String,
        /// `error_description`.
        description: String,
        /// `error_uri`.
        uri: String,
    },
    /// A status that is no success, without a code.
    #[error("oauth2: cannot fetch token: {0}")]
    Status(String),
    /// No JSON, or fields of other types. What the library says of the place quotes no text.
    #[error("oauth2: cannot parse json: {0}")]
    Json(String),
    /// No form.
    #[error("oauth2: cannot parse response: invalid form")]
    Form,
    /// Without a token.
    #[error("oauth2: server response missing access_token")]
    NoToken,
}

fn details(description: &str, uri: &str) -> String {
    [description, uri].iter().filter(|text| !text.is_empty()).map(|text| format!(" {text:?}")).collect()
}

/// The longest text of an endpoint that is shown, in characters.
const MAX_SHOWN: usize = 256;

#[derive(Deserialize, Default)]
struct Fields {
    #[serde(default, deserialize_with = "secret")]
    access_token: Secret,
    expires_in: Option<Value>,
    error: Option<String>,
    error_description: Option<String>,
    error_uri: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default().into())
}

/// Reads an answer. Wherever `secret` comes back in what is shown, it is taken out.
pub(crate) fn read(answer: &Answer, secret: &Secret) -> Result<Granted, AnswerError> {
    let failed = !answer.status.is_success();
    let (fields, expires_in) = match fields(answer) {
        Ok(fields) => fields,
        Err(_) if failed => return Err(AnswerError::Status(answer.status_text())),
        Err(error) => return Err(error),
    };
    let shown = |text: Option<String>| shown(&text.unwrap_or_default(), secret);
    let code = shown(fields.error);
    if !code.is_empty() {
        let (description, uri) = (shown(fields.error_description), shown(fields.error_uri));
        return Err(AnswerError::Refused { code, description, uri });
    }
    if failed {
        return Err(AnswerError::Status(answer.status_text()));
    }
    if fields.access_token.is_empty() {
        return Err(AnswerError::NoToken);
    }
    Ok(Granted { token: fields.access_token, expires_in })
}

fn fields(answer: &Answer) -> Result<(Fields, Option<i64>), AnswerError> {
    if matches!(answer.content_type.as_str(), "application/x-www-form-urlencoded" | "text/plain") {
        let text = std::str::from_utf8(&answer.body).map_err(|_| AnswerError::Form)?;
        let mut values = form::decoded(text).ok_or(AnswerError::Form)?;
        let expires_in = values.get("expires_in").and_then(|text| text.parse().ok());
        let fields = Fields {
            access_token: values.remove("access_token").unwrap_or_default().into(),
            expires_in: None,
            error: values.remove("error"),
            error_description: values.remove("error_description"),
            error_uri: values.remove("error_uri"),
        };
        return Ok((fields, expires_in.filter(|&seconds: &i64| seconds != 0)));
    }
    // Only the place of a fault: what the library says of a wrong type quotes the value.
    let place = |error: &serde_json::Error| {
        AnswerError::Json(format!("line {} column {}", error.line(), error.column()))
    };
    let fields: Fields = serde_json::from_slice(&answer.body).map_err(|error| place(&error))?;
    let expires_in = match &fields.expires_in {
        None | Some(Value::Null) => None,
        // Some endpoints send a text.
        Some(Value::String(text)) => Some(text.parse().map_err(|_| expires_in_fault())?),
        Some(value) => Some(value.as_i64().ok_or_else(expires_in_fault)?),
    };
    Ok((fields, expires_in.filter(|&seconds| seconds != 0)))
}

fn expires_in_fault() -> AnswerError {
    AnswerError::Json("expires_in is no whole number".to_owned())
}

/// A text of the endpoint as it may be shown.
fn shown(text: &str, secret: &Secret) -> String {
    let mut text = text.to_owned();
    if !secret.is_empty() {
        text = text.replace(secret.expose(), "<redacted>");
        text = text.replace(&form::escaped(secret.expose()), "<redacted>");
    }
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> Result<Granted, String> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: content_type.to_owned(),
            body: body.into(),
        };
        read(&answer, &"hunter2".into()).map_err(|error| error.to_string())
    }

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn tokens() {
        for (content_type, body, expires_in) in [
            (JSON, r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#, Some(3600)),
            ("", r#"{"access_token":"t","expires_in":"60"}"#, Some(60)),
            (JSON, r#"{"access_token":"t","expires_in":null}"#, None),
            (JSON, r#"{"access_token":"t","expires_in":0}"#, None),
            (JSON, r#"{"access_token":"t","error":null}"#, None),
            (FORM, "access_token=t&expires_in=60", Some(60)),
            ("text/plain", "access_token=t&expires_in=soon", None),
        ] {
            let granted = answer(200, content_type, body).unwrap();
            assert_eq!(granted.token, "t");
            assert_eq!(granted.expires_in, expires_in, "{body}");
        }
    }

    #[test]
    fn refusals_read_like_upstreams() {
        for (status, content_type, body, text) in [
            (401, JSON, r#"{"error":"invalid_client"}"#, r#"oauth2: "invalid_client""#),
            (
                400,
                JSON,
                r#"{"error":"a","error_description":"b\"c","error_uri":"d"}"#,
                r#"oauth2: "a" "b\"c" "d""#,
            ),
            (200, JSON, r#"{"error":"a","access_token":"t"}"#, r#"oauth2: "a""#),
            (400, FORM, "error=a&error_description=b", r#"oauth2: "a" "b""#),
            (200, JSON, "{}", "oauth2: server response missing access_token"),
            (200, JSON, r#"{"access_token":""}"#, "oauth2: server response missing access_token"),
            (200, FORM, "a=%", "oauth2: cannot parse response: invalid form"),
            (503, "text/html", "<html>", "oauth2: cannot fetch token: 503 Service Unavailable"),
        ] {
            assert_eq!(answer(status, content_type, body).unwrap_err(), text);
        }
    }

    #[test]
    fn what_an_endpoint_says_is_not_shown() {
        for (status, body) in [
            (500, "secret-token"),
            (200, "secret-token"),
            (200, r#"{"access_token":["secret-token"]}"#),
            (200, r#"{"access_token":"secret-token","expires_in":"secret-token"}"#),
            (200, r#"{"access_token":"secret-token","expires_in":1.5}"#),
            (400, r#"{"access_token":"secret-token","error":"no"}"#),
            (400, r#"{"error":"no","error_description":"client_secret=hunter2"}"#),
        ] {
            for content_type in [JSON, FORM] {
                let text = match answer(status, content_type, body) {
                    Ok(granted) => format!("{granted:?}"),
                    Err(text) => text,
                };
                assert!(!text.contains("secret-token") && !text.contains("hunter2"), "{text}");
            }
        }
        let long = answer(400, JSON, &format!(r#"{{"error":"{}"}}"#, "é".repeat(9999))).unwrap_err();
        assert!(long.chars().count() < 300);
    }
}
