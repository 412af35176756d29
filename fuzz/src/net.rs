//! Targets for `frp-net`.

use frp_net::address;
use frp_net::resolve::Resolver;
use frp_net::tls::fuzzing;

use crate::pieces::ready;
use crate::{Target, seeds};

/// The targets of this module.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target::new("net_pem", net_pem, files),
        Target::new("net_certificate", net_certificate, certificates),
        Target::new("net_address", net_address, addresses),
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
