//! Visitor plugins (upstream `pkg/config/v1/visitor_plugin.go`).

use std::borrow::Cow;

use crate::decode::{envelope, tagged, untagged};
use crate::raw::Value;
use crate::table::{self, Decode, DecodeError, Walk, table};

table! {
    /// `virtual_net`: packets of the virtual network.
    pub struct VirtualNetVisitorPlugin = "v1.VirtualNetVisitorPluginOptions" {
        /// The address whose packets go to the proxy. Checked when the visitor starts.
        destination_ip: String = "destinationIP",
    }
}

/// A visitor plugin with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisitorPlugin {
    /// The virtual network.
    VirtualNet(VirtualNetVisitorPlugin),
}

impl VisitorPlugin {
    /// The name of its type.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::VirtualNet(_) => "virtual_net",
        }
    }

    /// Reads the options under a visitor's `plugin`.
    pub(crate) fn read(value: &Value, strict: bool) -> Result<Self, DecodeError> {
        let envelope = envelope(value)?;
        match envelope.kind.as_str() {
            "" => Err(DecodeError::Value("visitor plugin type is empty".to_owned())),
            "virtual_net" => {
                let mut options = VirtualNetVisitorPlugin::default();
                table::decode(&mut options, &untagged(value), Walk::new(strict)).map_err(|error| {
                    DecodeError::Value(format!("unmarshal VisitorPluginOptions error: {error}"))
                })?;
                Ok(Self::VirtualNet(options))
            }
            other => Err(DecodeError::Value(format!("unknown visitor plugin type: {other}"))),
        }
    }
}

impl Decode for Option<VisitorPlugin> {
    fn go_type() -> Cow<'static, str> {
        "v1.TypedVisitorPluginOptions".into()
    }

    fn decode(
        &mut self,
        value: &Value,
        _go_type: Option<&'static str>,
        walk: &mut Walk,
    ) -> Result<(), DecodeError> {
        *self = match value {
            Value::Null => None,
            value => Some(VisitorPlugin::read(value, false).map_err(|error| walk.locate(error))?),
        };
        Ok(())
    }

    fn tree(&self) -> Value {
        match self {
            None => Value::Null,
            Some(VisitorPlugin::VirtualNet(options)) => tagged("virtual_net", options.tree()),
        }
    }
}
