//! Method `oidc`.

use std::time::Duration;

use frp_config::ServerConfig;
use frp_proto::msg::{Login, Message, NewWorkConn, Ping};
use frp_stream::Stream;
use frp_stream::message::{read_message, write_message};
use frp_test_support::issuer::{Fault, Issuer, KEYS, Key};
use frps::Server;
use tokio::time::{Instant, sleep};

use crate::mux::session;
use crate::support::*;

async fn server(issuer: &Issuer, configure: impl FnOnce(&mut ServerConfig)) -> Frps {
    let url = issuer.url();
    Frps::with(|config| {
        config.auth.method = "oidc".to_owned();
        config.auth.oidc.issuer = url;
        config.auth.oidc.audience = "frps".to_owned();
        configure(config);
    })
    .await
}

fn both_scopes(config: &mut ServerConfig) {
    config.auth.additional_scopes = ["HeartBeats", "NewWorkConns"].map(str::to_owned).to_vec();
}

fn login_with(token: &str) -> Login {
    Login { privilege_key: token.into(), ..login() }
}

async fn pong(client: &mut Client, token: &str) -> String {
    client.send(Ping { privilege_key: token.into(), timestamp: 0 }).await;
    match client.answer().await {
        Message::Pong(pong) => pong.error,
        other => panic!("{other:?}"),
    }
}

/// The server's refusal of a work connection with this token; empty when a user gets it.
async fn refusal_of_work(frps: &Frps, client: &Client, port: u16, token: &str) -> String {
    let mut work = frps.connect().await;
    let run_id = client.run_id.clone();
    let message = NewWorkConn { run_id, privilege_key: token.into(), timestamp: 0 };
    write_message(&mut work, &message.into()).await.unwrap();
    let _user = user(port).await;
    started(&mut work).await.error
}

#[tokio::test]
async fn a_good_token_logs_in_and_the_key_of_the_channel_is_the_other_token() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server(&issuer, |_| {}).await;
    let mut client = Client::login_as(&frps, login_with(&issuer.token("s").unwrap())).await.unwrap();
    assert_eq!(pong(&mut client, "").await, "");
    // Without `auth.token` the key is that of no token at all.
    let bare = server(&issuer, |config| config.auth.token = "".into()).await;
    let login = login_with(&issuer.token("s").unwrap());
    let mut client = Client::login_with_token(&bare, login, "").await.unwrap();
    assert_eq!(pong(&mut client, "").await, "");
}

#[tokio::test]
async fn bad_tokens_are_told_as_upstream_tells_them() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server(&issuer, |_| {}).await;
    let mut claims = issuer.claims("s");
    claims["aud"] = "other".into();
    for (token, text) in [
        (String::new(), "oidc: malformed jwt: go-jose/go-jose: compact JWS format must have three parts"),
        (issuer.sign(&claims).unwrap(), "oidc: expected audience \"frps\" got [\"other\"]"),
        (
            Key::generate("key-1", "ES256").unwrap().sign(&issuer.claims("s")).unwrap(),
            "failed to verify signature: failed to verify id token signature",
        ),
    ] {
        let error = Client::login_as(&frps, login_with(&token)).await.err().unwrap();
        assert_eq!(error, format!("invalid OIDC token in login: {text}"));
    }
    let quiet = server(&issuer, |config| config.detailed_errors_to_client = Some(false)).await;
    let error = Client::login_as(&quiet, login_with("x")).await.err().unwrap();
    assert_eq!(error, "register control error");
}

#[tokio::test]
async fn later_messages_must_come_from_who_logged_in() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server(&issuer, both_scopes).await;
    let [mine, again, others] = ["me", "me", "you"].map(|subject| issuer.token(subject).unwrap());
    let mut client = Client::login_as(&frps, login_with(&mine)).await.unwrap();
    // That somebody else is logged in under that name helps nobody.
    let _other = Client::login_as(&frps, login_with(&others)).await.unwrap();
    let different = "received different OIDC subject in login and ping. new subject: you";
    let none = "invalid OIDC token in ping: oidc: malformed jwt: go-jose/go-jose: compact JWS format must have three parts";
    for (token, text) in [(&mine, ""), (&again, ""), (&others, different), (&String::new(), none)] {
        assert_eq!(pong(&mut client, token).await, text);
    }
    let port = client.start(tcp("p", 0)).await;
    for (token, text) in [(&others, different), (&String::new(), none), (&again, "")] {
        assert_eq!(refusal_of_work(&frps, &client, port, token).await, text);
    }
}

#[tokio::test]
async fn without_scopes_later_messages_need_no_token() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server(&issuer, |_| {}).await;
    let mine = issuer.token("me").unwrap();
    let mut client = Client::login_as(&frps, login_with(&mine)).await.unwrap();
    let port = client.start(tcp("p", 0)).await;
    // Nor does one too many do harm.
    for token in ["", "nonsense"] {
        assert_eq!(pong(&mut client, token).await, "");
        assert_eq!(refusal_of_work(&frps, &client, port, token).await, "");
    }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_used_stops_the_server() {
    let mut config = ServerConfig { bind_addr: "127.0.0.1".to_owned(), ..ServerConfig::default() };
    config.auth.method = "oidc".to_owned();
    config.auth.oidc.issuer = "http://127.0.0.1:1".to_owned();
    config.complete();
    assert_eq!(
        Server::bind(&config).await.err().unwrap().to_string(),
        "failed to discover the OpenID provider of auth.oidc.issuer \"http://127.0.0.1:1\": Get \
         \"http://127.0.0.1:1/.well-known/openid-configuration\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}

/// Neither a login nor a ping that waits for the issuer's keys does.
#[tokio::test]
async fn a_silent_issuer_does_not_hold_the_end_up() {
    let issuer = Issuer::start().await.unwrap();
    let frps = server(&issuer, both_scopes).await;
    let mut client = Client::login_as(&frps, login_with(&issuer.token("s").unwrap())).await.unwrap();
    issuer.settings().faults.insert(KEYS, Fault::Silence);
    let stranger = Key::generate("new", "ES256").unwrap().sign(&issuer.claims("s")).unwrap();
    let mut pending = frps.connect().await;
    write_message(&mut pending, &login_with(&stranger).into()).await.unwrap();
    client.send(Ping { privilege_key: stranger.as_str().into(), timestamp: 0 }).await;
    // A good token is good meanwhile.
    let good = issuer.token("s").unwrap();
    let _good = Client::login_as(&frps, login_with(&good)).await.unwrap();
    frps.stop().await;
    assert!(closed(&mut pending).await);
    client.ended().await;
}

/// Whether a login is a connection's first message or that of a stream, whenever that was opened.
#[tokio::test]
async fn a_login_is_proved_by_the_deadline_of_its_connection() {
    for tcp_mux in [false, true] {
        let issuer = Issuer::start().await.unwrap();
        let frps = server(&issuer, |config| config.transport.tcp_mux = Some(tcp_mux)).await;
        issuer.settings().faults.insert(KEYS, Fault::Silence);
        let stranger = Key::generate("new", "ES256").unwrap().sign(&issuer.claims("s")).unwrap();
        let connection = frps.connect().await;
        // Nothing happens from here on but on this thread and by timers, so the paused clock runs from one to the next.
        tokio::time::pause();
        let accepted = Instant::now();
        let (mux, mut direct) = match tcp_mux {
            true => (Some(session(connection)), None),
            false => (None, Some(connection)),
        };
        sleep(Duration::from_secs(6)).await;
        if let Some((session, _)) = &mux {
            direct = Some(Stream::boxed(session.open().await.unwrap()));
        }
        let mut stream = direct.unwrap();
        write_message(&mut stream, &login_with(&stranger).into()).await.unwrap();
        let Message::LoginResp(answer) = read_message(&mut stream).await.unwrap() else { panic!() };
        assert_eq!((answer.error.as_str(), accepted.elapsed().as_secs()), ("i/o timeout", 10), "{tcp_mux}");
        tokio::time::resume();
    }
}
