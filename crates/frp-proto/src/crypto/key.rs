//! From a token or secret key to the key of the cipher.

use std::fmt;

use sha1::Sha1;

/// Salt of the derivation; upstream overrides its library's own default with it (`cmd/frps/main.go`).
const SALT: &[u8] = b"frp";
const ROUNDS: u32 = 64;

/// A key of the AES-CFB stream. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    /// The key's bytes, for a cipher.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Key {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}

/// Derives the cipher's key from the raw bytes of a token (control channel, work connections) or of a secret
/// key (visitors): PBKDF2 with HMAC-SHA1, salt `frp`, 64 rounds, 16 bytes.
///
/// The token may be empty, as it is under OIDC unless both sides also set one. Upstream golib `crypto`.
#[must_use]
pub fn derive(token: &[u8]) -> Key {
    Key(pbkdf2::pbkdf2_hmac_array::<Sha1, 16>(token, SALT, ROUNDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_keys() {
        let cases = [
            ("123", 0x1f64_2096_1e5d_e72d_f33b_231b_40fb_20e0_u128),
            ("", 0xcdc9_dc4c_472c_3733_1281_df4c_232a_8407),
            ("abc", 0x62e5_ed67_fdd0_4e5f_1f71_d779_ceb9_667f),
        ];
        for (token, key) in cases {
            assert_eq!(derive(token.as_bytes()).as_bytes(), &key.to_be_bytes(), "{token:?}");
        }
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", derive(b"123")), "Key(<redacted>)");
    }
}
