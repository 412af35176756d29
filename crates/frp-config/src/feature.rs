//! Feature gates (upstream `pkg/policy/featuregate`).

use std::collections::BTreeMap;

/// Features in the making that are switched on. By default none is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureGates(BTreeMap<String, bool>);

/// A feature that does not exist. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized feature gate: {0}")]
pub struct UnknownFeature(pub String);

impl FeatureGates {
    /// The virtual network.
    pub const VIRTUAL_NET: &'static str = "VirtualNet";

    /// Takes the gates of `featureGates`.
    ///
    /// # Errors
    /// The configuration names a feature that does not exist.
    pub fn new(gates: &BTreeMap<String, bool>) -> Result<Self, UnknownFeature> {
        match gates.keys().find(|name| *name != Self::VIRTUAL_NET) {
            Some(unknown) => Err(UnknownFeature(unknown.clone())),
            None => Ok(Self(gates.clone())),
        }
    }

    /// Whether the feature is on.
    #[must_use]
    pub fn is_enabled(&self, feature: &str) -> bool {
        self.0.get(feature).copied().unwrap_or_default()
    }
}
