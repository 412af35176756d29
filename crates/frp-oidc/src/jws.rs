//! The parts of a token, and its signature: compact JWS (RFC 7515) with an asymmetric algorithm.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm as Library, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;

/// An algorithm whose keys an issuer may publish. Never one of a shared secret, never `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Algorithm {
    pub(crate) name: &'static str,
    /// None for the one that the library has not.
    library: Option<Library>,
}

/// Those that upstream's library knows.
pub(crate) const ALGORITHMS: [Algorithm; 10] = [
    RS256,
    Algorithm { name: "RS384", library: Some(Library::RS384) },
    Algorithm { name: "RS512", library: Some(Library::RS512) },
    Algorithm { name: "ES256", library: Some(Library::ES256) },
    Algorithm { name: "ES384", library: Some(Library::ES384) },
    Algorithm { name: "ES512", library: None },
    Algorithm { name: "PS256", library: Some(Library::PS256) },
    Algorithm { name: "PS384", library: Some(Library::PS384) },
    Algorithm { name: "PS512", library: Some(Library::PS512) },
    Algorithm { name: "EdDSA", library: Some(Library::EdDSA) },
];

/// The one that every issuer has.
pub(crate) const RS256: Algorithm = Algorithm { name: "RS256", library: Some(Library::RS256) };

/// What is no token of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    Malformed(String),
    MultipleSignatures,
}

/// A token that has been taken apart. Nothing about it is proved yet.
pub(crate) struct Token<'a> {
    algorithm: Algorithm,
    /// Empty where the token does not name its key.
    pub(crate) key_id: String,
    /// A header that nobody here understands must be understood.
    is_critical: bool,
    signed: &'a str,
    signature: &'a str,
    payload: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// The longest name of an algorithm that is shown.
const MAX_NAME: usize = 32;

impl<'a> Token<'a> {
    /// Takes `text` apart if its algorithm is one of `allowed`.
    pub(crate) fn parse(text: &'a str, allowed: &[Algorithm]) -> Result<Self, ParseError> {
        let text = text.trim();
        if text.starts_with('{') {
            return Err(json_form(text));
        }
        let malformed = |what: &str| ParseError::Malformed(what.to_owned());
        let parts: Vec<_> = text.splitn(4, '.').collect();
        let &[header, payload, signature] = parts.as_slice() else {
            return Err(malformed("go-jose/go-jose: compact JWS format must have three parts"));
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("illegal base64 data"));
        let decoded: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| malformed("the header is no JSON object with texts"))?;
        let name = decoded.alg.unwrap_or_default();
        let payload = decode(payload)?;
        decode(signature)?;
        let Some(&algorithm) = allowed.iter().find(|algorithm| algorithm.name == name) else {
            let expected: Vec<_> = allowed.iter().map(|algorithm| format!("{:?}", algorithm.name)).collect();
            let name: String = name.chars().take(MAX_NAME).collect();
            let expected = expected.join(" ");
            return Err(malformed(&format!(
                "unexpected signature algorithm {name:?}; expected [{expected}]"
            )));
        };
        let signed = text.rsplit_once('.').map_or("", |(signed, _)| signed);
        Ok(Self {
            algorithm,
            key_id: decoded.kid.unwrap_or_default(),
            is_critical: decoded.crit.is_some(),
            signed,
            signature,
            payload,
        })
    }

    /// What the token says, if `key` has signed it.
    pub(crate) fn payload_signed_by(&self, key: &Key) -> Option<&[u8]> {
        (!self.is_critical && self.is_signed_by(key)).then_some(&self.payload)
    }

    fn is_signed_by(&self, key: &Key) -> bool {
        let signed = self.signed.as_bytes();
        match self.algorithm.library {
            // Refuses keys of another family.
            Some(library) => crypto::verify(self.signature, signed, &key.key, library).unwrap_or(false),
            None => {
                let (Ok(point), Ok(signature)) =
                    (key.key.try_get_as_bytes(), URL_SAFE_NO_PAD.decode(self.signature))
                else {
                    return false;
                };
                key.is_p521
                    && UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point)
                        .verify(signed, &signature)
                        .is_ok()
            }
        }
    }
}

/// The JSON serialization, which may have several signatures. No token endpoint uses it.
fn json_form(text: &str) -> ParseError {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let signatures = value.as_ref().and_then(|value| value.get("signatures")?.as_array());
    match signatures {
        Some(signatures) if signatures.len() > 1 => ParseError::MultipleSignatures,
        _ => ParseError::Malformed("only the compact serialization is taken".to_owned()),
    }
}

/// A public key of the issuer.
pub(crate) struct Key {
    pub(crate) id: String,
    key: DecodingKey,
    is_p521: bool,
}

impl Key {
    /// Reads a JWK (RFC 7517). None for what is no public key of a kind that we know, such as one of a shared secret.
    /// What else a key says about itself is read by nobody upstream.
    pub(crate) fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name)?.as_str().filter(|text| !text.is_empty());
        let curve = text("crv").unwrap_or_default();
        let key = match (text("kty")?, curve) {
            ("RSA", _) => DecodingKey::from_rsa_raw_components(&number(text("n")?)?, &number(text("e")?)?),
            ("EC", "P-256" | "P-384" | "P-521") => {
                DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?
            }
            ("OKP", "Ed25519") => DecodingKey::from_ed_components(text("x")?).ok()?,
            _ => return None,
        };
        let id = match jwk.get("kid") {
            None | Some(Value::Null) => String::new(),
            Some(id) => id.as_str()?.to_owned(),
        };
        Some(Self { id, key, is_p521: curve == "P-521" })
    }
}

/// A number of an RSA key, without the zeros in front that some issuers send. Go does not mind them, the library does.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).filter(|digits| !digits.is_empty()).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests;
