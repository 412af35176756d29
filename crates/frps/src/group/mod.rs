//! Groups: several proxies behind one public port. Those behind one domain are in [`crate::vhost`].

mod rotation;
mod tcp;

pub(crate) use self::rotation::Rotation;
pub(crate) use self::tcp::{GroupError, Membership, TcpGroups, Terms};
