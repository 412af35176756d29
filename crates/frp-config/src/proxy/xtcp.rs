//! `xtcp`: a TCP service for visitors who know a secret key and connect directly, past the server.

use frp_proto::msg::NewProxy;

use super::ProxyBase;
use crate::common::NatTraversalConfig;
use crate::table::table;
use crate::value::Secret;

table! {
    /// An xtcp proxy.
    pub struct XtcpProxy = "v1.XTCPProxyConfig" {
        .. {
            /// The keys of every proxy.
            base: ProxyBase,
        }
        /// What visitors must know.
        secret_key: Secret = "secretKey",
        /// Users whose visitors are let in: empty means the own user, `*` everyone.
        allow_users: Vec<String> = "allowUsers",
        /// How the direct connection is found. Not sent to the server.
        nat_traversal: Option<NatTraversalConfig> = "natTraversal",
    }
}

impl XtcpProxy {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        message.sk = self.secret_key.clone();
        message.allow_users.clone_from(&self.allow_users);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self {
            base: ProxyBase::from_message(message),
            secret_key: message.sk.clone(),
            allow_users: message.allow_users.clone(),
            nat_traversal: None,
        }
    }
}
