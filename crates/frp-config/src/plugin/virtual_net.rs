//! `virtual_net`: packets of the virtual network.

use crate::table::table;

table! {
    /// Packets of the virtual network; no options.
    pub struct VirtualNetPlugin = "v1.VirtualNetPluginOptions" {
    }
}
