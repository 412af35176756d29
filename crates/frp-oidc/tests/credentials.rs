//! Tokens from a token endpoint.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;

use frp_net::resolve::Resolver;
use frp_oidc::{ClientCredentials, CredentialsOptions, FETCH_TIMEOUT, Http, HttpOptions};
use frp_proto::Secret;
use frp_test_support::issuer::{CLIENT_ID, CLIENT_SECRET, Fault, Issuer, Shown, TOKEN};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, advance, pause};

fn options(issuer: &Issuer) -> CredentialsOptions {
    CredentialsOptions {
        token_endpoint_url: issuer.token_endpoint(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.into(),
        ..CredentialsOptions::default()
    }
}

fn client(options: CredentialsOptions) -> ClientCredentials {
    client_over(options, &HttpOptions::default())
}

fn client_over(options: CredentialsOptions, http: &HttpOptions) -> ClientCredentials {
    ClientCredentials::new(options, Http::new(http, Arc::new(Resolver::system())).unwrap())
}

async fn failure(client: &ClientCredentials) -> String {
    client.token().await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_token_is_kept_while_it_is_good() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().expires_in = Some(70.into());
    let client = client(options(&issuer));
    assert_eq!(issuer.requests(TOKEN), 0, "nobody is asked before a token is needed");
    let first = client.token().await.unwrap();
    assert!(!first.is_empty());
    pause();
    advance(Duration::from_secs(59)).await;
    assert_eq!(client.token().await.unwrap(), first);
    assert_eq!(issuer.requests(TOKEN), 1);
    // Ten seconds before its end it is not used any more.
    advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    client.token().await.unwrap();
    assert_eq!(issuer.requests(TOKEN), 2);
}

#[tokio::test]
async fn one_question_serves_all_who_wait() {
    let issuer = Issuer::start().await.unwrap();
    let client = Arc::new(client(options(&issuer)));
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let client = Arc::clone(&client);
        waiting.spawn(async move { client.token().await.unwrap() });
    }
    let tokens: Vec<Secret> = waiting.join_all().await;
    assert!(tokens.iter().all(|token| Some(token) == tokens.first()));
    assert_eq!(issuer.requests(TOKEN), 1);
}

#[tokio::test]
async fn without_a_lifetime_every_message_has_its_own() {
    let issuer = Issuer::start().await.unwrap();
    for expires_in in [None, Some(0.into()), Some(serde_json::Value::Null), Some("5".into())] {
        issuer.settings().expires_in = expires_in;
        let before = issuer.requests(TOKEN);
        let client = Arc::new(client(options(&issuer)));
        client.token().await.unwrap();
        let mut waiting = JoinSet::new();
        for _ in 0..20 {
            let client = Arc::clone(&client);
            waiting.spawn(async move { client.token().await.unwrap() });
        }
        waiting.join_all().await;
        assert_eq!(issuer.requests(TOKEN), before + 21);
    }
}

#[tokio::test]
async fn the_form_is_upstreams() {
    let issuer = Issuer::start().await.unwrap();
    client(options(&issuer)).token().await.unwrap();
    let form = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(issuer.form(), form(&[("grant_type", "client_credentials"), ("scope", "")]));
    let more = CredentialsOptions {
        audience: "frps".to_owned(),
        scope: "a b".to_owned(),
        additional_params: form(&[("resource", "x&y"), ("grant_type", "special")]),
        ..options(&issuer)
    };
    client(more).token().await.unwrap();
    assert_eq!(
        issuer.form(),
        form(&[("audience", "frps"), ("grant_type", "special"), ("resource", "x&y"), ("scope", "a b")])
    );
}

#[tokio::test]
async fn the_secret_is_shown_as_the_endpoint_wants_it() {
    for (shown, first, then) in [(Shown::Anyhow, 1, 1), (Shown::Header, 1, 1), (Shown::Form, 2, 1)] {
        let issuer = Issuer::start().await.unwrap();
        issuer.settings().shown = shown;
        issuer.settings().expires_in = None;
        let client = client(options(&issuer));
        client.token().await.unwrap();
        assert_eq!(issuer.requests(TOKEN), first);
        // What has worked is remembered.
        client.token().await.unwrap();
        assert_eq!(issuer.requests(TOKEN), first + then);
    }
}

#[tokio::test]
async fn failures_read_like_upstreams_and_show_no_secret() {
    let issuer = Issuer::start().await.unwrap();
    let wrong = CredentialsOptions { client_secret: "hunter2".into(), ..options(&issuer) };
    assert!(!format!("{wrong:?}").contains("hunter2"));
    let wrong = client(wrong);
    assert!(!format!("{wrong:?}").contains("hunter2"));
    assert_eq!(failure(&wrong).await, "oauth2: \"invalid_client\"");
    assert_eq!(issuer.requests(TOKEN), 2, "both ways are tried");
    let url = issuer.token_endpoint();
    let client = client(options(&issuer));
    for (fault, text) in [
        (
            Fault::Status(503, "token hunter2".to_owned()),
            "oauth2: cannot fetch token: 503 Service Unavailable".to_owned(),
        ),
        (Fault::Text("token hunter2".to_owned()), "oauth2: cannot parse json: line 1 column 2".to_owned()),
        (Fault::Text("{}".to_owned()), "oauth2: server response missing access_token".to_owned()),
        (
            Fault::Redirect("http://127.0.0.1:1/".to_owned()),
            "oauth2: cannot fetch token: 302 Found".to_owned(),
        ),
        (Fault::Long(2 << 20), format!("Post {url:?}: response body is longer than 1048576 bytes")),
        (
            Fault::Status(400, format!(r#"{{"error":"no","error_description":"{CLIENT_SECRET}"}}"#)),
            "oauth2: \"no\" \"<redacted>\"".to_owned(),
        ),
    ] {
        issuer.settings().faults.insert(TOKEN, fault);
        assert_eq!(failure(&client).await, text);
    }
    issuer.settings().faults.clear();
    let token = client.token().await.unwrap();
    // What is kept is not shown, either.
    assert!(!format!("{client:?}").contains(token.expose()));
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_by_all_who_wait() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().faults.insert(TOKEN, Fault::Silence);
    let client = Arc::new(client(options(&issuer)));
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let client = Arc::clone(&client);
        waiting.spawn(async move { failure(&client).await });
    }
    issuer.wait_requests(TOKEN, 1).await;
    pause();
    let began = Instant::now();
    for text in waiting.join_all().await {
        assert_eq!(text, "oauth2: cannot fetch token: context deadline exceeded");
    }
    assert!(began.elapsed() <= FETCH_TIMEOUT + Duration::from_millis(5));
}

/// An `http` endpoint behind an `http` proxy is asked for by its whole URL.
#[tokio::test]
async fn through_a_proxy() {
    let issuer = Issuer::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|part| part == b"\r\n\r\n") {
            peer.read_buf(&mut request).await.unwrap();
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"access_token\":\"t\"}";
        peer.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request).into_owned()
    });
    let proxied =
        HttpOptions { proxy_url: format!("http://user:pass@{address}").into(), ..HttpOptions::default() };
    // What stands before the host of the endpoint is not told the proxy.
    let endpoint = issuer.token_endpoint().replace("http://", "http://name:hunter2@");
    let named = CredentialsOptions { token_endpoint_url: endpoint, ..options(&issuer) };
    let client = client_over(named, &proxied);
    assert_eq!(client.token().await.unwrap(), "t");
    let request = tasks.join_next().await.unwrap().unwrap().to_ascii_lowercase();
    assert!(request.starts_with(&format!("post {} http/1.1\r\n", issuer.token_endpoint())), "{request}");
    assert!(request.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n"), "{request}");
    assert_eq!(issuer.requests(TOKEN), 0);
}

/// A direct way is one that nobody names: the environment's proxy counts unless the configuration says anything.
#[tokio::test]
async fn the_proxy_of_the_environment() {
    let issuer = Issuer::start().await.unwrap();
    let nowhere: frp_oidc::http::EnvironmentProxy = |_, _, _| Some("http://127.0.0.1:1".into());
    let from_environment = HttpOptions { environment_proxy: Some(nowhere), ..HttpOptions::default() };
    let client = client_over(options(&issuer), &from_environment);
    assert!(
        failure(&client)
            .await
            .ends_with("proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused")
    );
    let careless = HttpOptions { insecure_skip_verify: true, ..from_environment };
    assert!(client_over(options(&issuer), &careless).token().await.is_ok());
}
