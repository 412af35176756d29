use frp_test_support::issuer;
use serde_json::json;

use super::*;

fn key(id: &str, algorithm: &str) -> (issuer::Key, Key) {
    let signing = issuer::Key::generate(id, algorithm).unwrap();
    let public = Key::read(&signing.public()).unwrap();
    (signing, public)
}

fn fault(text: &str, allowed: &[Algorithm]) -> String {
    match Token::parse(text, allowed).err().unwrap() {
        ParseError::Malformed(what) => what,
        ParseError::MultipleSignatures => "multiple signatures".to_owned(),
    }
}

fn segment(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn every_algorithm_verifies_its_own_and_no_other_key() {
    let keys: Vec<_> = ALGORITHMS.iter().map(|algorithm| key("k", algorithm.name)).collect();
    for (index, (signing, _)) in keys.iter().enumerate() {
        let text = signing.sign(&json!({ "sub": "s" })).unwrap();
        let token = Token::parse(&text, &ALGORITHMS).unwrap();
        assert_eq!(token.key_id, "k");
        for (other, (_, public)) in keys.iter().enumerate() {
            let payload = token.payload_signed_by(public);
            assert_eq!(payload, (other == index).then_some(&b"{\"sub\":\"s\"}"[..]), "{index} {other}");
        }
    }
}

/// Those of the standards, and one of another library. See `tests/data/oidc/README.md`.
#[test]
fn tokens_of_others() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/oidc");
    let set: Value = serde_json::from_slice(&std::fs::read(folder.join("keys.json")).unwrap()).unwrap();
    let keys: Vec<Key> = set["keys"].as_array().unwrap().iter().map(|jwk| Key::read(jwk).unwrap()).collect();
    for (signer, name) in ["rs256", "es256", "eddsa", "es512"].into_iter().enumerate() {
        let text = std::fs::read_to_string(folder.join(format!("{name}.jwt"))).unwrap();
        let token = Token::parse(&text, &ALGORITHMS).unwrap();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(token.payload_signed_by(key).is_some(), index == signer, "{name} {index}");
        }
    }
}

#[test]
fn a_changed_token_is_signed_by_nobody() {
    for algorithm in ["ES256", "ES512", "EdDSA"] {
        let (signing, public) = key("k", algorithm);
        let good = signing.sign(&json!({ "sub": "s" })).unwrap();
        let parts: Vec<_> = good.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { panic!() };
        let other_payload = segment(&json!({ "sub": "root" }));
        let other_header = segment(&json!({ "alg": algorithm, "kid": "k" }));
        for changed in [
            format!("{header}.{other_payload}.{signature}"),
            format!("{other_header}.{payload}.{signature}"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
            format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 132])),
        ] {
            let token = Token::parse(&changed, &ALGORITHMS).unwrap();
            assert_eq!(token.payload_signed_by(&public), None, "{changed}");
        }
    }
}

#[test]
fn algorithms_that_are_not_allowed() {
    let (signing, _) = key("k", "ES256");
    let good = signing.sign(&json!({})).unwrap();
    assert_eq!(fault(&good, &[RS256]), "unexpected signature algorithm \"ES256\"; expected [\"RS256\"]");
    let (_, rest) = good.split_once('.').unwrap();
    for (header, name) in [
        (json!({ "alg": "none" }), "none"),
        (json!({ "alg": "None" }), "None"),
        (json!({ "alg": "HS256" }), "HS256"),
        (json!({ "alg": "es256" }), "es256"),
        (json!({}), ""),
        (json!({ "alg": "x".repeat(9000) }), &"x".repeat(MAX_NAME)),
    ] {
        let text = fault(&format!("{}.{rest}", segment(&header)), &ALGORITHMS);
        assert!(text.starts_with(&format!("unexpected signature algorithm {name:?}; expected [")), "{text}");
        assert!(!text.contains("HS512"));
    }
    // Without a signature at all, as `none` would have it.
    let unsigned = format!("{}.{}.", segment(&json!({ "alg": "none" })), segment(&json!({ "sub": "s" })));
    assert!(fault(&unsigned, &ALGORITHMS).starts_with("unexpected signature algorithm"));
}

/// The trick: a public key is no secret, and must not verify what anybody made with it.
#[test]
fn a_public_key_is_no_shared_secret() {
    let (_, public) = key("k", "RS256");
    let secret = public.key.try_get_as_bytes().map(<[u8]>::to_vec).unwrap_or_default();
    let signed =
        format!("{}.{}", segment(&json!({ "alg": "HS256", "kid": "k" })), segment(&json!({ "sub": "s" })));
    let tag = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret),
        signed.as_bytes(),
    );
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert!(fault(&forged, &ALGORITHMS).starts_with("unexpected signature algorithm \"HS256\""));
    // And a key of a shared secret is none of an issuer.
    assert!(Key::read(&json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k" })).is_none());
}

#[test]
fn what_must_be_understood_is_refused() {
    let (signing, public) = key("k", "ES256");
    for header in [json!({ "alg": "ES256", "crit": ["exp"] }), json!({ "alg": "ES256", "crit": [] })] {
        let text = signing.sign_with(&header, &json!({})).unwrap();
        let token = Token::parse(&text, &ALGORITHMS).unwrap();
        assert_eq!(token.payload_signed_by(&public), None);
    }
    let text = signing.sign_with(&json!({ "alg": "ES256", "jwk": public_of_another() }), &json!({})).unwrap();
    let token = Token::parse(&text, &ALGORITHMS).unwrap();
    assert!(token.payload_signed_by(&public).is_some(), "a key inside a token counts for nothing");
}

fn public_of_another() -> Value {
    issuer::Key::generate("k", "ES256").unwrap().public()
}

#[test]
fn what_is_no_token() {
    let (signing, _) = key("k", "ES256");
    let good = signing.sign(&json!({})).unwrap();
    let three = "go-jose/go-jose: compact JWS format must have three parts";
    for text in ["", "a", "a.b", "a.b.c.d"] {
        assert_eq!(fault(text, &ALGORITHMS), three, "{text}");
    }
    assert_eq!(fault(&format!("{good}.x"), &ALGORITHMS), three);
    let (header, rest) = good.split_once('.').unwrap();
    assert_eq!(fault(&format!("{header}=.{rest}"), &ALGORITHMS), "illegal base64 data");
    assert_eq!(
        fault(&format!("{}.{rest}", segment(&json!([]))), &ALGORITHMS),
        "the header is no JSON object with texts"
    );
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"ES256"}"#);
    assert_eq!(fault(&format!("{twice}.{rest}"), &ALGORITHMS), "the header is no JSON object with texts");
    assert!(Token::parse(&format!(" {good}\n"), &ALGORITHMS).is_ok());
}

#[test]
fn several_signatures() {
    let one = json!({ "protected": "", "signature": "" });
    let text = json!({ "payload": "", "signatures": [one, one] }).to_string();
    assert_eq!(fault(&text, &ALGORITHMS), "multiple signatures");
    let text = json!({ "payload": "", "protected": "", "signature": "" }).to_string();
    assert_eq!(fault(&text, &ALGORITHMS), "only the compact serialization is taken");
}

/// As issuers send it that take their library's signed numbers for the bytes of RFC 7518.
#[test]
fn an_rsa_key_with_zeros_in_front_is_the_same_key() {
    let (signing, _) = key("k", "RS256");
    let mut jwk = signing.public();
    for name in ["n", "e"] {
        let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        jwk[name] = URL_SAFE_NO_PAD.encode([&[0], &bytes[..]].concat()).into();
    }
    let public = Key::read(&jwk).unwrap();
    let text = signing.sign(&json!({ "sub": "s" })).unwrap();
    assert!(Token::parse(&text, &ALGORITHMS).unwrap().payload_signed_by(&public).is_some());
    for (name, value) in [("n", json!("AAAA")), ("n", json!("")), ("e", json!("!")), ("e", json!(65537))] {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        assert!(Key::read(&jwk).is_none(), "{jwk}");
    }
}

#[test]
fn what_is_no_key() {
    let good = public_of_another();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    // What a key says of its use is nobody's business, and may be news to the library.
    for jwk in [&good, &with("alg", "ES999".into()), &with("use", "enc".into()), &with("x5c", 1.into())] {
        assert!(Key::read(jwk).is_some(), "{jwk}");
    }
    for jwk in [
        json!(null),
        json!({}),
        with("kty", "RSA".into()),
        with("kty", "OKP".into()),
        with("crv", "P-1".into()),
        with("crv", "Ed25519".into()),
        with("x", "!".into()),
        with("y", Value::Null),
        with("kid", 1.into()),
    ] {
        assert!(Key::read(&jwk).is_none(), "{jwk}");
    }
    assert_eq!(Key::read(&with("kid", Value::Null)).unwrap().id, "");
}
