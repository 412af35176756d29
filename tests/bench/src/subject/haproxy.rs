//! Two HAProxy processes, one behind the other as frps and frpc are, with splice.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Ends, Plan, loopback, write};
use crate::child::Launch;
use crate::{ports, tools};

/// The program.
#[derive(Debug)]
pub(crate) struct Haproxy {
    program: PathBuf,
}

impl Haproxy {
    pub(crate) fn find() -> Result<Self> {
        Ok(Self { program: tools::find("haproxy").context("not installed")? })
    }

    pub(super) fn version(&self) -> String {
        tools::version(&self.program, &["-v"])
    }

    pub(super) fn plan(&self, folder: &Path, ends: Ends) -> Result<Plan> {
        let middle = ports::free();
        let inner = write(folder, "inner.cfg", &configuration(middle, ends.service))?;
        let outer = write(folder, "outer.cfg", &configuration(ends.public, middle))?;
        Ok(Plan {
            first: Launch::new(&self.program, &["-db", "-f", &inner]),
            listens: loopback(middle),
            second: Launch::new(&self.program, &["-db", "-f", &outer]),
        })
    }
}

fn configuration(from: u16, to: u16) -> String {
    format!(
        "global\n    maxconn 4000\n\
         defaults\n    mode tcp\n    option splice-auto\n    timeout connect 5s\n    timeout client 1m\n    \
         timeout server 1m\n\
         listen bench\n    bind 127.0.0.1:{from}\n    server next 127.0.0.1:{to}\n"
    )
}
