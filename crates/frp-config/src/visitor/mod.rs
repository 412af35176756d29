//! Visitors: the users' end of stcp, sudp and xtcp proxies (upstream `pkg/config/v1/visitor.go`).

mod base;
mod plugin;
mod stcp;
mod sudp;
mod xtcp;

pub use base::{VisitorBase, VisitorTransport};
pub use plugin::{VirtualNetVisitorPlugin, VisitorPlugin};
pub use stcp::StcpVisitor;
pub use sudp::SudpVisitor;
pub use xtcp::XtcpVisitor;

use crate::check::CheckError;
use crate::decode::{tagged, untagged};
use crate::raw::Value;
use crate::table::{self, Decode, DecodeError, Walk};

/// The types of visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VisitorType {
    /// `stcp`
    Stcp,
    /// `sudp`
    Sudp,
    /// `xtcp`
    Xtcp,
}

impl VisitorType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Stcp, Self::Sudp, Self::Xtcp];

    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stcp => "stcp",
            Self::Sudp => "sudp",
            Self::Xtcp => "xtcp",
        }
    }

    /// The type of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for VisitorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A visitor type that does not exist. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown visitor type: {0}")]
pub struct UnknownVisitorType(pub String);

/// A visitor with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisitorConfig {
    /// Reaches an stcp proxy.
    Stcp(StcpVisitor),
    /// Reaches a sudp proxy.
    Sudp(SudpVisitor),
    /// Reaches an xtcp proxy.
    Xtcp(XtcpVisitor),
}

impl VisitorConfig {
    /// An empty visitor of this type.
    #[must_use]
    pub fn new(kind: VisitorType) -> Self {
        match kind {
            VisitorType::Stcp => Self::Stcp(StcpVisitor::default()),
            VisitorType::Sudp => Self::Sudp(SudpVisitor::default()),
            VisitorType::Xtcp => Self::Xtcp(XtcpVisitor::default()),
        }
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> VisitorType {
        match self {
            Self::Stcp(_) => VisitorType::Stcp,
            Self::Sudp(_) => VisitorType::Sudp,
            Self::Xtcp(_) => VisitorType::Xtcp,
        }
    }

    /// The keys of every visitor.
    #[must_use]
    pub const fn base(&self) -> &VisitorBase {
        match self {
            Self::Stcp(visitor) => &visitor.base,
            Self::Sudp(visitor) => &visitor.base,
            Self::Xtcp(visitor) => &visitor.base,
        }
    }

    /// The keys of every visitor.
    pub const fn base_mut(&mut self) -> &mut VisitorBase {
        match self {
            Self::Stcp(visitor) => &mut visitor.base,
            Self::Sudp(visitor) => &mut visitor.base,
            Self::Xtcp(visitor) => &mut visitor.base,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.base().name
    }

    /// Fills in the defaults of everything that is unset.
    pub fn complete(&mut self) {
        self.base_mut().complete();
        if let Self::Xtcp(visitor) = self {
            visitor.complete();
        }
    }

    /// Checks a completed visitor.
    ///
    /// # Errors
    /// The configuration is at fault; upstream's text, without `visitor <name>: ` before it.
    pub fn check(&self) -> Result<(), CheckError> {
        self.base().check()?;
        match self {
            Self::Xtcp(visitor) => visitor.check(),
            Self::Stcp(_) | Self::Sudp(_) => Ok(()),
        }
    }

    /// All keys with their values, under upstream's names.
    #[must_use]
    pub fn tree(&self) -> Value {
        let tree = match self {
            Self::Stcp(visitor) => visitor.tree(),
            Self::Sudp(visitor) => visitor.tree(),
            Self::Xtcp(visitor) => visitor.tree(),
        };
        tagged(self.kind().as_str(), tree)
    }

    pub(crate) fn decode(&mut self, value: &Value, walk: Walk) -> Result<(), DecodeError> {
        let value = untagged(value);
        match self {
            Self::Stcp(visitor) => table::decode(visitor, &value, walk),
            Self::Sudp(visitor) => table::decode(visitor, &value, walk),
            Self::Xtcp(visitor) => table::decode(visitor, &value, walk),
        }
    }
}
