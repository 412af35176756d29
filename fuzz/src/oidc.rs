//! Targets for `frp-oidc`.

use std::sync::LazyLock;

use frp_oidc::VerifierOptions;
use frp_oidc::fuzzing::{self, KeySet};
use frp_proto::Secret;

use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("oidc_token", oidc_token, tokens).with_words(&[
            "eyJhbGciOiJub25lIn0",
            "eyJhbGciOiJIUzI1NiJ9",
            "\"iss\"",
            "\"aud\"",
            "\"exp\"",
            "\"nbf\"",
            "1e999",
            "\"inf\"",
        ]),
        Target::new("oidc_documents", oidc_documents, documents).with_words(&[
            "\"keys\"",
            "\"kty\"",
            "\"RSA\"",
            "\"EC\"",
            "\"P-521\"",
            "\"jwks_uri\"",
            "null",
        ]),
        Target::new("oidc_answer", oidc_answer, answers).with_words(&[
            SECRET,
            ESCAPED,
            "error_description",
            "expires_in",
            "access_token",
            "%2B",
            "://",
        ]),
    ]
}

/// Whose keys are those of the tokens.
const ISSUER: &str = "https://i.test";
/// A second after which the tokens are good.
const NOW: u32 = 1_800_000_000;

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let file = seeds::data("oidc").join("keys.json");
    let keys = KeySet::read(&std::fs::read(file).unwrap_or_default());
    keys.unwrap_or_else(|error| panic!("no keys: {error}"))
});

static SIGNED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let files = seeds::files(&seeds::data("oidc"), "jwt");
    files.into_iter().map(|file| String::from_utf8_lossy(&file).trim().to_owned()).collect()
});

/// Tokens, and what they say.
fn tokens() -> Vec<Vec<u8>> {
    let claims = [
        r#"{"iss":"https://i.test","sub":"s","aud":["frps","x"],"exp":1800000001,"nbf":1799999999}"#,
        r#"{"iss":"accounts.google.com","aud":"frps","exp":"1.9e9","nbf":null,"sub":null}"#,
        r#"{"payload":"","signatures":[{},{}]}"#,
    ];
    SIGNED.iter().map(|token| token.clone().into_bytes()).chain(claims.map(Into::into)).collect()
}

/// A token of a stranger: it is good only if it is one that was signed, whatever its signature looks like now, and errors
/// are short. Then the same bytes as claims: whoever checks less refuses less.
pub fn oidc_token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match KEYS.payload(&text) {
        Ok(Some(payload)) => {
            let signed = |token: &str| token.trim().rsplit_once('.').map(|(signed, _)| signed.to_owned());
            assert!(SIGNED.iter().any(|token| signed(token) == signed(&text)), "forged");
            let _ = fuzzing::claims(&payload, &VerifierOptions::default(), NOW);
        }
        Ok(None) => {}
        Err(error) => assert!(error.len() < 1024, "{error}"),
    }
    let strict = VerifierOptions {
        issuer: ISSUER.to_owned(),
        audience: "frps".to_owned(),
        skip_issuer_check: false,
        skip_expiry_check: false,
    };
    let audible = VerifierOptions { audience: String::new(), ..strict.clone() };
    let timeless = VerifierOptions { skip_expiry_check: true, ..audible.clone() };
    let careless = VerifierOptions { skip_issuer_check: true, ..timeless.clone() };
    let mut before: Option<String> = None;
    for options in [strict, audible, timeless, careless] {
        let subject = fuzzing::claims(data, &options, NOW).ok();
        assert!(before.is_none() || before == subject, "refused by {options:?}");
        before = subject;
    }
}

fn documents() -> Vec<Vec<u8>> {
    let mut all = seeds::files(&seeds::data("oidc"), "json");
    all.push(
        br#"{"keys":[{"kty":"oct","k":"AA"},1,{"kty":"RSA","n":"AAEC","e":"AQAB","kid":null}]}"#.to_vec(),
    );
    all
}

/// Documents of an issuer: its discovery document, and its keys, which never vouch for a token that names another one.
pub fn oidc_documents(data: &[u8]) {
    if let Ok((keys, algorithms)) = fuzzing::document(data, ISSUER) {
        assert!(!keys.is_empty() && !algorithms.is_empty());
        assert!(algorithms.iter().all(|name| *name != "none" && !name.starts_with("HS")));
        let _ = fuzzing::target(&keys);
    }
    if let Ok(keys) = KeySet::read(data) {
        assert!(keys.len() <= 100 && keys.len() <= data.len());
        for token in SIGNED.iter().filter(|_| keys.len() < 8) {
            let good = keys.payload(token);
            assert!(good.is_ok_and(|payload| payload.is_none() || KEYS.payload(token) == Ok(payload)));
        }
    }
}

/// Of a client. It looks different in a form.
const SECRET: &str = "hunter 2+";
const ESCAPED: &str = "hunter+2%2B";

/// The first byte decides about status and type.
fn answers() -> Vec<Vec<u8>> {
    [
        r#" {"access_token":"t","token_type":"Bearer","expires_in":3600}"#,
        r#"@{"error":"no","error_description":"hunter 2+","error_uri":"https://i.test/\u00e9"}"#,
        "aaccess_token=t&expires_in=60",
        "Aerror=a&error_description=hunter+2%2B",
        "ihttps://u:p@i.test:8443/keys?a=b#c",
        "i//other.test/login?next=https://i.test/",
        "i?a=b",
    ]
    .map(Into::into)
    .into()
}

/// An answer of a token endpoint: it gives a token or says why not, without the client's secret. Its form and the place of a
/// redirect, too.
pub fn oidc_answer(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let status = if choice & 0x20 == 0 { 400 } else { 200 };
    let kind = if choice & 1 == 0 { "application/json" } else { "application/x-www-form-urlencoded" };
    match fuzzing::answer(status, kind, body, &Secret::from(SECRET)) {
        Ok((token, expires_in)) => assert!(status == 200 && !token.is_empty() && expires_in != Some(0)),
        Err(error) => {
            assert!(!error.contains(SECRET) && !error.contains(ESCAPED), "{error}");
            assert!(error.len() < 16 * 1024, "{error}");
        }
    }
    let text = String::from_utf8_lossy(body);
    if let Some(values) = fuzzing::form(&text) {
        assert_eq!(fuzzing::form(&fuzzing::form_text(&values)), Some(values));
    }
    for from in ["https://i.test/a/b?c", "http://i.test"] {
        if let Ok(to) = fuzzing::redirected(from, &text) {
            let to_tls = fuzzing::target(&to).map(|(is_tls, ..)| is_tls);
            assert!(from.starts_with("http:") || to_tls != Ok(false), "{to}");
        }
    }
    if let Ok(target) = fuzzing::target(&text) {
        assert!(!target.1.is_empty());
        assert_eq!(fuzzing::target(&fuzzing::shown(&text)), Ok(target));
    }
}
