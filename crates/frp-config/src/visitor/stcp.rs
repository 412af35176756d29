//! `stcp`: a local port that leads to an stcp proxy.

use super::VisitorBase;
use crate::table::table;

table! {
    /// An stcp visitor.
    pub struct StcpVisitor = "v1.STCPVisitorConfig" {
        .. {
            /// The keys of every visitor.
            base: VisitorBase,
        }
    }
}
