//! Over loopback.

use super::*;

async fn pair() -> (BatchSocket, BatchSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (BatchSocket::new(one, false), BatchSocket::new(other, true))
}

/// So many datagrams and their senders.
async fn take(socket: &BatchSocket, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        socket.readable().await.unwrap();
        match socket.receive(|datagram, from| taken.push((datagram.to_vec(), from))) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => other.unwrap(),
        }
    }
    taken
}

#[tokio::test]
async fn datagrams_of_every_length_arrive_whole_and_in_order() {
    let (public, user) = pair().await;
    let lengths: Vec<usize> = [0, 1, 1200, 1200, 1200, 700, 700, 0, 0, 1452, 1452, 9000, 9000, 65_507, 5]
        .into_iter()
        .chain([900; 70])
        .collect();
    let bytes: Vec<u8> = (0..=250).cycle().take(lengths.iter().sum()).collect();
    let mut expected = Vec::new();
    let mut rest = &bytes[..];
    for &length in &lengths {
        let (datagram, after) = rest.split_at(length);
        expected.push(datagram.to_vec());
        rest = after;
    }
    // Both from a connected socket and to a named peer.
    user.send(&bytes, &lengths, None).await.unwrap();
    let taken = take(&public, lengths.len()).await;
    let from = user.local_addr().unwrap();
    assert!(taken.iter().all(|(_, sender)| *sender == from));
    assert!(taken.iter().map(|(datagram, _)| datagram).eq(&expected));
    public.send(&bytes, &lengths, Some(from)).await.unwrap();
    let taken = take(&user, lengths.len()).await;
    assert!(taken.iter().map(|(datagram, _)| datagram).eq(&expected));
}

#[tokio::test]
async fn senders_over_ipv6_are_told_apart() {
    let Ok(one) = UdpSocket::bind("[::1]:0").await else { return };
    let public = BatchSocket::new(one, false);
    for _ in 0..3 {
        let user = UdpSocket::bind("[::1]:0").await.unwrap();
        user.send_to(b"hello", public.local_addr().unwrap()).await.unwrap();
        assert_eq!(take(&public, 1).await, [(b"hello".to_vec(), user.local_addr().unwrap())]);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_with_what_was() {
    let (_, user) = pair().await;
    let lengths = [5, 65_507 + 100, 5];
    let error = user.send(&[0; 70_000], &lengths, None).await.unwrap_err();
    assert_eq!(error.sent, Progress { datagrams: 1, bytes: 5 });
}

#[test]
fn runs() {
    for (lengths, count) in [
        (&[][..], 1),
        (&[0, 0], 1),
        (&[5], 1),
        (&[5, 5, 5], 3),
        (&[5, 5, 4, 5], 3),
        (&[5, 5, 6], 2),
        (&[5, 0], 1),
        (&[1453, 1453], 1),
        (&[1452; 100], 44),
        (&[100; 100], 64),
    ] {
        assert_eq!(run(lengths), count, "{lengths:?}");
    }
}
