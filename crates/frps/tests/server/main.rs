//! The server against scripted clients over loopback.

mod support;

mod groups;
mod logins;
mod proxies;
mod relays;
mod strangers;
mod udp;
mod work_conns;
