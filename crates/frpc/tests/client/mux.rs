//! Sessions over one multiplexed connection.

use frp_proto::msg::{ReqWorkConn, StartWorkConn};
use frp_stream::Stream;
use frp_stream::message::write_message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Echo, Frps, Log, Text, closed, ended, hear, say, soon};

#[tokio::test]
async fn every_work_connection_is_a_stream_of_the_same_connection() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut users = Vec::new();
    for number in 0..20 {
        let mut user = frps.user(&mut control, "web").await;
        say(&mut user, &format!("user {number}")).await;
        users.push(user);
    }
    for (number, user) in users.iter_mut().enumerate() {
        hear(user, &format!("user {number}")).await;
        user.shutdown().await.unwrap();
        ended(user).await;
    }
    frpc.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_during_the_login_is_a_session_that_ended() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).start();
    let (_stream, _, _) = frps.login().await;
    frps.mux_session().close();
    let error = frpc.end().await.unwrap_err();
    assert!(error.starts_with("login to the server failed: session shutdown."), "{error}");
}

#[tokio::test]
async fn streams_that_the_server_opens_are_refused() {
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", 80, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    let mut stream = soon(frps.mux_session().open()).await.unwrap();
    let _ = stream.write_all(b"hello").await;
    assert!(!matches!(soon(stream.read(&mut [0])).await, Ok(1..)));
    // And the session goes on.
    control.start().await;
    frpc.stop().await;
}

#[tokio::test]
async fn further_connections_carry_work_connections_and_are_made_anew() {
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let text = Text::with_token(&frps).line("transport.tcpMuxConnections = 3");
    let frpc = text.tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut further = Vec::new();
    // Three, as one of the two further ones is lost on the way.
    for number in 0..3 {
        let session = frps.another_mux_session().await;
        // Something is said at once on each of them: a work connection that nobody asked for.
        let stream = Stream::boxed(soon(session.accept()).await.unwrap());
        let (mut user, message) = Frps::work_conn_on(stream).await;
        assert_eq!(message.run_id, "0123456789abcdef");
        let start = StartWorkConn { proxy_name: "web".to_owned(), ..StartWorkConn::default() };
        soon(write_message(&mut user, &start.into())).await.unwrap();
        say(&mut user, "hello").await;
        hear(&mut user, "hello").await;
        if number == 1 {
            session.close();
        }
        further.push(user);
    }
    // The session is the same one all the while.
    let mut user = further.remove(0);
    say(&mut user, "still here").await;
    hear(&mut user, "still here").await;
    control.send(ReqWorkConn::default()).await;
    frpc.stop().await;
    control.ended().await;
    closed(&mut user).await;
}

#[tokio::test]
async fn a_work_connection_that_nobody_asked_for_may_be_refused() {
    let mut log = Log::capture();
    let echo = Echo::start().await;
    let mut frps = Frps::start_mux().await;
    let text = Text::with_token(&frps).line("transport.tcpMuxConnections = 2");
    let frpc = text.tcp("web", echo.port, "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let session = frps.another_mux_session().await;
    let stream = Stream::boxed(soon(session.accept()).await.unwrap());
    let (mut refused, _) = Frps::work_conn_on(stream).await;
    let error = "work connection pool is full, discarding";
    let answer = StartWorkConn { error: error.to_owned(), ..StartWorkConn::default() };
    soon(write_message(&mut refused, &answer.into())).await.unwrap();
    closed(&mut refused).await;
    drop(refused);
    log.line(&format!("StartWorkConn contains error: {error}")).await;
    assert!(!log.has("ERROR"), "{:#?}", log.all());
    // It has the fewest streams: the next one comes there.
    control.send(ReqWorkConn::default()).await;
    let stream = Stream::boxed(soon(session.accept()).await.unwrap());
    Frps::work_conn_on(stream).await;
    frpc.stop().await;
}

#[tokio::test]
async fn a_service_that_sends_to_a_user_gone_after_its_end_is_told() {
    let local = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut frps = Frps::start_mux().await;
    let frpc = Text::with_token(&frps).tcp("web", local.local_addr().unwrap().port(), "").start();
    let mut control = frps.accept("0123456789abcdef").await;
    control.start().await;
    let mut user = frps.user(&mut control, "web").await;
    let mut service = soon(local.accept()).await.unwrap().0;
    say(&mut user, "question").await;
    user.shutdown().await.unwrap();
    hear(&mut service, "question").await;
    ended(&mut service).await;
    // As frps does when the user is gone.
    user.abandon();
    // Not read until halfCloseTimeout has passed.
    soon(async { while service.write_all(&[0; 1000]).await.is_ok() {} }).await;
    frpc.stop().await;
}
