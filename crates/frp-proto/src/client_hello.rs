//! The name that a TLS client asks for, from its first message, without taking part in the handshake.
//!
//! ```text
//! record     type 22 (1) | version (2) | length (2) | a part of the handshake
//! handshake  type 1 (1) | length (3) | ClientHello
//! ```
//!
//! A hello may come in any number of records, and a record in any number of pieces. Upstream reads it with Go's
//! `crypto/tls` (`pkg/util/vhost/https.go`); what that refuses of the framing and of the name is refused here as well,
//! what other extensions hold is nobody's business.

use crate::limits::MAX_CLIENT_HELLO;
use crate::sniff::TLS_HELLO;

/// Length of the header of a record.
const RECORD_HEADER_LEN: usize = 5;
/// The most that one record may hold, RFC 8446 5.1.
const MAX_RECORD: usize = 1 << 14;
/// Go takes a record of a version from here on for something other than TLS.
const VERSION_TOO_HIGH: u8 = 0x10;
/// Length of the header of a handshake message.
const HANDSHAKE_HEADER_LEN: usize = 4;
/// Type of the handshake message that is a ClientHello.
const CLIENT_HELLO: u8 = 1;
/// Numbers of extensions, RFC 6066 3, RFC 7301 3.1 and RFC 8446 4.2.1.
const SERVER_NAME: u16 = 0;
const PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// Type of a name that is a host's.
const HOST_NAME: u8 = 0;
/// Versions on the wire.
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// Why bytes are no ClientHello that could be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// They do not begin like TLS.
    #[error("first record does not look like a TLS handshake")]
    NotTls,
    /// A record is empty or longer than a record may be.
    #[error("a TLS record of {0} bytes")]
    RecordLength(usize),
    /// The handshake begins with something else.
    #[error("a handshake that begins with message {0}")]
    NotHello(u8),
    /// Longer than [`MAX_CLIENT_HELLO`].
    #[error("a ClientHello of {0} bytes")]
    TooLong(usize),
    /// The parts do not fit together.
    #[error("a malformed ClientHello")]
    Malformed,
    /// The extension with the name is there twice, empty, or with more than one name of a host.
    #[error("a ClientHello with a malformed server name")]
    Name,
}

/// What a ClientHello says that matters to who routes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The host that the client asks for, lower-cased in ASCII, without a dot at its end. Empty when it asks for none.
    pub server_name: Vec<u8>,
    /// Whether the client offers TLS 1.2 or 1.3, which says how it has to be refused.
    pub is_modern: bool,
    /// Whether the client says what it will speak within TLS (ALPN), as users' programs do and frp's clients don't.
    pub names_protocols: bool,
}

/// Reads a ClientHello from bytes as they come.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Of the record that comes next.
    header: [u8; RECORD_HEADER_LEN],
    header_len: usize,
    /// Bytes of the current record that are still to come.
    left: usize,
    /// The handshake message so far.
    message: Vec<u8>,
}

impl HelloReader {
    /// Takes the bytes that come next; bytes behind the hello are not looked at. `None` while it is incomplete. After
    /// an answer or an error there is nothing more to read.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a hello.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.receive_header(bytes)?;
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= part.len();
            bytes = rest;
            if self.message.is_empty()
                && let Some(hello) = whole(part)?
            {
                return Ok(Some(hello));
            }
            self.message.extend_from_slice(part);
            if let Some(hello) = whole(&self.message)? {
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    /// Returns what follows the header or the part of it.
    fn receive_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], HelloError> {
        let missing = RECORD_HEADER_LEN - self.header_len;
        let (part, rest) = bytes.split_at(missing.min(bytes.len()));
        for byte in part {
            if let Some(place) = self.header.get_mut(self.header_len) {
                *place = *byte;
            }
            self.header_len += 1;
        }
        let [kind, major, _, high, low] = self.header;
        if kind != TLS_HELLO || (self.header_len > 1 && major >= VERSION_TOO_HIGH) {
            return Err(HelloError::NotTls);
        }
        if self.header_len == RECORD_HEADER_LEN {
            self.header_len = 0;
            self.left = usize::from(u16::from_be_bytes([high, low]));
            if !(1..=MAX_RECORD).contains(&self.left) {
                return Err(HelloError::RecordLength(self.left));
            }
        }
        Ok(rest)
    }
}

/// The hello, if `message` holds all of it.
fn whole(message: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    if let Some(kind) = message.first().filter(|kind| **kind != CLIENT_HELLO) {
        return Err(HelloError::NotHello(*kind));
    }
    let Some(([_, a, b, c], rest)) = message.split_first_chunk::<HANDSHAKE_HEADER_LEN>() else {
        return Ok(None);
    };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    if length > MAX_CLIENT_HELLO {
        return Err(HelloError::TooLong(length));
    }
    rest.get(..length).map(parse).transpose()
}

fn parse(hello: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Reader(hello);
    let (version, extensions) = body.client_hello().ok_or(HelloError::Malformed)?;
    let mut found =
        ClientHello { server_name: Vec::new(), is_modern: version >= TLS_1_2, names_protocols: false };
    let mut seen = Vec::new();
    let mut rest = Reader(extensions);
    while !rest.is_empty() {
        let (kind, data) = rest.extension().ok_or(HelloError::Malformed)?;
        seen.push(kind);
        match kind {
            SERVER_NAME => found.server_name = server_name(data).ok_or(HelloError::Name)?,
            PROTOCOLS => found.names_protocols = true,
            SUPPORTED_VERSIONS => found.is_modern = offers_modern(data).unwrap_or(found.is_modern),
            _ => {}
        }
    }
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(HelloError::Malformed);
    }
    Ok(found)
}

/// The one name of a host in the extension; empty when there are only names of other kinds.
fn server_name(data: &[u8]) -> Option<Vec<u8>> {
    let mut data = Reader(data);
    let mut list = Reader(data.vector16()?);
    if list.is_empty() || !data.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = list.vector16().filter(|name| !name.is_empty())?;
        if kind != HOST_NAME {
            continue;
        }
        if !found.is_empty() {
            return None;
        }
        found = name.to_ascii_lowercase();
    }
    // Upstream does not take a name with a dot at its end, which resolvers do take.
    if found.last() == Some(&b'.') {
        found.pop();
    }
    Some(found)
}

/// Whether the list of versions has one of the two; `None` where it is no list.
fn offers_modern(data: &[u8]) -> Option<bool> {
    let (length, list) = data.split_first()?;
    if usize::from(*length) != list.len() || list.len() % 2 != 0 {
        return None;
    }
    let mut versions =
        list.chunks_exact(2).map(|pair| pair.iter().fold(0, |n, byte| n << 8 | u16::from(*byte)));
    Some(versions.any(|version| matches!(version, TLS_1_2 | TLS_1_3)))
}

/// What is left to read. Every method takes nothing when there is not enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The version that the client says it has, and the extensions; `None` also for bytes behind them.
    fn client_hello(&mut self) -> Option<(u16, &'a [u8])> {
        let version = self.u16()?;
        self.take(32)?; // Random.
        self.vector8()?; // Session id.
        self.vector16().filter(|suites| suites.len() % 2 == 0)?;
        self.vector8()?; // Compression methods.
        let extensions = if self.is_empty() { &[] } else { self.vector16()? };
        self.is_empty().then_some((version, extensions))
    }

    fn extension(&mut self) -> Option<(u16, &'a [u8])> {
        Some((self.u16()?, self.vector16()?))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from(self.u8()?) << 8 | u16::from(self.u8()?))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector16(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector16(data)].concat()
    }

    fn names(names: &[(u8, &str)]) -> Vec<u8> {
        let list: Vec<u8> =
            names.iter().flat_map(|(kind, name)| [vec![*kind], vector16(name.as_bytes())].concat()).collect();
        extension(SERVER_NAME, &vector16(&list))
    }

    fn versions(versions: &[u16]) -> Vec<u8> {
        let list: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
        extension(SUPPORTED_VERSIONS, &[&[u8::try_from(list.len()).unwrap()], &list[..]].concat())
    }

    fn body(version: u16, extensions: Option<&[u8]>) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        body.extend([7; 32]);
        body.extend([2, 8, 8]);
        body.extend(vector16(&[0x13, 1]));
        body.extend([1, 0]);
        body.extend(extensions.map(vector16).unwrap_or_default());
        body
    }

    fn handshake(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO], &length[1..], body].concat()
    }

    fn records(handshake: &[u8], of: usize) -> Vec<u8> {
        handshake.chunks(of).flat_map(|part| [vec![TLS_HELLO, 3, 1], vector16(part)].concat()).collect()
    }

    fn read(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        HelloReader::default().receive(bytes)
    }

    fn of_extensions(extensions: &[u8]) -> Result<ClientHello, HelloError> {
        read(&records(&handshake(&body(TLS_1_2, Some(extensions))), MAX_RECORD)).map(Option::unwrap)
    }

    fn name(server_name: &str) -> ClientHello {
        ClientHello { server_name: server_name.as_bytes().to_vec(), is_modern: true, names_protocols: false }
    }

    #[test]
    fn a_hello_in_any_records_and_pieces() {
        let extensions = [versions(&[TLS_1_3]), names(&[(0, "A.test")])].concat();
        let message = handshake(&body(TLS_1_2, Some(&extensions)));
        for of in [1, 2, 7, 40, MAX_RECORD] {
            let bytes = records(&message, of);
            assert_eq!(read(&bytes), Ok(Some(name("a.test"))));
            assert_eq!(read(&[&bytes[..], b"and more"].concat()), Ok(Some(name("a.test"))));
            let mut reader = HelloReader::default();
            for (at, byte) in bytes.iter().enumerate() {
                let expected = (at + 1 == bytes.len()).then(|| name("a.test"));
                assert_eq!(reader.receive(&[*byte]), Ok(expected));
            }
            for cut in 0..bytes.len() {
                let mut reader = HelloReader::default();
                assert_eq!(reader.receive(&bytes[..cut]), Ok(None));
                assert_eq!(reader.receive(&bytes[cut..]), Ok(Some(name("a.test"))));
            }
        }
    }

    #[test]
    fn the_name() {
        assert_eq!(of_extensions(&names(&[(0, "a.test.")])), Ok(name("a.test")));
        assert_eq!(of_extensions(&names(&[(1, "b.test"), (0, "a.test")])), Ok(name("a.test")));
        assert_eq!(of_extensions(&names(&[(1, "b.test")])), Ok(name("")));
        assert_eq!(of_extensions(&[]), Ok(name("")));
        assert_eq!(of_extensions(&names(&[])), Err(HelloError::Name));
        assert_eq!(of_extensions(&names(&[(0, "")])), Err(HelloError::Name));
        assert_eq!(of_extensions(&names(&[(0, "a"), (0, "a")])), Err(HelloError::Name));
        assert_eq!(of_extensions(&extension(SERVER_NAME, &[0, 4, 0, 0, 1, b'a', 9])), Err(HelloError::Name));
        let twice = [names(&[(0, "a")]), names(&[(0, "a")])].concat();
        assert_eq!(of_extensions(&twice), Err(HelloError::Malformed));
    }

    #[test]
    fn what_a_client_offers() {
        let modern = |version, extensions: Option<&[u8]>| {
            read(&records(&handshake(&body(version, extensions)), MAX_RECORD)).unwrap().unwrap().is_modern
        };
        assert!(modern(TLS_1_2, None));
        assert!(!modern(0x0302, None));
        assert!(!modern(0x0300, Some(&[])));
        assert!(modern(0x0301, Some(&versions(&[0x7f1c, TLS_1_3]))));
        assert!(!modern(TLS_1_2, Some(&versions(&[0x0301]))));
        // What is no list says nothing.
        assert!(modern(TLS_1_2, Some(&extension(SUPPORTED_VERSIONS, &[3, 3, 4, 0]))));
    }

    #[test]
    fn what_is_no_tls_is_known_by_its_first_bytes() {
        assert_eq!(read(b"G"), Err(HelloError::NotTls));
        assert_eq!(read(&[0x15, 3, 1, 0, 2, 2, 0x28]), Err(HelloError::NotTls));
        assert_eq!(read(&[TLS_HELLO, 0x10]), Err(HelloError::NotTls));
        assert_eq!(read(&[TLS_HELLO, 4, 0]), Ok(None));
        assert_eq!(read(&[TLS_HELLO, 3, 1, 0, 0]), Err(HelloError::RecordLength(0)));
        assert_eq!(read(&[TLS_HELLO, 3, 1, 0x40, 1]), Err(HelloError::RecordLength(MAX_RECORD + 1)));
        assert_eq!(read(&[TLS_HELLO, 3, 1, 0, 4, 2]), Err(HelloError::NotHello(2)));
        // The second record counts as well.
        assert_eq!(read(&[TLS_HELLO, 3, 1, 0, 1, 1, 0x17]), Err(HelloError::NotTls));
    }

    #[test]
    fn the_longest_hello() {
        let fill = |length: usize| {
            let empty = handshake(&body(TLS_1_2, Some(&[]))).len() - HANDSHAKE_HEADER_LEN;
            read(&records(
                &handshake(&body(TLS_1_2, Some(&extension(21, &vec![0; length - empty - 4])))),
                999,
            ))
        };
        assert_eq!(fill(60_000), Ok(Some(name(""))));
        let too_long = [&[TLS_HELLO, 3, 1, 0, 4, CLIENT_HELLO], &[1, 0, 1][..]].concat();
        assert_eq!(read(&too_long), Err(HelloError::TooLong(MAX_CLIENT_HELLO + 1)));
        assert_eq!(read(&[TLS_HELLO, 3, 1, 0, 4, CLIENT_HELLO, 1, 0, 0]), Ok(None));
    }

    #[test]
    fn parts_that_do_not_fit_together() {
        let good = body(TLS_1_2, Some(&names(&[(0, "a.test")])));
        for length in 0..good.len() {
            let cut = read(&records(&handshake(&good[..length]), MAX_RECORD));
            // Without its extensions it is whole again.
            let whole = body(TLS_1_2, None).len();
            assert_eq!(cut.is_ok(), length == whole, "{length}");
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(read(&records(&handshake(&longer), MAX_RECORD)), Err(HelloError::Malformed));
        let mut odd = body(TLS_1_2, None);
        odd.splice(37..41, [0, 1, 9]);
        assert_eq!(read(&records(&handshake(&odd), MAX_RECORD)), Err(HelloError::Malformed));
        let empty = [0, 9, 0, 0, 0, 9, 0, 0];
        assert_eq!(of_extensions(&empty), Err(HelloError::Malformed), "an extension twice");
    }
}
