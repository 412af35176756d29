//! The keys of an encrypted control channel of wire version 2.
//!
//! Both directions have a key of their own, made of the token and of a hash over the two hellos exactly as they were
//! on the wire, so that nobody in between can change what the two sides agree on. Upstream `pkg/proto/wire/crypto.go`
//! and `pkg/util/net/conn.go`.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

const TRANSCRIPT_LABEL: &[u8] = b"frp wire v2 crypto transcript";
const KEY_LABEL: &[u8] = b"frp wire v2 control aead ";
const KEY_LEN: usize = 32;

/// A cipher of the control channel that seals records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `aes-256-gcm`: fast where the processor helps.
    Aes256Gcm,
    /// `xchacha20-poly1305`: fast everywhere else.
    XChaCha20Poly1305,
}

impl Algorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::XChaCha20Poly1305];

    /// Its name in hellos.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
        }
    }

    /// The algorithm of this name; none if there is no such one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Length in bytes of the nonce in front of each direction.
    #[must_use]
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 12,
            Self::XChaCha20Poly1305 => 24,
        }
    }
}

/// A hash over both hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// Hashes the payloads of the two frames as they were on the wire; never as they would be written again.
    #[must_use]
    pub fn new(client_hello: &[u8], server_hello: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(TRANSCRIPT_LABEL);
        for (label, payload) in [("client hello", client_hello), ("server hello", server_hello)] {
            hash.update([0]);
            hash.update(label.as_bytes());
            hash.update([0]);
            hash.update((payload.len() as u64).to_be_bytes());
            hash.update(payload);
        }
        Self(hash.finalize().into())
    }

    /// The hash's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Which way a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What the client seals.
    ClientToServer,
    /// What the server seals.
    ServerToClient,
}

/// The key of one direction, and its cipher. Its `Debug` output does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKey {
    algorithm: Algorithm,
    key: [u8; KEY_LEN],
}

impl RecordKey {
    /// Derives the key of a direction from the raw bytes of the token, which may be empty.
    #[must_use]
    pub fn derive(token: &[u8], transcript: &Transcript, algorithm: Algorithm, direction: Direction) -> Self {
        let direction: &[u8] = match direction {
            Direction::ClientToServer => b"client-to-server",
            Direction::ServerToClient => b"server-to-client",
        };
        let mut key = [0; KEY_LEN];
        let hkdf = Hkdf::<Sha256>::new(Some(&transcript.0), token);
        let info = [KEY_LABEL, algorithm.name().as_bytes(), b" ", direction];
        #[expect(clippy::expect_used, reason = "32 bytes are far below what HKDF-SHA256 can give")]
        hkdf.expand_multi_info(&info, &mut key).expect("a key is short");
        Self { algorithm, key }
    }

    /// The cipher that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's bytes, for a cipher.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.key
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({}, <redacted>)", self.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn hellos(algorithm: Algorithm) -> (String, String) {
        let client = r#"{"bootstrap":{"transport":"tcp","tls":true,"tcpMux":true},"capabilities":{"message":{"codecs":["json"]},"crypto":{"algorithms":["aes-256-gcm","xchacha20-poly1305"],"clientRandom":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}}"#;
        let server = r#"{"selected":{"message":{"codec":"json"},"crypto":{"algorithm":"ALGORITHM","serverRandom":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="}}}"#;
        (client.to_owned(), server.replace("ALGORITHM", algorithm.name()))
    }

    #[test]
    fn golden_keys() {
        let cases = [
            (
                Algorithm::Aes256Gcm,
                "5ccf90b805bdc0b770f583b4244b2512db50418790b323924394ec5014df66a0",
                "f1e9392a42779e5da153d417228bd5c366db8bbdc679be7d1e840f8bcf334b7d",
                "cbf6548880a2fb41587078460baa9f3bb1cbe78abe78db79ffcb8bcbb063d70c",
            ),
            (
                Algorithm::XChaCha20Poly1305,
                "0562fee7b410806a0302e109220f13dd4fb74589fbedb9d297280e72a61b38cb",
                "32d060382e2a37801f417bb03a252cac1689857219c43b0c50697e1e27bb46f4",
                "ec77305b6d6f1d1c3200e6863c9d89c843d9fedefc48b8c5973ea2cf5170fadb",
            ),
        ];
        for (algorithm, transcript, to_server, to_client) in cases {
            let (client, server) = hellos(algorithm);
            let hash = Transcript::new(client.as_bytes(), server.as_bytes());
            assert_eq!(hex(hash.as_bytes()), transcript);
            let key = |direction| RecordKey::derive(b"123", &hash, algorithm, direction);
            assert_eq!(hex(key(Direction::ClientToServer).as_bytes()), to_server);
            assert_eq!(hex(key(Direction::ServerToClient).as_bytes()), to_client);
        }
    }

    #[test]
    fn the_known_answer_of_the_originals_own_test() {
        let algorithm = Algorithm::XChaCha20Poly1305;
        let key = |direction| RecordKey::derive(b"token", &Transcript([0x44; 32]), algorithm, direction);
        let to_server = "a058cd025d96985febebff79a19f62b715e053913dfc747705914c624bf3d495";
        assert_eq!(hex(key(Direction::ClientToServer).as_bytes()), to_server);
        let to_client = "2b09f9e07815a595bf458cf17c1d9a70eb325c2416d65dc94b9930197971e0ef";
        assert_eq!(hex(key(Direction::ServerToClient).as_bytes()), to_client);
    }

    #[test]
    fn names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("AES-256-GCM"), None);
        let key = RecordKey { algorithm: Algorithm::Aes256Gcm, key: [7; 32] };
        assert_eq!(format!("{key:?}"), "RecordKey(aes-256-gcm, <redacted>)");
    }
}
