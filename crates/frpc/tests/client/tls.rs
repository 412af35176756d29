//! TLS towards the server.

use frp_net::tls::{ServerTls, ServerTlsOptions};

use crate::support::{Frps, Log, Text, serves};

async fn tls_server() -> Frps {
    Frps::start_tls(ServerTls::new(&ServerTlsOptions::default()).unwrap()).await
}

#[tokio::test]
async fn control_and_work_connections_are_encrypted() {
    for disable_first_byte in [true, false] {
        let frps = tls_server().await;
        let text = Text::with_token(&frps)
            .replace("transport.tls.enable = false", "transport.tls.enable = true")
            .line(&format!("transport.tls.disableCustomTLSFirstByte = {disable_first_byte}"));
        // The scripted server takes nothing but TLS.
        serves(frps, text).await;
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_fail_the_login() {
    let mut log = Log::capture();
    let frps = tls_server().await;
    let text = Text::with_token(&frps)
        .replace("transport.tls.enable = false", "transport.tls.enable = true")
        .line("transport.tls.trustedCaFile = \"/nonexistent/ca.pem\"");
    let error = text.start().end().await.unwrap_err();
    assert_eq!(
        error,
        "login to the server failed: open /nonexistent/ca.pem: no such file or directory. With loginFailExit \
         enabled, no additional retries will be attempted"
    );
    log.line(
        "WARN fail to build tls configuration, err: open /nonexistent/ca.pem: no such file or directory",
    )
    .await;
    log.line("WARN connect to server error: open /nonexistent/ca.pem: no such file or directory").await;
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands_is_given_up() {
    let frps = Frps::start().await;
    let frpc = Text::with_token(&frps)
        .replace("transport.tls.enable = false", "transport.tls.enable = true")
        .line("transport.dialServerTimeout = 1")
        .start();
    let _silent = frps.connection().await;
    let error = frpc.end().await.unwrap_err();
    assert!(
        error.starts_with("login to the server failed: TLS handshake with the server: i/o timeout."),
        "{error}"
    );
}
