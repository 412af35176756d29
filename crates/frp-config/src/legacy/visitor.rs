//! The section of a visitor: one with `role = visitor`.

use super::reader::Reader;
use crate::raw::ini::{Ini, Section};
use crate::visitor::{VisitorConfig, VisitorType};

/// Reads a visitor. Its name is that of the section.
///
/// # Errors
/// A missing or unknown type.
pub(super) fn read(ini: &Ini, section: &Section) -> Result<VisitorConfig, String> {
    let reader = Reader::new(ini, section);
    let type_name = reader.get("type");
    if type_name.is_empty() {
        return Err("type shouldn't be empty".to_owned());
    }
    let kind = VisitorType::from_name(&type_name).ok_or_else(|| format!("type [{type_name}] error"))?;
    let mut config = VisitorConfig::new(kind);

    let base = config.base_mut();
    section.name().clone_into(&mut base.name);
    reader.flag("use_encryption", &mut base.transport.use_encryption);
    reader.flag("use_compression", &mut base.transport.use_compression);
    reader.secret("sk", &mut base.secret_key);
    reader.text("server_user", &mut base.server_user);
    reader.text("server_name", &mut base.server_name);
    reader.text("bind_addr", &mut base.bind_addr);
    reader.number("bind_port", &mut base.bind_port);

    if let VisitorConfig::Xtcp(visitor) = &mut config {
        reader.text("protocol", &mut visitor.protocol);
        reader.flag("keep_tunnel_open", &mut visitor.keep_tunnel_open);
        reader.text("fallback_to", &mut visitor.fallback_to);
        for (key, target) in [
            ("max_retries_an_hour", &mut visitor.max_retries_an_hour),
            ("min_retry_interval", &mut visitor.min_retry_interval),
            ("fallback_timeout_ms", &mut visitor.fallback_timeout_ms),
        ] {
            reader.number(key, target);
            // Other than in the current formats, a negative number means the default too.
            *target = (*target).max(0);
        }
    }
    Ok(config)
}
