//! Groups: several proxies behind one public port.

mod rotation;
mod tcp;

pub(crate) use self::tcp::{GroupError, Membership, TcpGroups, Terms};
