//! Proxy names with and without the prefix of their user.
//!
//! A client with a `user` announces its proxy `name` as `user.name`; replies carry the same full name.
//! Upstream `pkg/naming/names.go`.

/// The name of a proxy on the wire: `user.name`, or `name` alone when `user` is empty.
///
/// ```
/// use frp_proto::names::add_user_prefix;
/// assert_eq!(add_user_prefix("alice", "ssh"), "alice.ssh");
/// assert_eq!(add_user_prefix("", "ssh"), "ssh");
/// ```
#[must_use]
pub fn add_user_prefix(user: &str, name: &str) -> String {
    if user.is_empty() { name.to_owned() } else { format!("{user}.{name}") }
}

/// The configured name behind a name of the wire: one leading `user.` is taken off, once.
///
/// ```
/// use frp_proto::names::strip_user_prefix;
/// assert_eq!(strip_user_prefix("alice", "alice.alice.ssh"), "alice.ssh");
/// assert_eq!(strip_user_prefix("alice", "bob.ssh"), "bob.ssh");
/// assert_eq!(strip_user_prefix("", "alice.ssh"), "alice.ssh");
/// ```
#[must_use]
pub fn strip_user_prefix<'a>(user: &str, name: &'a str) -> &'a str {
    if user.is_empty() {
        return name;
    }
    name.strip_prefix(user).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
}

/// The full name of the proxy that a visitor asks for: under `server_user` when that is set, else under the
/// visitor's own user.
///
/// ```
/// use frp_proto::names::visitor_target;
/// assert_eq!(visitor_target("me", "alice", "ssh"), "alice.ssh");
/// assert_eq!(visitor_target("me", "", "ssh"), "me.ssh");
/// assert_eq!(visitor_target("", "", "ssh"), "ssh");
/// ```
#[must_use]
pub fn visitor_target(local_user: &str, server_user: &str, server_name: &str) -> String {
    add_user_prefix(if server_user.is_empty() { local_user } else { server_user }, server_name)
}
