//! Clients of wire version 2: logins, refusals, work connections of either version.

use frp_proto::crypto::Algorithm;
use frp_proto::exchange::client::{ClientLogin, LoggedIn, LoginError};
use frp_proto::hello::{Bootstrap, ClientHello};
use frp_proto::msg::{Login, Message, NewWorkConn, Ping};
use frp_proto::sniff::V2_MAGIC;
use frp_proto::v2;
use frp_proto::wire::{Framing, WireVersion};
use frp_stream::Stream;
use frp_stream::message::{read_message_in, session_channel, write_first_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

fn hello() -> ClientHello {
    ClientHello::new(Bootstrap::default(), Algorithm::ALL, [1; 32])
}

/// Logs in with this hello.
async fn log_in(frps: &Frps, login: Login, hello: ClientHello) -> (Stream, Result<LoggedIn, LoginError>) {
    let mut stream = frps.connect().await;
    let (mut machine, bytes) = ClientLogin::start_v2(login, TOKEN.as_bytes(), hello).unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut buffer = [0; 1024];
    loop {
        let wanted = machine.wanted().unwrap().min(buffer.len());
        let read = soon(stream.read(&mut buffer[..wanted])).await.unwrap();
        assert_ne!(read, 0, "closed without an answer");
        match machine.receive(&buffer[..read]) {
            Ok((_, None)) => {}
            Ok((_, Some(done))) => return (stream, Ok(done)),
            Err(error) => return (stream, Err(error)),
        }
    }
}

/// A work connection of this version.
async fn work_conn(frps: &Frps, run_id: &str, wire: WireVersion) -> Stream {
    let mut stream = frps.connect().await;
    let message = NewWorkConn { run_id: run_id.to_owned(), ..NewWorkConn::default() };
    write_first_message(&mut stream, wire, &message.into()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_session_serves_users_over_work_connections_of_either_version() {
    let frps = Frps::start().await;
    let (stream, done) = log_in(&frps, login(), hello()).await;
    let done = done.unwrap();
    assert_eq!(done.payload, Framing::V2BinaryUdp);
    let (reader, writer) = session_channel(stream, &done.channel);
    let mut client = Client { addr: frps.addr, run_id: done.response.run_id, reader, writer };
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)));
    let port = client.start(tcp("echo", 0)).await;
    for wire in [WireVersion::V2, WireVersion::V1] {
        let mut user = user(port).await;
        let mut work = work_conn(&frps, &client.run_id, wire).await;
        let start = soon(read_message_in(&mut work, wire.into())).await.unwrap();
        assert!(matches!(start, Message::StartWorkConn(start) if start.proxy_name == "echo"));
        user.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        soon(work.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"hello");
    }
}

#[tokio::test]
async fn refusals() {
    let frps = Frps::start().await;
    let mut stranger = login();
    stranger.privilege_key = "x".into();
    let (mut stream, refused) = log_in(&frps, stranger, hello()).await;
    let text = "token in login doesn't match token from configuration";
    assert_eq!(refused, Err(LoginError::Refused(text.to_owned())));
    assert!(closed(&mut stream).await);

    let mut bad = hello();
    bad.capabilities.message.codecs.clear();
    let (mut stream, refused) = log_in(&frps, login(), bad).await;
    assert_eq!(refused.unwrap_err().to_string(), "unsupported message codec");
    assert!(closed(&mut stream).await);

    for wire in [WireVersion::V1, WireVersion::V2] {
        let mut work = work_conn(&frps, "nobody", wire).await;
        let Message::StartWorkConn(start) = soon(read_message_in(&mut work, wire.into())).await.unwrap()
        else {
            panic!("no StartWorkConn")
        };
        assert_eq!(start.error, "no client control found for run id [nobody]");
    }
}

#[tokio::test]
async fn a_login_without_a_hello_is_refused_before_its_token_is_looked_at() {
    let frps = Frps::start().await;
    let mut stream = frps.connect().await;
    stream.write_all(&V2_MAGIC).await.unwrap();
    stream.write_all(&v2::encode(&Login::default().into()).unwrap()).await.unwrap();
    let answer = soon(read_message_in(&mut stream, Framing::V2)).await.unwrap();
    assert!(matches!(answer, Message::LoginResp(answer) if answer.error == "missing v2 crypto negotiation"));
    assert!(closed(&mut stream).await);
}
