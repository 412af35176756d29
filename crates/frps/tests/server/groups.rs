//! tcp groups.

use std::collections::HashMap;

use frp_proto::msg::NewProxy;

use crate::support::*;

fn member(name: &str, port: u16, key: &str) -> NewProxy {
    NewProxy { group: "g".to_owned(), group_key: key.into(), ..tcp(name, port) }
}

/// Which member serves the next user.
async fn next_member(client: &Client, port: u16) -> String {
    let _user = user(port).await;
    client.serve().await.1.proxy_name
}

#[tokio::test]
async fn users_go_to_members_in_strict_rotation() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(member("a", 0, "k")).await;
    assert_eq!(client.start(member("b", 0, "k")).await, port);
    assert_eq!(client.start(member("c", 0, "k")).await, port);
    let mut turns = String::new();
    for _ in 0..9 {
        turns += &next_member(&client, port).await;
    }
    let first_round = &turns[..3];
    let mut sorted: Vec<char> = first_round.chars().collect();
    sorted.sort_unstable();
    assert_eq!(sorted, ['a', 'b', 'c']);
    assert_eq!(turns, first_round.repeat(3));
}

#[tokio::test]
async fn members_of_two_clients_share_and_one_leaves() {
    let frps = Frps::start().await;
    let mut first = Client::login(&frps).await;
    let mut second = Client::login(&frps).await;
    let port = first.start(member("a", 0, "k")).await;
    second.start(member("b", 0, "k")).await;
    first.close_and_wait("a").await;
    let mut served = HashMap::<String, u32>::new();
    for _ in 0..3 {
        *served.entry(next_member(&second, port).await).or_default() += 1;
    }
    assert_eq!(served, HashMap::from([("b".to_owned(), 3)]));
    second.close_and_wait("b").await;
    assert!(refuses(port).await, "the last member takes the port along");
    second.start(tcp("b", port)).await;
}

#[tokio::test]
async fn terms_must_equal_the_first_members() {
    let frps = Frps::start().await;
    let mut client = Client::login(&frps).await;
    let port = client.start(member("a", 0, "k")).await;
    assert_eq!(client.refused(member("b", 0, "wrong")).await, "group auth failed");
    // The configured port counts, and it is looked at before the key.
    assert_eq!(client.refused(member("b", port, "k")).await, "group should have same remote port");
    assert_eq!(client.refused(member("b", port, "wrong")).await, "group should have same remote port");
    assert_eq!(client.refused(tcp("b", port)).await, "port already used");
    let other_group = NewProxy { group: "h".to_owned(), ..tcp("b", port) };
    assert_eq!(client.refused(other_group).await, "port already used");
    client.start(member("b", 0, "k")).await;
}
