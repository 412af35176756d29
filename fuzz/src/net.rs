//! Targets for `frp-net`.

use frp_net::address;
use frp_net::proxy::Proxy;
use frp_net::resolve::Resolver;
use frp_net::tls::fuzzing;
use frp_net::websocket::{self, Decoder, End, Header, Opcode, PATH, Role, WebSocket, apply_mask};
use frp_stream::Stream;
use tokio::io::AsyncReadExt;

use crate::mutate::Random;
use crate::pieces::{Cut, Script, ready};
use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("net_pem", net_pem, files),
        Target::new("net_certificate", net_certificate, certificates),
        Target::new("net_address", net_address, addresses),
        Target::new("websocket_frame", websocket_frame, frames),
        Target::new("websocket_stream", websocket_stream, frames),
        Target::new("websocket_request", websocket_request, requests),
        Target::new("proxy_url", proxy_url, urls),
    ]
}

fn files() -> Vec<Vec<u8>> {
    let mut all = seeds::files(&seeds::data("tls"), "crt");
    all.extend(seeds::files(&seeds::data("tls"), "key"));
    all.push(
        b"x\n-----BEGIN A-----\r\nProc-Type: 4,ENCRYPTED\r\n\r\naGVs bG8=\t\r\n-----END A-----".to_vec(),
    );
    all.push(
        b"-----BEGIN A-----\naGVs\n-----END B-----\n-----BEGIN B B-----\naGV*\n-----END B B-----\n".to_vec(),
    );
    all
}

/// PEM files. The blocks are no more than the file, and written again they are read as the same.
pub fn net_pem(data: &[u8]) {
    let blocks = fuzzing::pem_blocks(data);
    assert!(
        blocks.iter().map(|(label, content)| label.len() + content.len()).sum::<usize>() <= 3 * data.len()
    );
    let mut again = String::new();
    for (label, content) in &blocks {
        again.push_str(&format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(content)));
    }
    if blocks.iter().all(|(label, _)| label.trim_end() == label) {
        assert_eq!(fuzzing::pem_blocks(again.as_bytes()), blocks);
    }
    let _ = fuzzing::has_key(data);
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * place) & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Certificates in DER.
fn certificates() -> Vec<Vec<u8>> {
    let files = seeds::files(&seeds::data("tls"), "crt");
    let mut all: Vec<Vec<u8>> =
        files.iter().flat_map(|file| fuzzing::pem_blocks(file)).map(|(_, content)| content).collect();
    all.extend(fuzzing::generated());
    all
}

/// A certificate of a peer, in DER: judged as leaf, issuer and authority of itself.
pub fn net_certificate(data: &[u8]) {
    for host in ["localhost", "127.0.0.1", "[::1]", ""] {
        let wrong = fuzzing::judge(data, host).unwrap_or_default();
        assert!(wrong.iter().all(|text| text.starts_with("x509: ")), "{wrong:?}");
    }
}

fn addresses() -> Vec<Vec<u8>> {
    let texts =
        ["1.1.1.1", "1.1.1.1:53", "[::1]:53", "::1", "fe80::1%eth0", "host:7000", "[::1", ":", "a:b:c"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Addresses as keys have them.
pub fn net_address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((host, port)) = address::split_host_port(&text) {
        assert!(host.len() + port.len() < text.len());
        if let Ok(number) = port.parse::<u16>()
            && number.to_string() == port
            && !host.contains(['[', ']'])
        {
            let joined = address::join_host_port(host, number);
            assert_eq!(address::split_host_port(&joined), Some((host, port)));
        }
    }
    let resolver = Resolver::with_server(&text);
    assert!(ready(resolver.lookup("192.0.2.1")).is_ok());
}

fn frame(opcode: Opcode, fin: bool, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let (head, end) = Header { fin, opcode, mask, length: payload.len() as u64 }.encode();
    let mut payload = payload.to_vec();
    apply_mask(&mut payload, mask.unwrap_or_default());
    [&head[..end], &payload].concat()
}

/// What either side sends.
fn frames() -> Vec<Vec<u8>> {
    let masks = [None, Some([1, 2, 3, 4])];
    masks
        .into_iter()
        .map(|mask| {
            [
                frame(Opcode::Text, false, mask, b"\xff some"),
                frame(Opcode::Ping, true, mask, b"ping"),
                frame(Opcode::Continuation, true, mask, &[7; 300]),
                frame(Opcode::Binary, true, mask, &[9; 70_000]),
                frame(Opcode::Pong, true, mask, b""),
                frame(Opcode::Close, true, mask, &[3, 232]),
            ]
            .concat()
        })
        .collect()
}

/// Frames of a peer, whole and in pieces: the same payload, never longer than the frames, and the same end.
pub fn websocket_frame(data: &[u8]) {
    if let Ok(Some((header, length))) = Header::parse(data) {
        let (again, end) = header.encode();
        assert!(end <= length && Header::parse(&again) == Ok(Some((header, end))));
    }
    for role in [Role::Client, Role::Server] {
        let mut whole = data.to_vec();
        let mut decoder = Decoder::new(role);
        let count = decoder.decode(&mut whole);
        let mut pieces = Vec::new();
        let mut other = Decoder::new(role);
        for piece in data.chunks(3) {
            let mut piece = piece.to_vec();
            let count = other.decode(&mut piece);
            pieces.extend_from_slice(&piece[..count]);
        }
        assert_eq!(whole[..count], pieces);
        assert_eq!(decoder.end(), other.end());
        assert_eq!(decoder.take_ping(), other.take_ping());
        assert_eq!(decoder.is_between_frames(), other.is_between_frames());
    }
}

/// The same through a stream, which answers: what it says are frames of its own, masked or not as its side has to.
pub fn websocket_stream(data: &[u8]) {
    for (role, peer) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
        let mut random = Random::new(data.len() as u64);
        let most = 1 + random.below(4000);
        for cut in [Cut::Never, Cut::Always, Cut::Random(random, most)] {
            let script = Script::new(data, cut);
            let written = script.written();
            let mut stream = WebSocket::new(script, role, None);
            let mut read = Vec::new();
            let result = ready(stream.read_to_end(&mut read));
            let mut expected = data.to_vec();
            let mut decoder = Decoder::new(role);
            let count = decoder.decode(&mut expected);
            assert_eq!(read, expected[..count]);
            let is_good = decoder.is_between_frames() && !matches!(decoder.end(), Some(End::Broken(_)));
            assert_eq!(result.is_ok(), is_good);
            let mut said = written.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let mut listener = Decoder::new(peer);
            assert_eq!(listener.decode(&mut said), 0, "nothing but control frames");
            assert!(listener.is_between_frames() && !matches!(listener.end(), Some(End::Broken(_))));
        }
    }
}

fn requests() -> Vec<Vec<u8>> {
    let good = "GET /~!frp?a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://a\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Protocol: a\r\n\r\nmore";
    vec![good.into(), good.replace("13", "8").into(), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
}

/// Requests for a websocket, and answers to one.
pub fn websocket_request(data: &[u8]) {
    let script = Script::new(data, Cut::Never);
    let written = script.written();
    let result = ready(websocket::accept(Stream::boxed(script), &[PATH], None));
    let said = written.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    assert_eq!(result.is_ok(), said.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
    let options = websocket::ClientOptions { path: PATH.to_owned(), host: "a".to_owned(), ping: None };
    // Nobody guesses the proof.
    assert!(ready(websocket::connect(Stream::boxed(Script::new(data, Cut::Never)), &options)).is_err());
}

fn urls() -> Vec<Vec<u8>> {
    let texts = ["http://u%20:p@[::1]:80/a", "https://a", "socks5://a:1", "ntlm://D%5Cu:p@a", "a:1", "1:1"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// URLs of proxies.
pub fn proxy_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(Some(proxy)) = Proxy::parse(&text) {
        assert!(!proxy.address().is_empty());
        let _ = format!("{proxy:?}");
    }
}
