//! Virtual hosts: several proxies behind one port, told apart by the domain that a user asks for.
//!
//! - [`Router`] (`router`): which route a request takes, for http, https and tcpmux alike
//! - `domains`: what a proxy registers and what its client is told about it

pub(crate) mod domains;
mod router;

pub(crate) use self::router::{Conflict, Query, Registration, Route, Router};
