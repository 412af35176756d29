//! SOCKS 5 (RFC 1928, RFC 1929). The reasons are those of golang.org/x/net/internal/socks.

use std::net::IpAddr;

use frp_stream::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Credentials;

const VERSION: u8 = 5;
const NO_AUTH: u8 = 0;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const AUTH_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a connection; a name is resolved by the proxy. Never reads beyond the proxy's answer.
pub(super) async fn connect(
    mut stream: Stream,
    host: &str,
    port: u16,
    credentials: Option<&Credentials>,
) -> Result<Stream, String> {
    let methods: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTH],
        Some(_) => &[VERSION, 2, NO_AUTH, USER_PASSWORD],
    };
    send(&mut stream, methods).await?;
    let [version, method] = receive(&mut stream).await?;
    if version != VERSION {
        return Err(format!("unexpected protocol version {version}"));
    }
    match (method, credentials) {
        (NO_AUTH, _) => {}
        (USER_PASSWORD, Some(credentials)) => authenticate(&mut stream, credentials).await?,
        (NONE_ACCEPTABLE, _) => return Err("no acceptable authentication methods".to_owned()),
        (method, _) => return Err(format!("unsupported authentication method {method}")),
    }
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            let length = u8::try_from(host.len()).map_err(|_| "FQDN too long".to_owned())?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    send(&mut stream, &request).await?;
    let [version, reply, reserved, kind] = receive(&mut stream).await?;
    if version != VERSION {
        return Err(format!("unexpected protocol version {version}"));
    }
    if reply != 0 {
        return Err(format!("unknown error {}", text(reply)));
    }
    if reserved != 0 {
        return Err("non-zero reserved field".to_owned());
    }
    // Where the proxy connects from means nothing to us.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = receive(&mut stream).await?;
            usize::from(length)
        }
        kind => return Err(format!("unknown address type {kind}")),
    };
    let mut rest = [0; 255 + 2];
    let rest = rest.get_mut(..length + 2).unwrap_or_default();
    stream.read_exact(rest).await.map_err(|error| error.to_string())?;
    Ok(stream)
}

async fn authenticate(stream: &mut Stream, credentials: &Credentials) -> Result<(), String> {
    let (user, password) = (&credentials.user, credentials.password.expose());
    let (Ok(user_length), Ok(password_length)) = (u8::try_from(user.len()), u8::try_from(password.len()))
    else {
        return Err("invalid username/password".to_owned());
    };
    if user_length == 0 {
        return Err("invalid username/password".to_owned());
    }
    let request =
        [&[AUTH_VERSION, user_length], user.as_bytes(), &[password_length], password.as_bytes()].concat();
    send(stream, &request).await?;
    let [version, status] = receive(stream).await?;
    if version != AUTH_VERSION {
        return Err("invalid username/password version".to_owned());
    }
    if status == 0 { Ok(()) } else { Err("username/password authentication failed".to_owned()) }
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())
}

async fn receive<const N: usize>(stream: &mut Stream) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(|_| "EOF".to_owned())?;
    Ok(bytes)
}

fn text(reply: u8) -> String {
    match reply {
        1 => "general SOCKS server failure",
        2 => "connection not allowed by ruleset",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "TTL expired",
        7 => "command not supported",
        8 => "address type not supported",
        code => return format!("unknown code: {code}"),
    }
    .to_owned()
}
