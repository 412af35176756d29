use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

type Parsed = (Kind, String, Option<(String, String)>);

fn parse(url: &str) -> Option<Parsed> {
    Proxy::parse(url).unwrap().map(|proxy| {
        let address = proxy.address();
        (proxy.kind, address, proxy.credentials.map(|c| (c.user, c.password.expose().to_owned())))
    })
}

#[test]
fn urls() {
    assert_eq!(parse("http://127.0.0.1:3128"), Some((Kind::Http, "127.0.0.1:3128".to_owned(), None)));
    assert_eq!(parse("https://[::1]/x"), Some((Kind::Https, "[::1]:443".to_owned(), None)));
    let credentials = Some(("us er".to_owned(), "p:@".to_owned()));
    assert_eq!(parse("socks5://us%20er:p:%40@a"), Some((Kind::Socks5, "a:1080".to_owned(), credentials)));
    assert_eq!(
        parse("ntlm://D%5Cu@a:8080"),
        Some((Kind::Ntlm, "a:8080".to_owned(), Some(("D\\u".to_owned(), String::new()))))
    );
    for direct in ["", "http://", "localhost:3128", "/path"] {
        assert_eq!(parse(direct), None, "{direct}");
    }
    let error = |url: &str| Proxy::parse(url).unwrap_err().to_string();
    assert_eq!(error("ftp://a"), "ProxyType must be http, https, socks5 or ntlm, not [ftp]");
    for bad in ["127.0.0.1:3128", "http://a:b", "http://%zz@a"] {
        assert_eq!(error(bad), "fail to parse proxy url", "{bad}");
    }
}

#[test]
fn debug_output_has_no_credentials() {
    let proxy = Proxy::parse("http://user:secret@a:1").unwrap().unwrap();
    let text = format!("{proxy:?}");
    assert!(!text.contains("secret") && !text.contains("user"), "{text}");
}

/// A step of a scripted proxy: what has to come, and the answer.
type Step = (&'static [u8], Vec<u8>);

/// Each element is one connection to the proxy; behind its last step it echoes.
async fn through(
    url: impl FnOnce(SocketAddr) -> String,
    target: &str,
    connections: Vec<Vec<Step>>,
) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for steps in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for (expected, answer) in steps {
                let mut got = Vec::new();
                while !ends(&got, expected) {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).await.unwrap();
                    got.extend(byte);
                }
                assert!(contains(&got, expected), "{}", got.escape_ascii());
                stream.write_all(&answer).await.unwrap();
                if answer.windows(17).any(|part| part == b"Connection: close") {
                    break;
                }
            }
            let mut echo = [0; 5];
            if stream.read_exact(&mut echo).await.is_ok() {
                stream.write_all(&echo).await.unwrap();
            }
        }
    });
    let proxy = Proxy::parse(&url(address)).unwrap().unwrap();
    let options = DialOptions { timeout: Duration::from_secs(10), ..DialOptions::default() };
    let resolver = Resolver::system();
    let (mut stream, local) = proxy
        .dial(&resolver, target, 7000, &options, TcpStream::local_addr)
        .await
        .map_err(|error| error.to_string())?;
    assert!(local.ip().is_loopback());
    stream.write_all(b"hello").await.unwrap();
    let mut echo = Vec::new();
    while echo.len() < 5 {
        assert_ne!(stream.read_buf(&mut echo).await.unwrap(), 0);
    }
    assert_eq!(echo, b"hello");
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    Ok(())
}

/// Whether all of a request has come: text ends at an empty line, anything else is as long as what is expected.
fn ends(got: &[u8], expected: &[u8]) -> bool {
    if expected.first().is_some_and(u8::is_ascii_alphabetic) {
        got.ends_with(b"\r\n\r\n")
    } else {
        got.len() >= expected.len()
    }
}

fn contains(got: &[u8], expected: &[u8]) -> bool {
    got.windows(expected.len()).any(|part| part == expected)
}

const OK: &[u8] = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n";

#[tokio::test]
async fn http_with_and_without_credentials() {
    let plain: Step = (
        b"CONNECT server.test:7000 HTTP/1.1\r\nHost: server.test:7000\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
        OK.to_vec(),
    );
    through(|proxy| format!("http://{proxy}"), "server.test", vec![vec![plain]]).await.unwrap();
    let known: Step = (b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n", OK.to_vec());
    through(|proxy| format!("http://user:secret@{proxy}"), "a", vec![vec![known]]).await.unwrap();
}

#[tokio::test]
async fn http_that_refuses() {
    let refused: Step = (b"CONNECT ", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec());
    let error = through(|proxy| format!("http://{proxy}"), "a", vec![vec![refused]]).await.unwrap_err();
    assert_eq!(error, "DialTcpByHttpProxy error, StatusCode [403]");
}

#[tokio::test]
async fn https_whose_certificate_nobody_vouches_for() {
    let tls = crate::tls::ServerTls::new(&crate::tls::ServerTlsOptions::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(tls.accept(stream.into()).await);
    });
    let proxy = Proxy::parse(&format!("https://{address}")).unwrap().unwrap();
    let error = proxy
        .dial(&Resolver::system(), "a", 1, &DialOptions::default(), |_| Ok(()))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("TLS handshake with HTTPS proxy: "), "{error}");
}

#[tokio::test]
async fn socks5_with_names_addresses_and_credentials() {
    let reply = |kind: u8, rest: &[u8]| [&[5, 0, 0, kind], rest, &[0, 80]].concat();
    through(
        |proxy| format!("socks5://{proxy}"),
        "a.test",
        vec![vec![
            (&[5, 1, 0], vec![5, 0]),
            (b"\x05\x01\x00\x03\x06a.test\x1b\x58", reply(1, &[127, 0, 0, 1])),
        ]],
    )
    .await
    .unwrap();
    through(
        |proxy| format!("socks5://user:pw@{proxy}"),
        "127.0.0.1",
        vec![vec![
            (&[5, 2, 0, 2], vec![5, 2]),
            (b"\x01\x04user\x02pw", vec![1, 0]),
            (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1b\x58", reply(3, b"\x04name")),
        ]],
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn socks5_that_refuses() {
    for (steps, reason) in [
        (vec![(&[5, 1, 0][..], vec![5, 0xff])], "no acceptable authentication methods"),
        (vec![(&[5, 1, 0][..], vec![4, 0])], "unexpected protocol version 4"),
        (
            vec![(&[5, 1, 0][..], vec![5, 0]), (b"\x05\x01\x00\x03\x01a\x1b\x58", vec![5, 5, 0, 1])],
            "unknown error connection refused",
        ),
    ] {
        let error = through(|proxy| format!("socks5://{proxy}"), "a", vec![steps]).await.unwrap_err();
        assert!(error.starts_with("socks connect tcp 127.0.0.1:"), "{error}");
        assert!(error.ends_with(&format!("->a:7000: {reason}")), "{error}");
    }
}

fn challenge(scheme: &str, more: &str) -> Vec<u8> {
    let mut message = b"NTLMSSP\0\x02\0\0\0".to_vec();
    message.extend([0; 8]);
    message.extend(1_u32.to_le_bytes());
    message.extend([7; 8]);
    message.extend([0; 16]);
    format!(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: {scheme} {}\r\n\
         Content-Length: 4\r\n{more}\r\npage",
        STANDARD.encode(message)
    )
    .into_bytes()
}

#[tokio::test]
async fn ntlm_under_either_name() {
    for scheme in ["Negotiate", "NTLM"] {
        let opening: Step = (b"Proxy-Authorization: Negotiate TlRMTVNTUAAB", challenge(scheme, ""));
        let expected: &[u8] = match scheme {
            "NTLM" => b"Proxy-Authorization: NTLM TlRMTVNTUAAD",
            _ => b"Proxy-Authorization: Negotiate TlRMTVNTUAAD",
        };
        let proof: Step = (expected, OK.to_vec());
        through(|proxy| format!("ntlm://D%5Cu:p@{proxy}"), "a", vec![vec![opening, proof]]).await.unwrap();
    }
}

#[tokio::test]
async fn ntlm_that_is_asked_for_by_name_on_the_same_connection_or_another() {
    const OFFER: &str =
        "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nProxy-Authenticate: NTLM\r\n";
    let first =
        |more: &str| -> Step { (b"Negotiate TlRMTVNTUAAB", format!("{OFFER}{more}\r\n").into_bytes()) };
    let second: Step = (b"Proxy-Authorization: NTLM TlRMTVNTUAAB", challenge("NTLM", ""));
    let third: Step = (b"Proxy-Authorization: NTLM TlRMTVNTUAAD", OK.to_vec());
    let same = vec![vec![first(""), second.clone(), third.clone()]];
    through(|proxy| format!("ntlm://u:p@{proxy}"), "a", same).await.unwrap();
    let other = vec![vec![first("Connection: close\r\n")], vec![second, third]];
    through(|proxy| format!("ntlm://u:p@{proxy}"), "a", other).await.unwrap();
}

#[tokio::test]
async fn ntlm_that_refuses_and_ntlm_without_credentials() {
    let denied = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec();
    let error = through(|proxy| format!("ntlm://u:p@{proxy}"), "a", vec![vec![(b"CONNECT ", denied)]]).await;
    assert_eq!(error.unwrap_err(), "DialTcpByNTLMHttpProxy error, StatusCode [407]");
    let open: Step = (b"CONNECT a:7000 HTTP/1.1\r\n", OK.to_vec());
    through(|proxy| format!("ntlm://{proxy}"), "a", vec![vec![open]]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::parse(&format!("http://{address}")).unwrap().unwrap();
    let (resolver, options) = (Resolver::system(), DialOptions::default());
    let (result, _held) =
        tokio::join!(proxy.dial(&resolver, "a", 1, &options, |_| Ok(())), listener.accept(),);
    assert_eq!(result.err().unwrap().to_string(), format!("proxy {address}: i/o timeout"));
}
