//! `sudp`: a local port that leads to a sudp proxy.

use super::VisitorBase;
use crate::table::table;

table! {
    /// A sudp visitor.
    pub struct SudpVisitor = "v1.SUDPVisitorConfig" {
        .. {
            /// The keys of every visitor.
            base: VisitorBase,
        }
    }
}
