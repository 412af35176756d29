//! Messages of NTLM version 2 (MS-NLMP), and nothing else of it: no signing, no sealing, no key exchange.

use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use rand::Rng;

mod md4;

use md4::md4;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
const UNICODE: u32 = 1;
const LM_KEY: u32 = 1 << 7;
const NTLM: u32 = 1 << 9;
const ALWAYS_SIGN: u32 = 1 << 15;
const EXTENDED_SECURITY: u32 = 1 << 19;
const TARGET_INFO: u32 = 1 << 23;
const VERSION: u32 = 1 << 25;
const KEY_128: u32 = 1 << 29;
const KEY_EXCHANGE: u32 = 1 << 30;
const KEY_56: u32 = 1 << 31;
/// The names that the target's information uses: its end, and its clock.
const END_OF_LIST: u16 = 0;
const TIMESTAMP: u16 = 7;
/// Between the years 1601 and 1970, in units of 100 ns.
const EPOCH: u64 = 116_444_736_000_000_000;

/// Why the proxy's challenge cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NtlmError {
    /// It is no challenge, or cut off.
    #[error("message is not a valid challenge message")]
    Malformed,
    /// It asks for version 1.
    #[error("only NTLM v2 is supported, but server requested v1 (NTLMSSP_NEGOTIATE_LM_KEY)")]
    Version1,
    /// It asks for a key exchange.
    #[error("key exchange requested but not supported (NTLMSSP_NEGOTIATE_KEY_EXCH)")]
    KeyExchange,
    /// It does not know Unicode.
    #[error("only unicode is supported")]
    NotUnicode,
    /// There is neither user nor password.
    #[error("anonymous authentication not supported")]
    Anonymous,
    /// The proxy closes the connection on which it has challenged us.
    #[error("NTLM proxy closes the connection that it wants proven")]
    Closed,
}

/// The first message: what we know.
pub(super) fn negotiate_message() -> Vec<u8> {
    let flags = UNICODE | NTLM | ALWAYS_SIGN | EXTENDED_SECURITY | TARGET_INFO | KEY_128 | KEY_56;
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&1_u32.to_le_bytes());
    message.extend_from_slice(&flags.to_le_bytes());
    // No domain and no workstation: empty fields that point behind the message.
    for _ in 0..2 {
        message.extend_from_slice(&[0, 0, 0, 0, 40, 0, 0, 0]);
    }
    // The version that the original claims: Windows 6.1, build 7601, revision 15.
    message.extend_from_slice(&[6, 1, 0xb1, 0x1d, 0, 0, 0, 15]);
    message
}

/// The third message: the proof, for a challenge.
pub(super) fn authenticate_message(
    challenge: &[u8],
    user: &str,
    password: &str,
) -> Result<Vec<u8>, NtlmError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_nanos() / 100).unwrap_or_default().saturating_add(EPOCH);
    answer(challenge, user, password, now, rand::rng().random())
}

fn answer(
    challenge: &[u8],
    user: &str,
    password: &str,
    now: u64,
    nonce: [u8; 8],
) -> Result<Vec<u8>, NtlmError> {
    if user.is_empty() && password.is_empty() {
        return Err(NtlmError::Anonymous);
    }
    let challenge = Challenge::parse(challenge).ok_or(NtlmError::Malformed)?;
    if challenge.flags & LM_KEY != 0 {
        return Err(NtlmError::Version1);
    }
    if challenge.flags & KEY_EXCHANGE != 0 {
        return Err(NtlmError::KeyExchange);
    }
    if challenge.flags & UNICODE == 0 {
        return Err(NtlmError::NotUnicode);
    }
    let (domain, user) = user.split_once('\\').unwrap_or(("", user));
    let key = hash(password, user, domain);
    let timestamp = challenge.timestamp.unwrap_or_else(|| now.to_le_bytes());
    let blob =
        [&[1, 1, 0, 0, 0, 0, 0, 0][..], &timestamp, &nonce, &[0; 4], challenge.target_info, &[0; 4]].concat();
    let proof = hmac_md5(&key, &[&challenge.nonce, &blob]);
    let nt = [&proof[..], &blob].concat();
    let lm = match challenge.target_info {
        [] => [&hmac_md5(&key, &[&challenge.nonce, &nonce])[..], &nonce].concat(),
        _ => Vec::new(),
    };
    let (domain, user) = (unicode(domain), unicode(user));
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&3_u32.to_le_bytes());
    let mut offset = 64_usize;
    let mut field = |part: &[u8]| {
        let length = u16::try_from(part.len()).map_err(|_| NtlmError::Malformed)?;
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
        offset += part.len();
        Ok::<_, NtlmError>(())
    };
    for part in [&lm, &nt, &domain, &user, &Vec::new(), &Vec::new()] {
        field(part)?;
    }
    message.extend_from_slice(&(challenge.flags & !VERSION).to_le_bytes());
    for part in [lm, nt, domain, user] {
        message.extend_from_slice(&part);
    }
    Ok(message)
}

/// What the second message says.
struct Challenge<'a> {
    flags: u32,
    nonce: [u8; 8],
    target_info: &'a [u8],
    timestamp: Option<[u8; 8]>,
}

impl<'a> Challenge<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let bytes = |at: usize, length: usize| message.get(at..at.checked_add(length)?);
        let u16_at = |at| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?));
        let u32_at = |at| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?));
        if bytes(0, 8)? != SIGNATURE || u32_at(8)? != 2 {
            return None;
        }
        let flags = u32_at(20)?;
        let nonce = bytes(24, 8)?.try_into().ok()?;
        let target_info = match u16_at(40)? {
            0 => &[],
            length => bytes(usize::try_from(u32_at(44)?).ok()?, usize::from(length))?,
        };
        let mut timestamp = None;
        let mut rest = target_info;
        while !rest.is_empty() {
            let (id, after) = rest.split_first_chunk::<2>()?;
            if u16::from_le_bytes(*id) == END_OF_LIST {
                break;
            }
            let (length, after) = after.split_first_chunk::<2>()?;
            let (value, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            if u16::from_le_bytes(*id) == TIMESTAMP {
                timestamp = value.try_into().ok();
            }
            rest = after;
        }
        Some(Self { flags, nonce, target_info, timestamp })
    }
}

fn unicode(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The key of version 2, from the password.
fn hash(password: &str, user: &str, domain: &str) -> [u8; 16] {
    hmac_md5(&md4(&unicode(password)), &[&unicode(&user.to_uppercase()), &unicode(domain)])
}

/// HMAC (RFC 2104) of the parts, one after the other. The key is shorter than a block.
fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let mut inner = Md5::new();
    inner.update(padded(0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Md5::new();
    outer.update(padded(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The values of MS-NLMP section 4.2: User, Domain, Password.
    #[test]
    fn the_example_of_the_specification() {
        assert_eq!(hex(&md4(&unicode("Password"))), "a4f49c406510bdcab6824ee7c30fd852");
        let key = hash("Password", "User", "Domain");
        assert_eq!(hex(&key), "0c868a403bfd7a93a3001ef22ef02e3f");
        let nonce = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        let lm = hmac_md5(&key, &[&nonce, &[0xaa; 8]]);
        assert_eq!(hex(&lm), "86c35097ac9cec102554764a57cccc19");
        let mut info = Vec::new();
        for (id, name) in [(2_u16, "Domain"), (1, "Server")] {
            info.extend(id.to_le_bytes());
            info.extend(u16::try_from(name.len() * 2).unwrap().to_le_bytes());
            info.extend(unicode(name));
        }
        info.extend([0; 4]);
        let mut challenge = SIGNATURE.to_vec();
        challenge.extend(2_u32.to_le_bytes());
        challenge.extend([0; 8]);
        challenge.extend((UNICODE | NTLM | TARGET_INFO | VERSION).to_le_bytes());
        challenge.extend(nonce);
        challenge.extend([0; 8]);
        let length = u16::try_from(info.len()).unwrap().to_le_bytes();
        challenge.extend([length, length].concat());
        challenge.extend(48_u32.to_le_bytes());
        challenge.extend(&info);
        let message = answer(&challenge, "Domain\\User", "Password", 0, [0xaa; 8]).unwrap();
        assert_eq!(hex(&message[64..80]), "68cd0ab851e51c96aabc927bebef6a1c");
        assert!(message.ends_with(&unicode("DomainUser")));
        for cut in 0..challenge.len() {
            assert!(answer(&challenge[..cut], "a", "b", 0, [0; 8]).is_err());
        }
    }

    #[test]
    fn the_first_message_has_the_bytes_of_the_original() {
        let message = negotiate_message();
        assert_eq!(message.len(), 40);
        assert_eq!(hex(&message[..16]), "4e544c4d5353500001000000018288a0");
    }
}
