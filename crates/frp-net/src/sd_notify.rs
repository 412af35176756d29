//! Readiness for a service manager: `Type=notify` in a systemd unit.

use std::ffi::OsStr;
use std::io;

/// Tells the service manager that the program serves: `READY=1` to the socket that the environment variable
/// `NOTIFY_SOCKET` names. Does nothing, and returns `false`, when the variable is not set (no service manager
/// asked) or on systems without Unix sockets.
///
/// # Errors
/// When the socket cannot be reached. A program should log that and run on.
pub fn ready() -> io::Result<bool> {
    send(std::env::var_os("NOTIFY_SOCKET").as_deref(), b"READY=1")
}

/// Tells the service manager that the program is ending on purpose: `STOPPING=1`. As [`ready`] otherwise.
///
/// # Errors
/// As [`ready`].
pub fn stopping() -> io::Result<bool> {
    send(std::env::var_os("NOTIFY_SOCKET").as_deref(), b"STOPPING=1")
}

/// One datagram to `target`: a path, or a name in the abstract namespace written with a leading `@`
/// (`sd_notify(3)`). Never blocks: a full queue is an error.
#[cfg(unix)]
fn send(target: Option<&OsStr>, state: &[u8]) -> io::Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(target) = target.filter(|t| !t.is_empty()) else { return Ok(false) };
    let address = match target.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)?
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => return Err(io::ErrorKind::Unsupported.into()),
        None => SocketAddr::from_pathname(target)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state, &address)?;
    Ok(true)
}

#[cfg(not(unix))]
fn send(_target: Option<&OsStr>, _state: &[u8]) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 64];
        let n = socket.recv(&mut buffer).unwrap();
        buffer[..n].to_vec()
    }

    #[test]
    fn a_path_receives_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        assert!(send(Some(path.as_os_str()), b"READY=1").unwrap());
        assert_eq!(received(&manager), b"READY=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_receives_the_state() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let name = format!("frp-net-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(send(Some(OsStr::new(&format!("@{name}"))), b"STOPPING=1").unwrap());
        assert_eq!(received(&manager), b"STOPPING=1");
    }

    #[test]
    fn nobody_asked() {
        assert!(!send(None, b"READY=1").unwrap());
        assert!(!send(Some(OsStr::new("")), b"READY=1").unwrap());
    }

    #[test]
    fn an_unreachable_socket_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(send(Some(folder.path().join("none").as_os_str()), b"READY=1").is_err());
    }
}
