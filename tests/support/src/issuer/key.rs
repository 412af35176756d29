//! Keys that an issuer signs with.

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key for one algorithm.
#[derive(Debug)]
pub struct Key {
    id: String,
    algorithm: String,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// A new key for `algorithm`, a name of RFC 7518.
    ///
    /// # Errors
    /// No such algorithm.
    pub fn generate(id: &str, algorithm: &str) -> Result<Self> {
        let rsa = |encoding: &'static dyn RsaEncoding| {
            anyhow::Ok(Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?, encoding))
        };
        let ec = |signing: &'static EcdsaSigningAlgorithm, curve| {
            anyhow::Ok(Pair::Ec(EcdsaKeyPair::generate(signing)?, curve))
        };
        let pair = match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256)?,
            "RS384" => rsa(&RSA_PKCS1_SHA384)?,
            "RS512" => rsa(&RSA_PKCS1_SHA512)?,
            "PS256" => rsa(&RSA_PSS_SHA256)?,
            "PS384" => rsa(&RSA_PSS_SHA384)?,
            "PS512" => rsa(&RSA_PSS_SHA512)?,
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256")?,
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384")?,
            "ES512" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521")?,
            "EdDSA" => Pair::Ed(Ed25519KeyPair::generate()?),
            other => bail!("no algorithm {other}"),
        };
        Ok(Self { id: id.to_owned(), algorithm: algorithm.to_owned(), pair })
    }

    /// The public half, as a JWK.
    #[must_use]
    pub fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({ "kty": "RSA", "n": text(n.big_endian_without_leading_zero()),
                        "e": text(e.big_endian_without_leading_zero()) })
            }
            Pair::Ec(pair, curve) => {
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            Pair::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = self.id.clone().into();
        jwk["alg"] = self.algorithm.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// The library fails.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": self.algorithm, "kid": self.id, "typ": "JWT" });
        self.sign_with(&header, claims)
    }

    /// A token with any header.
    ///
    /// # Errors
    /// The library fails.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> Result<String> {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", text(header), text(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, signed.as_bytes(), &mut signature)?;
                signature
            }
            Pair::Ec(pair, _) => pair.sign(&random, signed.as_bytes())?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.try_sign(signed.as_bytes()).context("sign")?.as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
