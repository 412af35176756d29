//! Proxies that are reached by a secret: stcp and sudp.

use frp_proto::crypto::key;
use frp_proto::digest::auth_key;
use frp_proto::msg::{Login, Message, NewProxy, NewVisitorConn, NewVisitorConnResp};
use frp_stream::message::{read_message, write_message};
use frp_stream::udp::{Datagram, Received, datagram_channel};
use frp_stream::{Layers, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::*;

const SECRET: &str = "abc";

fn secret_proxy(kind: &str, name: &str) -> NewProxy {
    NewProxy { proxy_type: kind.to_owned(), sk: SECRET.into(), ..tcp(name, 0) }
}

/// Starts a proxy that has no public address.
async fn start(client: &mut Client, message: NewProxy) {
    let response = client.new_proxy(message).await;
    assert_eq!((response.error.as_str(), response.remote_addr.as_str()), ("", ""));
}

async fn login_of(frps: &Frps, user: &str) -> Client {
    Client::login_as(frps, Login { user: user.to_owned(), ..login() }).await.unwrap()
}

/// What a visitor in the session of `client` sends.
fn visit(client: &Client, name: &str) -> NewVisitorConn {
    NewVisitorConn {
        run_id: client.run_id.clone(),
        proxy_name: name.to_owned(),
        sign_key: auth_key(SECRET.as_bytes(), 1_700_000_000),
        timestamp: 1_700_000_000,
        ..NewVisitorConn::default()
    }
}

/// Sends a visitor's message: its stream, and why it is refused if it is.
async fn visitor(frps: &Frps, message: NewVisitorConn) -> (Stream, String) {
    let name = message.proxy_name.clone();
    let (stream, answer) = first(frps, message).await;
    let Some(Message::NewVisitorConnResp(NewVisitorConnResp { proxy_name, error })) = answer else {
        panic!("no answer to a visitor: {answer:?}")
    };
    assert_eq!(proxy_name, name);
    (stream, error)
}

async fn admitted(frps: &Frps, message: NewVisitorConn) -> Stream {
    let (stream, error) = visitor(frps, message).await;
    assert_eq!(error, "");
    stream
}

async fn refused(frps: &Frps, message: NewVisitorConn) -> String {
    let (mut stream, error) = visitor(frps, message).await;
    assert!(closed(&mut stream).await);
    error
}

#[tokio::test]
async fn a_visitor_is_a_user_whose_address_is_its_clients() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    start(&mut client, secret_proxy("stcp", "s")).await;
    let socket = TcpStream::connect(frps.addr).await.unwrap();
    let source = socket.local_addr().unwrap();
    let mut user = Stream::from(socket);
    write_message(&mut user, &visit(&client, "s").into()).await.unwrap();
    let (mut work, told) = client.serve().await;
    // The service speaks first; the answer to the visitor comes before that.
    say(&mut work, "welcome").await;
    let answer = soon(read_message(&mut user)).await.unwrap();
    assert!(matches!(answer, Message::NewVisitorConnResp(answer) if answer.error.is_empty()));
    hear(&mut user, "welcome").await;
    assert_eq!(told.proxy_name, "s");
    assert_eq!((told.src_addr.as_str(), told.src_port), ("127.0.0.1", source.port()));
    assert_eq!((told.dst_addr.as_str(), told.dst_port), ("127.0.0.1", frps.addr.port()));
    say(&mut user, "request").await;
    user.shutdown().await.unwrap();
    hear(&mut work, "request").await;
    assert!(closed(&mut work).await, "the visitor's end is passed on");
    say(&mut work, "late answer").await;
    hear(&mut user, "late answer").await;
    drop(work);
    assert!(closed(&mut user).await);
}

#[tokio::test]
async fn the_two_legs_are_layered_each_in_its_own_way() {
    let legs = [(false, false), (true, false), (false, true), (true, true)];
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    for (of_visitor, of_proxy) in legs.into_iter().flat_map(|leg| legs.map(|other| (leg, other))) {
        let message =
            NewProxy { use_encryption: of_proxy.0, use_compression: of_proxy.1, ..secret_proxy("stcp", "s") };
        start(&mut client, message).await;
        let message = NewVisitorConn {
            use_encryption: of_visitor.0,
            use_compression: of_visitor.1,
            ..visit(&client, "s")
        };
        let layers = |(encryption, compression): (bool, bool), secret: &str| Layers {
            encryption: encryption.then(|| key::derive(secret.as_bytes())),
            compression,
            limiter: None,
        };
        let mut user = layers(of_visitor, SECRET).apply(admitted(&frps, message).await);
        let mut work = layers(of_proxy, TOKEN).apply(client.serve().await.0);
        say(&mut user, "request").await;
        hear(&mut work, "request").await;
        say(&mut work, "answer").await;
        hear(&mut user, "answer").await;
        client.close_proxy("s").await;
    }
}

#[tokio::test]
async fn who_is_not_to_come_in_is_told_why() {
    let frps = Frps::start().await;
    let mut own = login_of(&frps, "own").await;
    let eve = login_of(&frps, "eve").await;
    let nobody = login_of(&frps, "").await;
    start(&mut own, secret_proxy("stcp", "own.s")).await;
    let to_eve = NewProxy { allow_users: vec!["eve".to_owned()], ..secret_proxy("stcp", "own.eve") };
    start(&mut own, to_eve).await;
    let to_all = NewProxy { allow_users: vec!["*".to_owned()], ..secret_proxy("sudp", "own.all") };
    start(&mut own, to_all).await;

    let guess = NewVisitorConn { sign_key: auth_key(b"guess", 1_700_000_000), ..visit(&own, "own.s") };
    assert_eq!(refused(&frps, guess).await, "visitor connection of [own.s] auth failed");
    let stale = NewVisitorConn { timestamp: 1_700_000_001, ..visit(&own, "own.s") };
    assert_eq!(refused(&frps, stale).await, "visitor connection of [own.s] auth failed");
    let text = refused(&frps, visit(&own, "own.nothing")).await;
    assert_eq!(text, "custom listener for [own.nothing] doesn't exist");
    let lost = NewVisitorConn { run_id: "lost".to_owned(), ..visit(&own, "own.s") };
    assert_eq!(refused(&frps, lost).await, "no client control found for run id [lost]");
    let text = refused(&frps, visit(&eve, "own.s")).await;
    assert_eq!(text, "visitor connection of [own.s] user [eve] not allowed");
    let text = refused(&frps, visit(&own, "own.eve")).await;
    assert_eq!(text, "visitor connection of [own.eve] user [own] not allowed");
    let text = refused(&frps, visit(&nobody, "own.s")).await;
    assert_eq!(text, "visitor connection of [own.s] user [] not allowed");
    // A client before v0.50.0 names no session.
    let old = NewVisitorConn { run_id: String::new(), ..visit(&own, "own.s") };
    assert_eq!(refused(&frps, old).await, "visitor connection of [own.s] user [] not allowed");

    admitted(&frps, visit(&own, "own.s")).await;
    admitted(&frps, visit(&eve, "own.eve")).await;
    for client in [&own, &eve, &nobody] {
        admitted(&frps, visit(client, "own.all")).await;
    }
    admitted(&frps, NewVisitorConn { run_id: String::new(), ..visit(&own, "own.all") }).await;
}

#[tokio::test]
async fn without_details_every_refusal_is_the_same() {
    let frps = Frps::with(|config| config.detailed_errors_to_client = Some(false)).await;
    let client = Client::login(&frps).await;
    assert_eq!(refused(&frps, visit(&client, "nothing")).await, "register visitor conn error");
}

#[tokio::test]
async fn closing_the_proxy_keeps_visitors_out_and_leaves_those_inside() {
    let frps = Frps::start().await;
    let mut owner = Client::login(&frps).await;
    let visitor = Client::login(&frps).await;
    start(&mut owner, secret_proxy("stcp", "s")).await;
    assert_eq!(owner.refused(secret_proxy("sudp", "s")).await, "proxy [s] already exists");
    let mut user = admitted(&frps, visit(&visitor, "s")).await;
    let (mut work, _) = owner.serve().await;
    owner.close_proxy("s").await;
    // The next answer comes after the proxy is closed.
    owner.start(tcp("t", 0)).await;
    let text = "custom listener for [s] doesn't exist";
    assert_eq!(refused(&frps, visit(&visitor, "s")).await, text);
    say(&mut user, "still there").await;
    hear(&mut work, "still there").await;

    // Back again, then the owner is gone, then it is back with another secret.
    start(&mut owner, secret_proxy("stcp", "s")).await;
    admitted(&frps, visit(&visitor, "s")).await;
    drop(owner);
    soon(async { while visitor_error(&frps, &visitor).await != text {} }).await;
    let mut owner = Client::login(&frps).await;
    start(&mut owner, NewProxy { sk: "new".into(), ..secret_proxy("stcp", "s") }).await;
    assert_eq!(refused(&frps, visit(&visitor, "s")).await, "visitor connection of [s] auth failed");
    say(&mut work, "and answering").await;
    hear(&mut user, "and answering").await;
}

async fn visitor_error(frps: &Frps, client: &Client) -> String {
    visitor(frps, visit(client, "s")).await.1
}

#[tokio::test]
async fn an_owner_that_gives_no_work_connection_costs_its_visitors_only() {
    let frps = Frps::with(|config| config.user_conn_timeout = 1).await;
    let mut client = Client::login(&frps).await;
    start(&mut client, secret_proxy("stcp", "s")).await;
    let mut user = admitted(&frps, visit(&client, "s")).await;
    assert!(closed(&mut user).await);
}

#[tokio::test]
async fn datagrams_pass_between_the_two_clients() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    start(&mut client, secret_proxy("sudp", "u")).await;
    let asked = NewVisitorConn { use_encryption: true, ..visit(&client, "u") };
    let layers = Layers { encryption: Some(key::derive(SECRET.as_bytes())), ..Layers::default() };
    let user = layers.apply(admitted(&frps, asked).await);
    let (mut from_work, mut to_work) = datagram_channel(user);
    let (work, _) = client.serve().await;
    let (mut from_user, mut to_user) = datagram_channel(work);
    let sender = std::net::SocketAddr::from(([10, 0, 0, 1], 5)).into();
    for content in [&b"one"[..], b"", b"two"] {
        soon(to_work.send(content, &sender)).await.unwrap();
        let expected = Datagram { content: content.to_vec(), user: sender.clone() };
        assert_eq!(soon(from_user.next()).await.unwrap(), Received::Datagram(expected.clone()));
        soon(to_user.send(content, &sender)).await.unwrap();
        assert_eq!(soon(from_work.next()).await.unwrap(), Received::Datagram(expected));
    }
    soon(to_user.ping()).await.unwrap();
    assert_eq!(soon(from_work.next()).await.unwrap(), Received::Ping);
    drop((from_user, to_user));
    assert!(soon(from_work.next()).await.is_err(), "the owner's end ends the visitor's stream");
}
