//! An issuer that does as it should, and one that does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::sync::Arc;

use frp_net::resolve::Resolver;
use frp_oidc::{
    FETCH_TIMEOUT, Http, HttpOptions, MAX_BODY, REFETCH_INTERVAL, Verifier, VerifierOptions, VerifyError,
};
use frp_test_support::issuer::{DISCOVERY, Fault, Issuer, KEYS, Key};
use frp_test_support::outbound::{Kind, Outbound, USER};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, advance, pause, resume, sleep};

fn http() -> Http {
    Http::new(&HttpOptions::default(), Arc::new(Resolver::system())).unwrap()
}

fn options(issuer: &Issuer) -> VerifierOptions {
    VerifierOptions { issuer: issuer.url(), audience: "frps".to_owned(), ..VerifierOptions::default() }
}

async fn verifier(issuer: &Issuer) -> Verifier {
    Verifier::discover(options(issuer), http()).await.unwrap()
}

/// Lets that time go by at once. Sockets do not notice, and whoever waits for one has its time as before.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

async fn failure(options: VerifierOptions) -> String {
    Verifier::discover(options, http()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn keys_are_fetched_once_and_tokens_are_good() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    assert_eq!((issuer.requests(DISCOVERY), issuer.requests(KEYS)), (1, 0));
    for subject in ["a", "b", ""] {
        let token = issuer.token(subject).unwrap().into();
        assert_eq!(verifier.verify(&token).await, Ok(subject.to_owned()));
    }
    assert_eq!(issuer.requests(KEYS), 1);
}

#[tokio::test]
async fn claims_are_checked() {
    let issuer = Issuer::start().await.unwrap();
    let strict = verifier(&issuer).await;
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = issuer.claims("s");
        claims[name] = value;
        issuer.sign(&claims).unwrap().into()
    };
    assert!(matches!(strict.verify(&with("iss", "x".into())).await, Err(VerifyError::Issuer { .. })));
    assert!(matches!(strict.verify(&with("aud", "x".into())).await, Err(VerifyError::Audience { .. })));
    assert!(matches!(strict.verify(&with("exp", 1.into())).await, Err(VerifyError::Expired { .. })));
    assert!(strict.verify(&with("aud", json!(["x", "frps"]))).await.is_ok());
    let lenient = VerifierOptions {
        audience: String::new(),
        skip_issuer_check: true,
        skip_expiry_check: true,
        ..options(&issuer)
    };
    let lenient = Verifier::discover(lenient, http()).await.unwrap();
    for (name, value) in [("iss", "x".into()), ("aud", "x".into()), ("exp", json!(1))] {
        assert!(lenient.verify(&with(name, value)).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn clocks_that_differ() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    for (ahead, good) in [(290, true), (-3590, true), (310, false), (-3610, false)] {
        issuer.settings().clock_ahead = ahead;
        let token = issuer.token("s").unwrap().into();
        assert_eq!(verifier.verify(&token).await.is_ok(), good, "{ahead}");
    }
}

#[tokio::test]
async fn only_algorithms_of_the_issuer_are_taken() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().algorithms = Some(["HS256", "none", "EdDSA", "ES256"].map(str::to_owned).to_vec());
    let some = verifier(&issuer).await;
    assert!(some.verify(&issuer.token("s").unwrap().into()).await.is_ok());
    // Without asymmetric ones there is the one that every issuer has.
    for algorithms in [None, Some(vec!["HS256".to_owned(), "none".to_owned()])] {
        issuer.settings().algorithms = algorithms;
        let usual = verifier(&issuer).await;
        assert_eq!(
            usual.verify(&issuer.token("s").unwrap().into()).await.unwrap_err().to_string(),
            "oidc: malformed jwt: unexpected signature algorithm \"ES256\"; expected [\"RS256\"]"
        );
    }
    issuer.settings().keys = vec![Key::generate("rsa", "RS256").unwrap()];
    let usual = verifier(&issuer).await;
    assert!(usual.verify(&issuer.token("s").unwrap().into()).await.is_ok());
}

#[tokio::test]
async fn keys_rotate() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    let old = issuer.token("s").unwrap().into();
    assert!(verifier.verify(&old).await.is_ok());
    issuer.settings().keys = vec![Key::generate("key-2", "ES256").unwrap()];
    // The old key is good until a token of the new one comes.
    assert!(verifier.verify(&old).await.is_ok());
    let new = issuer.token("s").unwrap().into();
    pass(REFETCH_INTERVAL).await;
    assert!(verifier.verify(&new).await.is_ok());
    assert_eq!(issuer.requests(KEYS), 2);
    pass(REFETCH_INTERVAL).await;
    assert_eq!(verifier.verify(&old).await, Err(VerifyError::Signature));
}

#[tokio::test]
async fn a_key_that_changes_under_its_name_is_noticed() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    assert!(verifier.verify(&issuer.token("s").unwrap().into()).await.is_ok());
    issuer.settings().keys = vec![Key::generate("key-1", "ES256").unwrap()];
    pass(REFETCH_INTERVAL).await;
    assert!(verifier.verify(&issuer.token("s").unwrap().into()).await.is_ok());
}

#[tokio::test]
async fn a_token_without_a_key_id_is_tried_with_every_key() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    let key = Key::generate("other", "ES256").unwrap();
    let token = key.sign_with(&json!({ "alg": "ES256" }), &issuer.claims("s")).unwrap().into();
    let others =
        [json!({ "kty": "oct", "k": "AA" }), json!(1), Key::generate("x", "RS256").unwrap().public()];
    issuer.settings().other_keys = others.to_vec();
    issuer.settings().keys.push(key);
    assert!(verifier.verify(&token).await.is_ok());
}

/// Strangers with tokens of no key cost the issuer one question per interval, and good tokens do not wait for them.
#[tokio::test]
async fn strangers_do_not_make_us_hammer_the_issuer() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = Arc::new(verifier(&issuer).await);
    let good: frp_proto::Secret = issuer.token("s").unwrap().into();
    assert!(verifier.verify(&good).await.is_ok());
    let forged = Key::generate("nobody", "ES256").unwrap().sign(&issuer.claims("s")).unwrap();
    let mut strangers = JoinSet::new();
    for _ in 0..50 {
        let (verifier, forged) = (Arc::clone(&verifier), forged.clone().into());
        strangers.spawn(async move { verifier.verify(&forged).await });
    }
    tokio::task::yield_now().await;
    assert!(verifier.verify(&good).await.is_ok());
    // What is asked after them is answered, and they have asked nothing.
    for _ in 0..3 {
        drop(self::verifier(&issuer).await);
    }
    assert_eq!(issuer.requests(KEYS), 1, "the strangers wait");
    pass(REFETCH_INTERVAL).await;
    while let Some(refused) = strangers.join_next().await {
        assert_eq!(refused.unwrap(), Err(VerifyError::Signature));
    }
    // Those who came while the question was under way had its answer.
    assert_eq!(issuer.requests(KEYS), 2);
}

#[tokio::test]
async fn a_question_goes_on_when_who_began_it_is_sent_away() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = Arc::new(verifier(&issuer).await);
    issuer.settings().faults.insert(KEYS, Fault::Silence);
    let good: frp_proto::Secret = issuer.token("s").unwrap().into();
    let ask = || {
        let (verifier, token) = (Arc::clone(&verifier), good.clone());
        async move { verifier.verify(&token).await }
    };
    let mut asking = JoinSet::new();
    let first = asking.spawn(ask());
    issuer.wait_requests(KEYS, 1).await;
    first.abort();
    assert!(asking.join_next().await.unwrap().unwrap_err().is_cancelled());
    // The next one waits for the same answer, which does not come, and does not wait for a question of its own.
    pause();
    let began = Instant::now();
    assert!(matches!(ask().await, Err(VerifyError::Keys(_))));
    assert!(began.elapsed() <= FETCH_TIMEOUT + Duration::from_millis(5));
    assert_eq!(issuer.requests(KEYS), 1);
}

#[tokio::test]
async fn the_answer_that_nobody_waited_for_is_none_to_who_comes_later() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = Arc::new(verifier(&issuer).await);
    issuer.settings().faults.insert(KEYS, Fault::Silence);
    let good: frp_proto::Secret = issuer.token("s").unwrap().into();
    let mut asking = JoinSet::new();
    let (asked, token) = (Arc::clone(&verifier), good.clone());
    asking.spawn(async move { asked.verify(&token).await });
    issuer.wait_requests(KEYS, 1).await;
    asking.shutdown().await;
    // The question comes to its end.
    pause();
    sleep(FETCH_TIMEOUT + Duration::from_secs(1)).await;
    resume();
    issuer.settings().faults.clear();
    assert_eq!(verifier.verify(&good).await, Ok("s".to_owned()));
    assert_eq!(issuer.requests(KEYS), 2);
}

#[tokio::test]
async fn keys_that_cannot_be_had() {
    let issuer = Issuer::start().await.unwrap();
    let token = issuer.token("s").unwrap().into();
    for (fault, text) in [
        (Fault::Status(500, "secret words".to_owned()), "oidc: get keys failed: 500 Internal Server Error"),
        (Fault::Text("[]".to_owned()), "oidc: failed to decode keys: no set of keys"),
        (Fault::Text("{\"keys\":1}".to_owned()), "oidc: failed to decode keys: no set of keys"),
        (Fault::Text("secret words".to_owned()), "oidc: failed to decode keys: invalid JSON"),
    ] {
        issuer.settings().faults.insert(KEYS, fault);
        let refused = verifier(&issuer).await.verify(&token).await.unwrap_err().to_string();
        assert_eq!(refused, format!("failed to verify signature: fetching keys {text}"));
    }
    issuer.settings().faults.insert(KEYS, Fault::Text("{}".to_owned()));
    assert_eq!(verifier(&issuer).await.verify(&token).await, Err(VerifyError::Signature));
}

#[tokio::test]
async fn an_issuer_that_fails_later_keeps_its_keys() {
    let issuer = Issuer::start().await.unwrap();
    let verifier = verifier(&issuer).await;
    let good = issuer.token("s").unwrap().into();
    assert!(verifier.verify(&good).await.is_ok());
    issuer.settings().faults.insert(KEYS, Fault::Status(500, String::new()));
    pass(REFETCH_INTERVAL).await;
    let forged = Key::generate("nobody", "ES256").unwrap().sign(&issuer.claims("s")).unwrap().into();
    assert!(matches!(verifier.verify(&forged).await, Err(VerifyError::Keys(_))));
    assert!(verifier.verify(&good).await.is_ok());
}

#[tokio::test]
async fn discovery_that_fails() {
    let issuer = Issuer::start().await.unwrap();
    let url = issuer.url();
    let prefix = format!("failed to discover the OpenID provider of auth.oidc.issuer {url:?}: ");
    let document = format!("{url}{DISCOVERY}");
    for (fault, text) in [
        (Fault::Status(404, "secret words".to_owned()), "404 Not Found".to_owned()),
        (
            Fault::Text("<html>".to_owned()),
            "oidc: failed to decode provider discovery object: got Content-Type = \"application/json\""
                .to_owned(),
        ),
        (
            Fault::Text(json!({ "issuer": url }).to_string()),
            "the discovery document names no jwks_uri".to_owned(),
        ),
        (Fault::Long(MAX_BODY + 1), format!("Get {document:?}: response body is longer than 1048576 bytes")),
        (Fault::Redirect(DISCOVERY.to_owned()), format!("Get {document:?}: stopped after 10 redirects")),
    ] {
        issuer.settings().faults.insert(DISCOVERY, fault);
        assert_eq!(failure(options(&issuer)).await, format!("{prefix}{text}"));
    }
    issuer.settings().faults.clear();
    issuer.settings().issuer = Some("http://e.test".to_owned());
    // Not even for those who do not look at the issuer of tokens.
    let skipping = VerifierOptions { skip_issuer_check: true, ..options(&issuer) };
    for options in [options(&issuer), skipping] {
        let text = format!(
            "oidc: issuer URL provided to client ({url:?}) did not match the issuer URL returned by provider \
             (\"http://e.test\")"
        );
        assert_eq!(failure(options).await, format!("{prefix}{text}"));
    }
    let nobody = VerifierOptions { issuer: "http://127.0.0.1:1".to_owned(), ..VerifierOptions::default() };
    assert_eq!(
        failure(nobody).await,
        "failed to discover the OpenID provider of auth.oidc.issuer \"http://127.0.0.1:1\": Get \
         \"http://127.0.0.1:1/.well-known/openid-configuration\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}

#[tokio::test]
async fn redirects_that_go_round_in_a_circle_are_followed_as_often_as_by_go() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().faults.insert(DISCOVERY, Fault::Redirect(DISCOVERY.to_owned()));
    assert!(failure(options(&issuer)).await.ends_with("stopped after 10 redirects"));
    assert_eq!(issuer.requests(DISCOVERY), 10);
}

#[tokio::test]
async fn discovery_follows_redirects_and_a_slash_at_the_end_counts() {
    let issuer = Issuer::start().await.unwrap();
    let elsewhere = Issuer::start().await.unwrap();
    let url = elsewhere.url();
    issuer.settings().issuer = Some(url.clone());
    elsewhere.settings().faults.insert(DISCOVERY, Fault::Redirect(format!("{}{DISCOVERY}", issuer.url())));
    assert!(Verifier::discover(options(&elsewhere), http()).await.is_ok());
    let mut with_slash = options(&elsewhere);
    with_slash.issuer += "/";
    assert!(failure(with_slash).await.contains("did not match the issuer URL"));
}

#[tokio::test]
async fn a_silent_issuer_is_given_up() {
    let issuer = Issuer::start().await.unwrap();
    issuer.settings().faults.insert(DISCOVERY, Fault::Silence);
    let url = issuer.url();
    let mut discovering = JoinSet::new();
    let options = options(&issuer);
    discovering.spawn(async move { failure(options).await });
    issuer.wait_requests(DISCOVERY, 1).await;
    pause();
    let began = Instant::now();
    let text = discovering.join_next().await.unwrap().unwrap();
    assert!(began.elapsed() <= FETCH_TIMEOUT + Duration::from_millis(5));
    assert!(text.ends_with(&format!("Get \"{url}{DISCOVERY}\": context deadline exceeded")), "{text}");
}

#[tokio::test]
async fn authorities_of_an_issuer() {
    let issuer = Issuer::start_tls().await.unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), issuer.authority().unwrap()).unwrap();
    let trusting = HttpOptions {
        trusted_ca_file: authority.path().to_str().unwrap().to_owned(),
        ..HttpOptions::default()
    };
    let careless = HttpOptions { insecure_skip_verify: true, ..HttpOptions::default() };
    for http_options in [trusting, careless] {
        let http = Http::new(&http_options, Arc::new(Resolver::system())).unwrap();
        let verifier = Verifier::discover(options(&issuer), http).await.unwrap();
        assert!(verifier.verify(&issuer.token("s").unwrap().into()).await.is_ok());
    }
    let other = Issuer::start_tls().await.unwrap();
    std::fs::write(authority.path(), other.authority().unwrap()).unwrap();
    let wrong = HttpOptions {
        trusted_ca_file: authority.path().to_str().unwrap().to_owned(),
        ..HttpOptions::default()
    };
    let http = Http::new(&wrong, Arc::new(Resolver::system())).unwrap();
    let text = Verifier::discover(options(&issuer), http).await.unwrap_err().to_string();
    assert!(
        text.contains("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{text}"
    );
}

/// An issuer with TLS is reached through the proxy and not by it: the proxy sees where to, and nothing else.
#[tokio::test]
async fn an_issuer_with_tls_behind_a_proxy() {
    let issuer = Issuer::start_tls().await.unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), issuer.authority().unwrap()).unwrap();
    let address = issuer.url().strip_prefix("https://").unwrap().to_owned();
    for kind in [Kind::Http, Kind::Socks5] {
        let proxy = Outbound::start(kind).await.unwrap();
        let through = |user: &str, trusted_ca_file: &str| HttpOptions {
            trusted_ca_file: trusted_ca_file.to_owned(),
            proxy_url: proxy.url(user).into(),
            ..HttpOptions::default()
        };
        let trusted = authority.path().to_str().unwrap();
        let http = Http::new(&through(USER, trusted), Arc::new(Resolver::system())).unwrap();
        let verifier = Verifier::discover(options(&issuer), http).await.unwrap();
        assert!(verifier.verify(&issuer.token("s").unwrap().into()).await.is_ok());
        assert_eq!(proxy.targets(), [address.as_str(), address.as_str()], "the document, and the keys");
        // Whom the proxy does not know does not come by another way.
        let before = issuer.requests(DISCOVERY);
        let http = Http::new(&through("stranger", trusted), Arc::new(Resolver::system())).unwrap();
        let text = Verifier::discover(options(&issuer), http).await.unwrap_err().to_string();
        assert!(text.contains(": proxyconnect tcp: ") && !text.contains("p@ss"), "{text}");
        assert_eq!(issuer.requests(DISCOVERY), before);
        // The proxy does not vouch for the issuer.
        let other = Issuer::start_tls().await.unwrap();
        let stranger = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(stranger.path(), other.authority().unwrap()).unwrap();
        let http_options = through(USER, stranger.path().to_str().unwrap());
        let http = Http::new(&http_options, Arc::new(Resolver::system())).unwrap();
        let text = Verifier::discover(options(&issuer), http).await.unwrap_err().to_string();
        assert!(text.contains("x509: certificate signed by unknown authority"), "{text}");
    }
}
