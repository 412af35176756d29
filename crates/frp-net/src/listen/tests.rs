use super::*;
use socket2::SockRef;
use std::time::Duration;

fn port_of(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_wildcard_serves_both_families_with_canonical_peers() {
    for wildcard in ["0.0.0.0", "", "::"] {
        let listener = bind_tcp(wildcard, 0).unwrap();
        let over_ipv4 = TcpStream::connect(("127.0.0.1", port_of(&listener))).await.unwrap();
        let (accepted, peer) = accept(&listener, Keepalive::default()).await;
        assert_eq!(peer, over_ipv4.local_addr().unwrap());
        assert!(peer.is_ipv4(), "{peer} is canonical");
        assert_eq!(canonical(accepted.local_addr().unwrap()).ip().to_string(), "127.0.0.1");
        if listener.local_addr().unwrap().is_ipv6() {
            let over_ipv6 = TcpStream::connect(("::1", port_of(&listener))).await.unwrap();
            let (_, peer) = accept(&listener, Keepalive::default()).await;
            assert_eq!(peer, over_ipv6.local_addr().unwrap());
        }
    }
}

#[tokio::test]
async fn accepted_connections_have_no_delay_and_keepalive() {
    for (keepalive, seconds) in [(Keepalive::After(Duration::from_secs(77)), 77), (Keepalive::default(), 15)]
    {
        let listener = bind_tcp_with("127.0.0.1", 0, keepalive).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = accept(&listener, keepalive).await;
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(unix)]
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_taken_port_reads_like_go() {
    let taken = bind_tcp("127.0.0.1", 0).unwrap();
    let port = port_of(&taken);
    let error = bind_tcp("127.0.0.1", port).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("listen tcp 127.0.0.1:{port}: bind: address already in use"));

    let taken = bind_tcp("0.0.0.0", 0).unwrap();
    let port = port_of(&taken);
    let error = bind_tcp("0.0.0.0", port).unwrap_err();
    assert_eq!(error.to_string(), format!("listen tcp 0.0.0.0:{port}: bind: address already in use"));
    let error = bind_tcp("", port).unwrap_err();
    assert_eq!(error.to_string(), format!("listen tcp :{port}: bind: address already in use"));
}

#[tokio::test]
async fn a_taken_udp_port_is_refused() {
    for address in ["127.0.0.1", "0.0.0.0"] {
        let taken = bind_udp(address, 0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind_udp(address, port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), format!("listen udp {address}:{port}: bind: address already in use"));
    }
}

#[tokio::test]
async fn a_dual_stack_udp_socket_hears_ipv4() {
    let socket = bind_udp("0.0.0.0", 0).unwrap();
    let port = socket.local_addr().unwrap().port();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.send_to(b"hello", ("127.0.0.1", port)).await.unwrap();
    let mut buffer = [0; 16];
    let (n, peer) = socket.recv_from(&mut buffer).await.unwrap();
    assert_eq!((n, canonical(peer)), (5, client.local_addr().unwrap()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_of_another_host_reads_like_go() {
    // TEST-NET-1: never ours.
    let error = bind_tcp("192.0.2.1", 7000).unwrap_err();
    assert_eq!(error.to_string(), "listen tcp 192.0.2.1:7000: bind: cannot assign requested address");
}

#[tokio::test]
async fn names_prefer_ipv4() {
    let listener = bind_tcp("localhost", 0).unwrap();
    assert!(listener.local_addr().unwrap().ip().is_loopback());
    let error = bind_tcp("no..name", 0).unwrap_err();
    assert_eq!(error.to_string(), "listen tcp: lookup no..name: no such host");
}

#[tokio::test]
async fn a_name_is_resolved_once_and_a_literal_not_at_all() {
    for literal in ["", "0.0.0.0", "::", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(resolve_once(literal).await.unwrap(), literal);
    }
    let address: IpAddr = resolve_once("localhost").await.unwrap().parse().unwrap();
    assert!(address.is_loopback());
    let error = resolve_once("no..name").await.unwrap_err();
    assert_eq!(error.to_string(), "listen tcp: lookup no..name: no such host");
}

#[tokio::test]
async fn a_port_can_be_bound_again_at_once() {
    let listener = bind_tcp("127.0.0.1", 0).unwrap();
    let port = port_of(&listener);
    let client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (accepted, _) = accept(&listener, Keepalive::default()).await;
    // We close first, so the connection lingers in TIME_WAIT on our port.
    drop((accepted, listener));
    drop(client);
    bind_tcp("127.0.0.1", port).unwrap();
}

/// Set for the process in which [`child`] does its work, because limits are the process's.
#[cfg(unix)]
const CHILD: &str = "FRP_NET_TEST_CHILD";

#[cfg(unix)]
#[tokio::test]
async fn child() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let listener = bind_tcp("127.0.0.1", 0).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
    let mut accepting = std::pin::pin!(accept(&listener, Keepalive::default()));
    // No time is long enough while there is no descriptor to be had.
    tokio::time::timeout(Duration::from_millis(50), accepting.as_mut()).await.unwrap_err();
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(accepting.await.1, client.local_addr().unwrap());
}

#[cfg(unix)]
#[test]
fn accepting_goes_on_after_the_last_descriptor() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "listen::tests::child", "--quiet"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success());
}
