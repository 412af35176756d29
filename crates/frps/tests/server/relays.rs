//! What happens to a user connection once it is joined.

use frp_proto::crypto::key;
use frp_stream::{Layers, Stream};
use tokio::io::AsyncWriteExt;

use crate::support::*;

#[tokio::test]
async fn a_user_that_stopped_writing_still_gets_its_answer() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let (mut work, _) = client.serve().await;
    say(&mut user, "request").await;
    user.shutdown().await.unwrap();
    hear(&mut work, "request").await;
    assert!(closed(&mut work).await, "the end of the request is passed on");
    say(&mut work, "late answer").await;
    hear(&mut user, "late answer").await;
    drop(work);
    assert!(closed(&mut user.into()).await);
}

#[tokio::test]
async fn when_the_service_ends_both_sides_close() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let (mut work, _) = client.serve().await;
    say(&mut work, "all of it").await;
    work.shutdown().await.unwrap();
    hear(&mut user, "all of it").await;
    assert!(closed(&mut user.into()).await);
    assert!(closed(&mut work).await);
}

#[tokio::test]
async fn closing_the_proxy_or_losing_the_control_does_not_cut_a_user() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(tcp("p", 0)).await;
    let mut user = user(port).await;
    let (mut work, _) = client.serve().await;
    say(&mut user, "1").await;
    hear(&mut work, "1").await;
    client.close_proxy("p").await;
    drop(client);
    soon(async { while !refuses(port).await {} }).await;
    say(&mut user, "2").await;
    hear(&mut work, "2").await;
    say(&mut work, "3").await;
    hear(&mut user, "3").await;
    frps.stop().await;
    assert!(closed(&mut work).await, "the server's end does");
    assert!(closed(&mut user.into()).await);
}

#[tokio::test]
async fn payload_is_encrypted_and_compressed_as_asked() {
    for (use_encryption, use_compression) in [(true, false), (false, true), (true, true)] {
        let frps = Frps::start().await;
        let mut client = Client::login(&frps).await;
        let mut message = tcp("p", 0);
        message.use_encryption = use_encryption;
        message.use_compression = use_compression;
        let port = client.start(message).await;
        let mut user = user(port).await;
        let (work, _) = client.serve().await;
        let layers = Layers {
            encryption: use_encryption.then(|| key::derive(TOKEN.as_bytes())),
            compression: use_compression,
            limiter: None,
        };
        let mut work: Stream = layers.apply(work);
        say(&mut user, "question").await;
        hear(&mut work, "question").await;
        say(&mut work, "answer").await;
        hear(&mut user, "answer").await;
    }
}

#[tokio::test]
async fn a_limit_of_the_servers_passes_everything_in_the_end_and_passes_the_end_on() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let mut message = tcp("p", 0);
    message.bandwidth_limit = "8KB".to_owned();
    message.bandwidth_limit_mode = "server".to_owned();
    let port = client.start(message).await;
    let mut user = user(port).await;
    let (mut work, _) = client.serve().await;
    let text = "x".repeat(12 * 1024);
    say(&mut user, &text).await;
    hear(&mut work, &text).await;
    drop(user);
    assert!(closed(&mut work).await);
}
