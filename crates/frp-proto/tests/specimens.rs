//! One empty and one filled specimen of every message, and the bytes that the original writes for them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod support;

use std::collections::BTreeMap;

use frp_proto::msg::*;
use frp_proto::v1::{self, DecodeError, EncodeError, HEADER_LEN};
use frp_proto::wire::{Framing, MessageCollector};

fn text(value: &str) -> String {
    value.to_owned()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().copied().map(text).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (text(key), text(value))).collect()
}

/// Each message filled, with the body that the original writes for the same fields.
fn filled() -> Vec<(Message, &'static str)> {
    vec![
        (
            Login {
                version: text("0.70.1"),
                hostname: text("host1"),
                os: text("linux"),
                arch: text("amd64"),
                user: text("alice"),
                privilege_key: "8c89053b65639170f09e7b2bef70ed0c".into(),
                timestamp: 1_700_000_000,
                run_id: text("0123456789abcdef"),
                client_id: text("c1"),
                metas: map(&[("b", "2"), ("a", "1"), ("B", "<&>")]),
                client_spec: ClientSpec { r#type: text("ssh-tunnel"), always_auth_pass: true },
                pool_count: -1,
            }
            .into(),
            r#"{"version":"0.70.1","hostname":"host1","os":"linux","arch":"amd64","user":"alice","privilege_key":"8c89053b65639170f09e7b2bef70ed0c","timestamp":1700000000,"run_id":"0123456789abcdef","client_id":"c1","metas":{"B":"\u003c\u0026\u003e","a":"1","b":"2"},"client_spec":{"type":"ssh-tunnel","always_auth_pass":true},"pool_count":-1}"#,
        ),
        (
            LoginResp { version: text("0.70.1"), run_id: text("r"), error: text("e\u{2028}\u{7f}é") }.into(),
            "{\"version\":\"0.70.1\",\"run_id\":\"r\",\"error\":\"e\\u2028\u{7f}é\"}",
        ),
        (
            NewProxy {
                proxy_name: text("alice.web"),
                proxy_type: text("http"),
                use_encryption: true,
                use_compression: true,
                bandwidth_limit: text("1MB"),
                bandwidth_limit_mode: text("server"),
                group: text("g"),
                group_key: "gk".into(),
                metas: map(&[("m", "1")]),
                annotations: map(&[("n", "2")]),
                remote_port: 6000,
                custom_domains: texts(&["a.example", "b.example"]),
                subdomain: text("sub"),
                locations: texts(&["/", "/x"]),
                http_user: text("u"),
                http_pwd: "p".into(),
                host_header_rewrite: text("h"),
                headers: map(&[("X-A", "1")]),
                response_headers: map(&[("X-B", "2")]),
                route_by_http_user: text("ru"),
                sk: "abc".into(),
                allow_users: texts(&["*"]),
                multiplexer: text("httpconnect"),
            }
            .into(),
            r#"{"proxy_name":"alice.web","proxy_type":"http","use_encryption":true,"use_compression":true,"bandwidth_limit":"1MB","bandwidth_limit_mode":"server","group":"g","group_key":"gk","metas":{"m":"1"},"annotations":{"n":"2"},"remote_port":6000,"custom_domains":["a.example","b.example"],"subdomain":"sub","locations":["/","/x"],"http_user":"u","http_pwd":"p","host_header_rewrite":"h","headers":{"X-A":"1"},"response_headers":{"X-B":"2"},"route_by_http_user":"ru","sk":"abc","allow_users":["*"],"multiplexer":"httpconnect"}"#,
        ),
        (
            NewProxyResp { proxy_name: text("tcp"), remote_addr: text(":6000"), error: text("e") }.into(),
            r#"{"proxy_name":"tcp","remote_addr":":6000","error":"e"}"#,
        ),
        (CloseProxy { proxy_name: text("tcp") }.into(), r#"{"proxy_name":"tcp"}"#),
        (
            NewWorkConn { run_id: text("r"), privilege_key: "k".into(), timestamp: 1 }.into(),
            r#"{"run_id":"r","privilege_key":"k","timestamp":1}"#,
        ),
        (ReqWorkConn {}.into(), "{}"),
        (
            StartWorkConn {
                proxy_name: text("tcp"),
                src_addr: text("10.0.0.1"),
                dst_addr: text("10.0.0.2"),
                src_port: 50000,
                dst_port: 6000,
                error: text("e"),
            }
            .into(),
            r#"{"proxy_name":"tcp","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":50000,"dst_port":6000,"error":"e"}"#,
        ),
        (
            NewVisitorConn {
                run_id: text("r"),
                proxy_name: text("p"),
                sign_key: "s".into(),
                timestamp: 1,
                use_encryption: true,
                use_compression: true,
            }
            .into(),
            r#"{"run_id":"r","proxy_name":"p","sign_key":"s","timestamp":1,"use_encryption":true,"use_compression":true}"#,
        ),
        (
            NewVisitorConnResp { proxy_name: text("p"), error: text("e") }.into(),
            r#"{"proxy_name":"p","error":"e"}"#,
        ),
        (
            Ping { privilege_key: "k".into(), timestamp: i64::MIN }.into(),
            r#"{"privilege_key":"k","timestamp":-9223372036854775808}"#,
        ),
        (
            Pong { error: text("\u{8}\u{c}\n\r\t\"\\\u{1}\u{1f}/") }.into(),
            r#"{"error":"\b\f\n\r\t\"\\\u0001\u001f/"}"#,
        ),
        (
            UdpPacket {
                content: b"hello".to_vec(),
                local_addr: Some(UdpAddr { ip: None, port: -1, zone: text("z") }),
                remote_addr: Some("[2001:db8::1]:53".parse::<std::net::SocketAddr>().unwrap().into()),
            }
            .into(),
            r#"{"c":"aGVsbG8=","l":{"IP":"","Port":-1,"Zone":"z"},"r":{"IP":"2001:db8::1","Port":53,"Zone":""}}"#,
        ),
        (
            NatHoleVisitor {
                transaction_id: text("t"),
                proxy_name: text("p"),
                pre_check: true,
                protocol: text("quic"),
                sign_key: "s".into(),
                timestamp: 1,
                mapped_addrs: texts(&["1.1.1.1:1"]),
                assisted_addrs: texts(&["2.2.2.2:2"]),
            }
            .into(),
            r#"{"transaction_id":"t","proxy_name":"p","pre_check":true,"protocol":"quic","sign_key":"s","timestamp":1,"mapped_addrs":["1.1.1.1:1"],"assisted_addrs":["2.2.2.2:2"]}"#,
        ),
        (
            NatHoleClient {
                transaction_id: text("t"),
                proxy_name: text("p"),
                sid: text("s"),
                mapped_addrs: texts(&["1.1.1.1:1"]),
                assisted_addrs: texts(&["2.2.2.2:2"]),
            }
            .into(),
            r#"{"transaction_id":"t","proxy_name":"p","sid":"s","mapped_addrs":["1.1.1.1:1"],"assisted_addrs":["2.2.2.2:2"]}"#,
        ),
        (
            NatHoleResp {
                transaction_id: text("t"),
                sid: text("s"),
                protocol: text("kcp"),
                candidate_addrs: texts(&["1.1.1.1:1"]),
                assisted_addrs: texts(&["2.2.2.2:2"]),
                detect_behavior: NatHoleDetectBehavior {
                    role: text("sender"),
                    mode: 1,
                    ttl: 7,
                    send_delay_ms: 100,
                    read_timeout_ms: 5000,
                    candidate_ports: vec![
                        PortsRange { from: 1, to: 2 },
                        PortsRange { from: 0, to: 3 },
                        PortsRange::default(),
                    ],
                    send_random_ports: 4,
                    listen_random_ports: 5,
                },
                error: text("e"),
            }
            .into(),
            r#"{"transaction_id":"t","sid":"s","protocol":"kcp","candidate_addrs":["1.1.1.1:1"],"assisted_addrs":["2.2.2.2:2"],"detect_behavior":{"role":"sender","mode":1,"ttl":7,"send_delay_ms":100,"read_timeout":5000,"candidate_ports":[{"from":1,"to":2},{"to":3},{}],"send_random_ports":4,"listen_random_ports":5},"error":"e"}"#,
        ),
        (
            NatHoleSid { transaction_id: text("t"), sid: text("s"), response: true, nonce: text("000") }
                .into(),
            r#"{"transaction_id":"t","sid":"s","response":true,"nonce":"000"}"#,
        ),
        (NatHoleReport { sid: text("s"), success: true }.into(), r#"{"sid":"s","success":true}"#),
    ]
}

/// Each message empty.
fn empty() -> Vec<(Message, &'static str)> {
    MessageKind::ALL
        .iter()
        .map(|&kind| {
            let body = match kind {
                MessageKind::Login => r#"{"client_spec":{}}"#,
                MessageKind::NatHoleResp => r#"{"detect_behavior":{}}"#,
                _ => "{}",
            };
            (Message::from_json(kind, b"{}").unwrap(), body)
        })
        .collect()
}

fn specimens() -> Vec<(Message, &'static str)> {
    filled().into_iter().chain(empty()).collect()
}

#[test]
fn the_table_of_numbers() {
    let bytes: Vec<u8> = MessageKind::ALL.iter().map(|kind| kind.v1_byte()).collect();
    assert_eq!(bytes, b"o1p2cwrsv3h4uinm56");
    let kinds: Vec<MessageKind> = filled().iter().map(|(message, _)| message.kind()).collect();
    assert_eq!(kinds, MessageKind::ALL);
    for (index, &kind) in MessageKind::ALL.iter().enumerate() {
        assert_eq!(usize::from(kind.v2_id()), index + 1);
        assert_eq!(MessageKind::from_v1_byte(kind.v1_byte()), Some(kind));
        assert_eq!(MessageKind::from_v2_id(kind.v2_id()), Some(kind));
    }
    assert_eq!((0..=u8::MAX).filter_map(MessageKind::from_v1_byte).count(), 18);
    assert_eq!((0..=u16::MAX).filter_map(MessageKind::from_v2_id).count(), 18);
}

#[test]
fn bodies_are_the_originals() {
    for (message, body) in specimens() {
        let mut out = Vec::new();
        message.write_json(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), body);
        assert_eq!(Message::from_json(message.kind(), body.as_bytes()), Ok(message), "{body}");
    }
}

#[test]
fn frames_round_trip_and_cuts_are_incomplete() {
    for (message, body) in specimens() {
        let frame = v1::encode(&message).unwrap();
        assert_eq!(frame[0], message.kind().v1_byte());
        assert_eq!(frame[1..9], u64::try_from(body.len()).unwrap().to_be_bytes());
        assert_eq!(&frame[9..], body.as_bytes());
        for cut in 0..frame.len() {
            assert_eq!(v1::decode(&frame[..cut]), Ok(None), "{body} cut at {cut}");
        }
        let mut followed = frame.clone();
        followed.push(0);
        for bytes in [&frame, &followed] {
            assert_eq!(v1::decode(bytes), Ok(Some((message.clone(), frame.len()))));
        }
        let mut reader = MessageCollector::new(Framing::V1);
        for (at, &byte) in frame.iter().enumerate() {
            let wanted = reader.wanted().unwrap();
            assert_eq!(wanted, if at < HEADER_LEN { HEADER_LEN } else { frame.len() } - at);
            let complete = (at + 1 == frame.len()).then(|| message.clone());
            assert_eq!(reader.push(&[byte]), Ok((1, complete)));
        }
    }
}

#[test]
fn a_length_that_disagrees_with_the_body_is_refused() {
    for (message, body) in specimens() {
        for length in 0..body.len() {
            let error = v1::decode_body(message.kind(), &body.as_bytes()[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::Body { .. }), "{body} of {length}");
        }
        let longer = format!("{body}{{");
        v1::decode_body(message.kind(), longer.as_bytes()).unwrap_err();
    }
}

#[test]
fn golden_frames() {
    let login = Login {
        version: text("0.70.1"),
        hostname: text("host1"),
        os: text("linux"),
        arch: text("amd64"),
        privilege_key: frp_proto::digest::auth_key(b"123", 1_700_000_000),
        timestamp: 1_700_000_000,
        pool_count: 1,
        ..Login::default()
    };
    let run_id = text("0123456789abcdef");
    let user: std::net::SocketAddr = "10.0.0.1:50000".parse().unwrap();
    let cases: [(Message, &str); 10] = [
        (
            login.into(),
            "6f00000000000000ad7b2276657273696f6e223a22302e37302e31222c22686f73746e616d65223a22686f73743122
             2c226f73223a226c696e7578222c2261726368223a22616d643634222c2270726976696c6567655f6b6579223a2238
             63383930353362363536333931373066303965376232626566373065643063222c2274696d657374616d70223a3137
             30303030303030302c22636c69656e745f73706563223a7b7d2c22706f6f6c5f636f756e74223a317d",
        ),
        (
            LoginResp { version: text("0.70.1"), run_id: run_id.clone(), ..LoginResp::default() }.into(),
            "3100000000000000307b2276657273696f6e223a22302e37302e31222c2272756e5f6964223a2230313233343536373839616263646566227d",
        ),
        (ReqWorkConn {}.into(), "7200000000000000027b7d"),
        (Ping::default().into(), "6800000000000000027b7d"),
        (Pong::default().into(), "3400000000000000027b7d"),
        (
            NewProxy {
                proxy_name: text("tcp"),
                proxy_type: text("tcp"),
                remote_port: 6000,
                ..NewProxy::default()
            }
            .into(),
            "70000000000000003a7b2270726f78795f6e616d65223a22746370222c2270726f78795f74797065223a22746370222c2272656d6f74655f706f7274223a363030307d",
        ),
        (
            NewProxyResp { proxy_name: text("tcp"), remote_addr: text(":6000"), error: String::new() }.into(),
            "32000000000000002a7b2270726f78795f6e616d65223a22746370222c2272656d6f74655f61646472223a223a36303030227d",
        ),
        (
            NewWorkConn { run_id, ..NewWorkConn::default() }.into(),
            "77000000000000001d7b2272756e5f6964223a2230313233343536373839616263646566227d",
        ),
        (
            StartWorkConn {
                proxy_name: text("tcp"),
                src_addr: text("10.0.0.1"),
                dst_addr: text("10.0.0.2"),
                src_port: 50000,
                dst_port: 6000,
                error: String::new(),
            }
            .into(),
            "7300000000000000617b2270726f78795f6e616d65223a22746370222c227372635f61646472223a2231302e302e302e31222c226473745f61646472223a2231302e302e302e32222c227372635f706f7274223a35303030302c226473745f706f7274223a363030307d",
        ),
        (
            UdpPacket { content: b"hello".to_vec(), local_addr: None, remote_addr: Some(user.into()) }.into(),
            "75000000000000003d7b2263223a22614756736247383d222c2272223a7b224950223a2231302e302e302e31222c22506f7274223a35303030302c225a6f6e65223a22227d7d",
        ),
    ];
    for (message, hex) in cases {
        let frame = support::from_hex(hex);
        assert_eq!(v1::encode(&message).as_ref(), Ok(&frame), "{message:?}");
        assert_eq!(v1::decode(&frame), Ok(Some((message, frame.len()))));
    }
}

#[test]
fn the_longest_message() {
    let fits = |length: usize| {
        let body = r#"{"error":""}"#.len();
        v1::encode(&Pong { error: "x".repeat(length - body) }.into())
    };
    let frame = fits(10_240).unwrap();
    assert_eq!(frame.len(), 9 + 10_240);
    assert!(matches!(v1::decode(&frame), Ok(Some(_))));
    let error = fits(10_241).unwrap_err();
    assert_eq!(error, EncodeError::TooLong { kind: MessageKind::Pong, length: 10_241, limit: 10_240 });
    // A refused message leaves what was there before it.
    let mut out = b"before".to_vec();
    v1::encode_into(&Pong { error: "x".repeat(20_000) }.into(), &mut out).unwrap_err();
    assert_eq!(out, b"before");
}

#[test]
fn headers_are_judged_before_a_body_is_awaited() {
    let header = |kind: u8, length: i64| {
        let mut header = vec![kind];
        header.extend_from_slice(&length.to_be_bytes());
        header
    };
    let cases = [
        (header(b'o', 10_241), DecodeError::TooLong(10_241), "message length exceed the limit"),
        (header(b'o', i64::MAX), DecodeError::TooLong(i64::MAX), "message length exceed the limit"),
        (header(b'o', -1), DecodeError::NegativeLength(-1), "message length error"),
        (header(b'o', i64::MIN), DecodeError::NegativeLength(i64::MIN), "message length error"),
        (b"x".to_vec(), DecodeError::UnknownType(b'x'), "message type error"),
        (header(0, 2), DecodeError::UnknownType(0), "message type error"),
        (b"d".to_vec(), DecodeError::UnknownType(b'd'), "message type error"),
    ];
    for (bytes, error, text) in cases {
        assert_eq!(error.to_string(), text);
        assert_eq!(v1::decode(&bytes), Err(error.clone()));
        assert_eq!(MessageCollector::new(Framing::V1).push(&bytes), Err(error.into()));
    }
    assert_eq!(v1::decode(&header(b'o', 10_240)), Ok(None));
    // No body at all is no JSON.
    assert!(matches!(v1::decode(&header(b'h', 0)), Err(DecodeError::Body { .. })));
}

#[test]
fn a_null_body_is_refused() {
    for &kind in MessageKind::ALL {
        Message::from_json(kind, b"null").unwrap_err();
    }
}

#[test]
fn debug_output_keeps_secrets() {
    let shown: String = filled().iter().map(|(message, _)| format!("{message:?}")).collect();
    assert!(shown.contains("privilege_key: <redacted>"), "{shown}");
    assert!(shown.contains("sk: <redacted>"));
    assert!(shown.contains("content: <5 bytes>"));
    for secret in ["8c89053b", "\"gk\"", "\"p\", host", "\"abc\"", "\"k\"", "<&>", "sign_key: \"s\""] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let empty = format!("{:?}", Ping::default());
    assert_eq!(empty, r#"Ping { privilege_key: "", timestamp: 0 }"#);
}

#[test]
fn datagrams_are_written_without_a_message() {
    let user: std::net::SocketAddr = "[::ffff:10.0.0.1]:50000".parse().unwrap();
    for content in [&b""[..], b"hello", &[0xff; 7000]] {
        let packet =
            UdpPacket { content: content.to_vec(), local_addr: None, remote_addr: Some(user.into()) };
        let mut frame = b"x".to_vec();
        frp_proto::udp::encode_v1(content, user, &mut frame).unwrap();
        assert_eq!(frame[1..], v1::encode(&packet.into()).unwrap());
    }
    let mut out = Vec::new();
    frp_proto::udp::encode_v1(&[0; 8000], user, &mut out).unwrap_err();
    assert!(out.is_empty());
}

#[test]
fn addresses_of_datagrams() {
    let plain: std::net::SocketAddr = "10.0.0.1:53".parse().unwrap();
    let mapped: std::net::SocketAddr = "[::ffff:10.0.0.1]:53".parse().unwrap();
    assert_eq!(UdpAddr::from(mapped), UdpAddr::from(plain));
    assert_eq!(UdpAddr::from(mapped).to_socket_addr(), Some(plain));
    let scoped = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 7).into();
    assert_eq!(UdpAddr::from(scoped).zone, "7");
    assert_eq!(UdpAddr::from(scoped).to_socket_addr(), Some(scoped));
    for port in [-1, 65_536] {
        assert_eq!(UdpAddr { port, ..UdpAddr::from(plain) }.to_socket_addr(), None);
    }
    assert_eq!(UdpAddr::default().to_socket_addr(), None);
}

#[test]
fn the_table_of_messages_in_the_documentation() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for (message, _) in filled() {
        let (kind, mut body) = (message.kind(), Vec::new());
        message.write_json(&mut body);
        let start = format!("| `{}` | {} | {} |", char::from(kind.v1_byte()), kind.v2_id(), kind.name());
        let Some(row) = document.lines().find(|line| line.starts_with(&start)) else {
            panic!("no row {start}");
        };
        let members = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let told: Vec<&str> = members.split('`').skip(1).step_by(2).collect();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let written: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(told, written, "{}", kind.name());
        rows += 1;
    }
    assert_eq!(rows, MessageKind::ALL.len());
}
