//! Offering proxies, and the server's answers.

use frp_proto::msg::NewProxyResp;

use crate::support::{Frps, Log, Text};

#[tokio::test]
async fn a_proxy_is_offered_with_its_user_and_runs_once_accepted() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let text = Text::with_token(&frps).line("user = \"me\"");
    let frpc = text.tcp("web", 80, "transport.bandwidthLimit = \"1MB\"\nmetadatas.a = \"b\"").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let offer = control.start().await;
    assert_eq!(
        (offer.proxy_name.as_str(), offer.proxy_type.as_str(), offer.remote_port),
        ("me.web", "tcp", 6000)
    );
    assert_eq!((offer.bandwidth_limit.as_str(), offer.bandwidth_limit_mode.as_str()), ("1MB", ""));
    assert_eq!(offer.metas.get("a").map(String::as_str), Some("b"));
    log.line("INFO [0123456789abcdef] proxy added: [web]").await;
    log.line("TRACE [0123456789abcdef] [web] change status from [new] to [wait start]").await;
    log.line("INFO [0123456789abcdef] [web] start proxy success").await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_refusal_is_the_proxys_own() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("one", 80, "").tcp("two", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let (one, two) = (control.offered().await, control.offered().await);
    control.answer(&one.proxy_name, "port already used").await;
    control.answer(&two.proxy_name, "").await;
    log.line("WARN [0123456789abcdef] [one] start error: port already used").await;
    log.line("INFO [0123456789abcdef] [two] start proxy success").await;
    frpc.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_waits_for_change_nothing() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    control.answer("foreign", "").await;
    log.line("WARN [0123456789abcdef] [foreign] start error: proxy [foreign] not found").await;
    control.answer("web", "changed my mind").await;
    log.line("WARN [0123456789abcdef] [web] start error: status not wait start, ignore start message").await;
    control.send(NewProxyResp::default()).await;
    // What a server never sends to a client is ignored, too.
    control.send(control.login.clone()).await;
    let mut user = frps.user(&mut control, "web").await;
    log.line("[web] handle tcp work connection, useEncryption: false, useCompression: false").await;
    drop(user);
    user = frps.user(&mut control, "web").await;
    drop(user);
    frpc.stop().await;
}

#[tokio::test]
async fn a_proxy_that_fits_no_message_fails_alone() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let long = format!("metadatas.a = \"{}\"", "x".repeat(11_000));
    let frpc = Text::with_token(&frps).tcp("long", 80, &long).tcp("short", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.start().await.proxy_name, "short");
    log.line("[short] start proxy success").await;
    assert!(log.has("WARN [0123456789abcdef] [long] start error: "), "{:#?}", log.all());
    frpc.stop().await;
}

#[tokio::test]
async fn what_is_not_built_shows_and_the_others_run() {
    let mut log = Log::capture();
    let mut frps = Frps::start().await;
    let frpc = Text::with_token(&frps)
        .proxy("xtcp", "page", "localPort = 80")
        .proxy("tcp", "socks", "remotePort = 6001\nplugin.type = \"socks5\"")
        .tcp("web", 80, "")
        .entry("[[visitors]]\ntype = \"xtcp\"\nname = \"guest\"\nserverName = \"s\"\nbindPort = 6002")
        .start();
    let mut control = frps.accept("0123456789abcdef").await;
    assert_eq!(control.start().await.proxy_name, "web");
    log.line("INFO [0123456789abcdef] proxy added: [page socks web]").await;
    log.line("INFO [0123456789abcdef] visitor added: [guest]").await;
    log.line("[web] start proxy success").await;
    for line in [
        "WARN [0123456789abcdef] [page] start error: proxy type [xtcp] is not supported yet by this version",
        "WARN [0123456789abcdef] [socks] start error: plugin [socks5] is not supported yet by this version",
        "WARN [0123456789abcdef] start error: visitor type [xtcp] is not supported yet by this version",
    ] {
        assert!(log.has(line), "{line}: {:#?}", log.all());
    }
    frpc.stop().await;
}
