//! Properties that hold for any input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::net::{IpAddr, SocketAddr};

use frp_proto::crypto::cfb::{Decryptor, Encryptor};
use frp_proto::crypto::key;
use frp_proto::exchange::client::ClientLogin;
use frp_proto::exchange::server::ServerAccept;
use frp_proto::msg::*;
use frp_proto::wire::{Framing, MessageCollector};
use frp_proto::{names, proxy_protocol, sniff, udp, v1};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn login() -> impl Strategy<Value = Login> {
    let texts = vec(any::<String>(), 8);
    let metas = btree_map(any::<String>(), any::<String>(), 0..4);
    (texts, metas, any::<i64>(), any::<i64>(), any::<bool>()).prop_map(
        |(texts, metas, timestamp, pool_count, always_auth_pass)| {
            let [version, hostname, os, arch, user, privilege_key, run_id, r#type] =
                texts.try_into().unwrap();
            Login {
                version,
                hostname,
                os,
                arch,
                user,
                privilege_key: privilege_key.into(),
                timestamp,
                run_id,
                client_id: String::new(),
                metas,
                client_spec: ClientSpec { r#type, always_auth_pass },
                pool_count,
            }
        },
    )
}

proptest! {
    #[test]
    fn messages_round_trip(login in login()) {
        let message = Message::from(login);
        let frame = v1::encode(&message).unwrap();
        prop_assert!(frame.is_ascii() || str::from_utf8(&frame[9..]).is_ok());
        prop_assert_eq!(v1::decode(&frame), Ok(Some((message, frame.len()))));
    }

    #[test]
    fn our_json_is_json(login in login()) {
        let mut body = Vec::new();
        Message::from(login.clone()).write_json(&mut body);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(value["version"].as_str().unwrap_or_default(), login.version);
        for (key, meta) in &login.metas {
            prop_assert_eq!(value["metas"][key].as_str(), Some(meta.as_str()));
        }
    }

    #[test]
    fn datagrams_round_trip(content in vec(any::<u8>(), 0..2000), ip in any::<IpAddr>(), port in any::<u16>()) {
        let user = SocketAddr::new(ip.to_canonical(), port);
        let mut frame = Vec::new();
        udp::encode_v1(&content, user, &mut frame).unwrap();
        let Ok(Some((Message::UdpPacket(packet), _))) = v1::decode(&frame) else { panic!("no packet") };
        prop_assert_eq!(packet.content, content);
        prop_assert_eq!(packet.remote_addr.unwrap().to_socket_addr(), Some(user));
    }

    #[test]
    fn any_bytes_are_judged_alike_whole_and_in_pieces(bytes in vec(any::<u8>(), 0..64), kind in 0..18_usize, length in 0..40_u8) {
        let mut input = vec![MessageKind::ALL[kind].v1_byte(), 0, 0, 0, 0, 0, 0, 0, length];
        input.extend_from_slice(&bytes);
        let whole = Framing::V1.decode(&input).map(|message| message.map(|(message, _)| message));
        let mut reader = MessageCollector::new(Framing::V1);
        let mut in_pieces = Ok(None);
        for byte in &input {
            in_pieces = reader.push(&[*byte]).map(|(_, message)| message);
            if in_pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(in_pieces, whole);
    }

    #[test]
    fn machines_survive_any_bytes(bytes in vec(any::<u8>(), 0..64), kind in 0..18_usize) {
        for prefix in [vec![], vec![MessageKind::ALL[kind].v1_byte(), 0, 0, 0, 0, 0, 0, 0], b"FRP\0\x02\r".to_vec()] {
            let mut input = prefix;
            input.extend_from_slice(&bytes);
            let _ = ServerAccept::new([0; 32]).receive(&input);
            let (mut client, _) = ClientLogin::start(Login::default(), b"").unwrap();
            let _ = client.receive(&input);
        }
    }

    #[test]
    fn ciphers_do_not_depend_on_pieces(
        data in vec(any::<u8>(), 0..700),
        cuts in vec(0..200_usize, 0..12),
        token in any::<String>(),
        iv in any::<[u8; 16]>(),
    ) {
        let key = key::derive(token.as_bytes());
        let mut whole = data.clone();
        Encryptor::new(&key, iv).apply(&mut whole);
        let mut pieces = data.clone();
        let mut encryptor = Encryptor::new(&key, iv);
        each_piece(&mut pieces, &cuts, |piece| encryptor.apply(piece));
        prop_assert_eq!(&pieces, &whole);
        let mut decryptor = Decryptor::new(&key, iv);
        each_piece(&mut pieces, &cuts, |piece| decryptor.apply(piece));
        prop_assert_eq!(&pieces, &data);
        Decryptor::new(&key, iv).apply(&mut whole);
        prop_assert_eq!(&whole, &data);
    }

    #[test]
    fn ten_bytes_always_tell_what_a_connection_is(bytes in vec(any::<u8>(), 0..12)) {
        let starts = [&b""[..], b"GET /~!fr", b"FRP\0", b"PO", b"\x16", b"G"];
        for start in starts {
            let mut input = start.to_vec();
            input.extend_from_slice(&bytes);
            let first = (0..=input.len()).find_map(|length| sniff::connection_start(&input[..length]));
            prop_assert_eq!(first, sniff::connection_start(&input));
            prop_assert!(first.is_some() || input.len() < 10);
        }
    }

    #[test]
    fn a_prefix_added_is_a_prefix_stripped(user in any::<String>(), name in any::<String>()) {
        let full = names::add_user_prefix(&user, &name);
        prop_assert_eq!(names::strip_user_prefix(&user, &full), name);
    }

    #[test]
    fn proxy_headers_are_bounded(source in any::<SocketAddr>(), destination in any::<SocketAddr>()) {
        use proxy_protocol::Version::{V1, V2};
        if let Ok(line) = proxy_protocol::tcp_header(V1, source, destination) {
            prop_assert!(line.len() <= 107 && line.ends_with(b"\r\n"));
            let binary = proxy_protocol::tcp_header(V2, source, destination).unwrap();
            prop_assert_eq!(binary.len() - 16, usize::from(binary[15]));
        } else {
            prop_assert!(source.ip().to_canonical().is_ipv4() && destination.is_ipv6());
        }
    }
}

fn each_piece(mut data: &mut [u8], cuts: &[usize], mut apply: impl FnMut(&mut [u8])) {
    for &cut in cuts {
        let (piece, rest) = data.split_at_mut(cut.min(data.len()));
        apply(piece);
        data = rest;
    }
    apply(data);
}
