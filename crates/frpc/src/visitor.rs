//! Visitors: local ports that lead to a service of another client. None of them is built yet; each shows that as its
//! start error, and the proxies run.

use frp_config::{VisitorConfig, unbuilt};
use tracing::{info, warn};

/// One configured visitor.
pub(crate) struct VisitorSpec {
    name: String,
    unbuilt: Option<String>,
}

impl VisitorSpec {
    pub(crate) fn new(config: &VisitorConfig) -> Self {
        Self {
            name: config.name().to_owned(),
            unbuilt: unbuilt::visitor(config).err().map(|reason| reason.to_string()),
        }
    }
}

/// Starts the visitors of a session.
pub(crate) fn start(visitors: &[VisitorSpec]) {
    if visitors.is_empty() {
        return;
    }
    for reason in visitors.iter().filter_map(|visitor| visitor.unbuilt.as_ref()) {
        warn!("start error: {reason}");
    }
    let mut names: Vec<_> = visitors.iter().map(|visitor| visitor.name.as_str()).collect();
    names.sort_unstable();
    info!("visitor added: [{}]", names.join(" "));
}
