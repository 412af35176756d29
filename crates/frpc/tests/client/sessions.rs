//! What holds whichever way many streams come over one connection.

use frp_proto::msg::ReqWorkConn;

use crate::support::{Echo, Frps, Log, Text, closed, hear, say, soon};

/// Servers with a client for each.
async fn each() -> [(Frps, Text); 2] {
    let (mux, quic) = (Frps::start_mux().await, Frps::start_quic().await);
    let texts = [Text::with_token(&mux), Text::with_token(&quic).line("transport.protocol = \"quic\"")];
    let [of_mux, of_quic] = texts;
    [(mux, of_mux), (quic, of_quic)]
}

#[tokio::test]
async fn a_lost_connection_ends_everything_in_it_and_is_made_anew() {
    for (mut frps, text) in each().await {
        let mut log = Log::capture();
        let echo = Echo::start().await;
        let frpc = text.tcp("web", echo.port, "").start();
        let mut control = frps.accept("0123456789abcdef").await;
        control.start().await;
        let mut user = frps.user(&mut control, "web").await;
        say(&mut user, "hello").await;
        hear(&mut user, "hello").await;
        frps.session().close();
        log.line("[web] join connections closed").await;
        let mut control = frps.accept("0123456789abcdef").await;
        control.start().await;
        let mut user = frps.user(&mut control, "web").await;
        say(&mut user, "again").await;
        hear(&mut user, "again").await;
        frpc.stop().await;
    }
}

#[tokio::test]
async fn a_lost_control_ends_its_connection() {
    for (mut frps, text) in each().await {
        let frpc = text.start();
        let mut control = frps.accept("0123456789abcdef").await;
        control.send(ReqWorkConn::default()).await;
        let (mut pooled, _) = frps.work_conn().await;
        let session = frps.session();
        drop(control);
        soon(session.closed()).await;
        closed(&mut pooled).await;
        frps.accept("0123456789abcdef").await;
        frpc.stop().await;
    }
}
