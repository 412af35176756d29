//! Who gets in, and what ends a session.

use frp_proto::digest::auth_key;
use frp_proto::msg::{Login, Message, NewWorkConn, Ping};
use frp_stream::message::read_message;
use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn a_login_gets_a_run_id_and_the_pool_is_asked_for() {
    let frps = Frps::start().await;
    let mut client = Client::login_as(&frps, Login { pool_count: 2, ..login() }).await.unwrap();
    assert_eq!(client.run_id.len(), 16);
    client.asked().await;
    client.asked().await;
    client.send(Ping::default()).await;
    assert!(matches!(client.next().await, Message::Pong(pong) if pong.error.is_empty()));
    frps.stop().await;
    client.ended().await;
}

#[tokio::test]
async fn a_wrong_token_is_told() {
    let frps = Frps::start().await;
    let bad = Login { privilege_key: auth_key(b"other", login().timestamp), ..login() };
    let error = Client::login_as(&frps, bad).await.err().unwrap();
    assert_eq!(error, "token in login doesn't match token from configuration");
}

#[tokio::test]
async fn without_details_only_the_summary_is_told() {
    let frps = Frps::with(|config| config.detailed_errors_to_client = Some(false)).await;
    let error = Client::login_as(&frps, Login::default()).await.err().unwrap();
    assert_eq!(error, "register control error");
    let mut client = Client::login(&frps).await;
    let unknown = tcp_of_type("sctp");
    assert_eq!(client.refused(unknown).await, "new proxy [p] error");
}

fn tcp_of_type(kind: &str) -> frp_proto::msg::NewProxy {
    frp_proto::msg::NewProxy { proxy_type: kind.to_owned(), ..tcp("p", 0) }
}

#[tokio::test]
async fn a_remote_client_cannot_claim_to_need_no_token() {
    let frps = Frps::start().await;
    let mut bad = Login::default();
    bad.client_spec.r#type = "ssh-tunnel".to_owned();
    bad.client_spec.always_auth_pass = true;
    assert!(Client::login_as(&frps, bad).await.is_err());
}

#[tokio::test]
async fn pool_counts_are_clamped() {
    let frps = Frps::with(|config| config.transport.max_pool_count = 2).await;
    for (wished, granted) in [(-1, 0), (i64::MIN, 0), (i64::MAX, 2), (1_000_000, 2)] {
        let mut client = Client::login_as(&frps, Login { pool_count: wished, ..login() }).await.unwrap();
        for _ in 0..granted {
            client.asked().await;
        }
        client.send(Ping::default()).await;
        assert!(matches!(client.next().await, Message::Pong(_)), "no more than {granted} are asked for");
    }
}

#[tokio::test]
async fn the_same_run_id_replaces_the_control_and_gets_its_proxies_names_and_ports() {
    let frps = Frps::start().await;
    let mut old = Client::login(&frps).await;
    let port = old.start(tcp("p", 0)).await;
    let again = Login { run_id: old.run_id.clone(), ..login() };
    let mut new = Client::login_as(&frps, again).await.unwrap();
    assert_eq!(new.run_id, old.run_id);
    old.ended().await;
    assert!(refuses(port).await, "the old control has closed its proxies before the login is answered");
    assert_eq!(new.start(tcp("p", port)).await, port);
}

#[tokio::test]
async fn a_chosen_run_id_is_taken_as_it_is() {
    let frps = Frps::start().await;
    let login = Login { run_id: "mine, not 16 hex".to_owned(), ..login() };
    assert_eq!(Client::login_as(&frps, login).await.unwrap().run_id, "mine, not 16 hex");
}

#[tokio::test]
async fn a_run_id_that_fits_no_answer_is_refused() {
    let frps = Frps::start().await;
    // Sent as it is, `<` takes six bytes in an answer of ours, as in the original's.
    let mut body = Vec::new();
    Message::from(Login { run_id: "RUN".to_owned(), ..login() }).write_json(&mut body);
    let body = String::from_utf8(body).unwrap().replace("RUN", &"<".repeat(5_000));
    let mut stream = frps.connect().await;
    stream.write_all(b"o").await.unwrap();
    stream.write_i64(body.len().try_into().unwrap()).await.unwrap();
    say(&mut stream, &body).await;
    let Message::LoginResp(answer) = soon(read_message(&mut stream)).await.unwrap() else { panic!() };
    assert_eq!(answer.error, "unexpected error when creating new controller");
}

#[tokio::test]
async fn a_client_id_is_online_once() {
    let frps = Frps::start().await;
    let named = || Login { user: "u".to_owned(), client_id: "c".to_owned(), ..login() };
    let mut first = Client::login_as(&frps, named()).await.unwrap();
    let error = Client::login_as(&frps, named()).await.err().unwrap();
    assert_eq!(error, "client_id [c] for user [u] is already online");
    let same = Login { run_id: first.run_id.clone(), ..named() };
    Client::login_as(&frps, same).await.unwrap();
    first.ended().await;
}

#[tokio::test]
async fn a_client_that_does_not_ping_is_dropped() {
    let frps = Frps::with(|config| config.transport.heartbeat_timeout = 1).await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    client.ended().await;
    let mut next = Client::login(&frps).await;
    next.start(tcp("p", port)).await;
}

#[tokio::test]
async fn scopes_ask_pings_and_work_connections_for_proof() {
    let scopes = ["HeartBeats", "NewWorkConns"];
    let frps = Frps::with(|config| config.auth.additional_scopes = scopes.map(str::to_owned).to_vec()).await;
    let mut client = Client::login(&frps).await;
    client.send(Ping::default()).await;
    let Message::Pong(pong) = client.answer().await else { panic!() };
    assert_eq!(pong.error, "token in heartbeat doesn't match token from configuration");
    client.send(Ping { privilege_key: auth_key(TOKEN.as_bytes(), 7), timestamp: 7 }).await;
    let Message::Pong(pong) = client.answer().await else { panic!() };
    assert_eq!(pong.error, "");

    let mut work = client.work_conn().await;
    let error = started(&mut work).await.error;
    assert_eq!(error, "token in NewWorkConn doesn't match token from configuration");
    assert!(closed(&mut work).await);
}

#[tokio::test]
async fn a_work_connection_must_name_a_run_id_that_is_here() {
    let frps = Frps::start().await;
    let (mut stream, answer) =
        first(&frps, NewWorkConn { run_id: "nobody".to_owned(), ..NewWorkConn::default() }).await;
    let Some(Message::StartWorkConn(start)) = answer else { panic!("{answer:?}") };
    assert_eq!(start.error, "no client control found for run id [nobody]");
    assert!(closed(&mut stream).await);
}

#[tokio::test]
async fn an_unknown_message_ends_the_session_and_a_useless_one_does_not() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    client.send(Login::default()).await;
    client.send(Ping::default()).await;
    assert!(matches!(client.answer().await, Message::Pong(_)));
}
