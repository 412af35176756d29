//! What a token says, and whether that suits us: github.com/coreos/go-oidc `oidc/verify.go`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::Value;

use crate::verify::{VerifierOptions, VerifyError};

/// How far ahead `nbf` may be. `exp` has no such leeway.
const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The claims that are looked at. What is missing is empty.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Claims {
    issuer: String,
    pub(crate) subject: String,
    audience: Vec<String>,
    /// Unix seconds. None is long ago.
    expiry: Option<i64>,
    not_before: Option<i64>,
}

impl Claims {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, VerifyError> {
        let fault = |what: &str| VerifyError::Claims(what.to_owned());
        let value: Value = serde_json::from_slice(payload).map_err(|_| fault("invalid JSON"))?;
        let claims = value.as_object().ok_or_else(|| fault("no object"))?;
        let text = |name: &str| match claims.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(fault(&format!("{name} is no string"))),
        };
        let time = |name: &str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or_else(|| fault(&format!("{name} is no number"))),
        };
        let audience = match claims.get("aud") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => list
                .iter()
                .map(|one| one.as_str().map(ToOwned::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| fault("aud is no list of strings"))?,
            Some(_) => return Err(fault("aud is neither a string nor a list")),
        };
        Ok(Self {
            issuer: text("iss")?,
            subject: text("sub")?,
            audience,
            expiry: time("exp")?,
            not_before: time("nbf")?,
        })
    }

    pub(crate) fn check(&self, options: &VerifierOptions, now: SystemTime) -> Result<(), VerifyError> {
        let VerifierOptions { issuer, audience, skip_issuer_check, skip_expiry_check } = options;
        // Google names itself in two ways, and upstream's library knows.
        let is_google = issuer == "https://accounts.google.com" && self.issuer == "accounts.google.com";
        if !skip_issuer_check && self.issuer != *issuer && !is_google {
            return Err(VerifyError::Issuer { expected: issuer.clone(), got: self.issuer.clone() });
        }
        if !audience.is_empty() && !self.audience.contains(audience) {
            return Err(VerifyError::Audience { expected: audience.clone(), got: self.audience.clone() });
        }
        if *skip_expiry_check {
            return Ok(());
        }
        if self.expiry.is_none_or(|expiry| is_before(expiry, now)) {
            return Err(VerifyError::Expired { expiry: shown(self.expiry) });
        }
        match self.not_before {
            Some(time)
                if !is_before(time, now + NOT_BEFORE_LEEWAY) && !is_at(time, now + NOT_BEFORE_LEEWAY) =>
            {
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let now = i64::try_from(seconds).ok();
                Err(VerifyError::NotYetValid { now: shown(now), not_before: shown(Some(time)) })
            }
            _ => Ok(()),
        }
    }
}

/// A number, or a text with one, as Go reads times; fractions are cut off.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond all clocks is as good as the last")]
    let whole = |number: f64| number as i64;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(whole)),
        Value::String(text) => {
            // Rust has words for numbers, of which one is a time that never comes.
            let finite = || text.parse().ok().filter(|number: &f64| number.is_finite());
            text.parse().ok().or_else(|| finite().map(whole))
        }
        _ => None,
    }
}

fn nanoseconds(now: SystemTime) -> i128 {
    i128::try_from(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i128::MAX)
}

fn is_before(time: i64, now: SystemTime) -> bool {
    i128::from(time) * 1_000_000_000 < nanoseconds(now)
}

fn is_at(time: i64, now: SystemTime) -> bool {
    i128::from(time) * 1_000_000_000 == nanoseconds(now)
}

/// As Go shows a time.
fn shown(time: Option<i64>) -> String {
    let time = time.map_or_else(
        || DateTime::from_timestamp(-62_135_596_800, 0),
        |seconds| DateTime::from_timestamp(seconds, 0),
    );
    time.map_or_else(
        || "beyond all calendars".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn check_with(payload: &str, change: impl FnOnce(&mut VerifierOptions)) -> Result<(), String> {
        let mut options = VerifierOptions {
            issuer: "https://i.test".to_owned(),
            audience: "frps".to_owned(),
            ..VerifierOptions::default()
        };
        change(&mut options);
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        Claims::read(payload.as_bytes())
            .and_then(|claims| claims.check(&options, now))
            .map_err(|error| error.to_string())
    }

    fn check(payload: &str) -> Result<(), String> {
        check_with(payload, |_| {})
    }

    fn claims(more: &str) -> String {
        format!(r#"{{"iss":"https://i.test","aud":"frps","exp":1800000001{more}}}"#)
    }

    #[test]
    fn good_ones() {
        for payload in [
            claims(""),
            claims(r#","nbf":1800000300,"sub":"s","unknown":[1,{"a":null}]"#),
            claims(r#","nbf":null"#),
            r#"{"iss":"https://i.test","aud":["a","frps"],"exp":1800000000}"#.to_owned(),
            r#"{"iss":"https://i.test","aud":"frps","exp":1.9e9}"#.to_owned(),
            r#"{"iss":"https://i.test","aud":"frps","exp":"1800000001"}"#.to_owned(),
            r#"{"iss":"https://i.test","aud":"frps","exp":1e300}"#.to_owned(),
        ] {
            assert_eq!(check(&payload), Ok(()), "{payload}");
        }
        assert_eq!(Claims::read(claims(r#","sub":"s""#).as_bytes()).unwrap().subject, "s");
    }

    #[test]
    fn bad_ones_read_like_upstreams() {
        for (payload, text) in [
            (
                r#"{"iss":"https://e.test"}"#,
                r#"oidc: id token issued by a different provider, expected "https://i.test" got "https://e.test""#,
            ),
            (
                r#"{"iss":"https://i.test","aud":["a","b"]}"#,
                r#"oidc: expected audience "frps" got ["a" "b"]"#,
            ),
            (r#"{"iss":"https://i.test"}"#, r#"oidc: expected audience "frps" got []"#),
            (
                r#"{"iss":"https://i.test","aud":"frps","exp":1799999999}"#,
                "oidc: token is expired (Token Expiry: 2027-01-15 07:59:59 +0000 UTC)",
            ),
            (
                r#"{"iss":"https://i.test","aud":"frps"}"#,
                "oidc: token is expired (Token Expiry: 0001-01-01 00:00:00 +0000 UTC)",
            ),
            (
                r#"{"iss":"https://i.test","aud":"frps","exp":1800000001,"nbf":1800000301}"#,
                "oidc: current time 2027-01-15 08:00:00 +0000 UTC before the nbf (not before) time: \
                 2027-01-15 08:05:01 +0000 UTC",
            ),
            ("[]", "oidc: failed to unmarshal claims: no object"),
            ("", "oidc: failed to unmarshal claims: invalid JSON"),
            (r#"{"iss":1}"#, "oidc: failed to unmarshal claims: iss is no string"),
            (r#"{"exp":[]}"#, "oidc: failed to unmarshal claims: exp is no number"),
            (r#"{"exp":"inf"}"#, "oidc: failed to unmarshal claims: exp is no number"),
            (r#"{"exp":"Infinity"}"#, "oidc: failed to unmarshal claims: exp is no number"),
            (r#"{"exp":"NaN"}"#, "oidc: failed to unmarshal claims: exp is no number"),
            (r#"{"exp":"1e999"}"#, "oidc: failed to unmarshal claims: exp is no number"),
            (r#"{"aud":["a",1]}"#, "oidc: failed to unmarshal claims: aud is no list of strings"),
            (r#"{"aud":{}}"#, "oidc: failed to unmarshal claims: aud is neither a string nor a list"),
        ] {
            assert_eq!(check(payload), Err(text.to_owned()), "{payload}");
        }
    }

    #[test]
    fn an_expiry_has_no_leeway() {
        let claims = Claims::read(claims("").as_bytes()).unwrap();
        let options = VerifierOptions { issuer: "https://i.test".to_owned(), ..VerifierOptions::default() };
        let at = |millis| claims.check(&options, UNIX_EPOCH + Duration::from_millis(NOW * 1000 + millis));
        assert_eq!(at(1000), Ok(()));
        assert!(at(1001).is_err());
    }

    #[test]
    fn what_can_be_switched_off() {
        let expired = r#"{"iss":"https://i.test","aud":"frps","nbf":1900000000}"#;
        assert_eq!(check_with(expired, |options| options.skip_expiry_check = true), Ok(()));
        let other = claims("").replace("i.test", "e.test");
        assert_eq!(check_with(&other, |options| options.skip_issuer_check = true), Ok(()));
        let nobodys = claims("").replace("frps", "x");
        assert_eq!(check_with(&nobodys, |options| options.audience.clear()), Ok(()));
        let google =
            |options: &mut VerifierOptions| options.issuer = "https://accounts.google.com".to_owned();
        assert_eq!(check_with(&claims("").replace("https://i.test", "accounts.google.com"), google), Ok(()));
    }
}
