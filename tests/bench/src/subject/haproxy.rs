//! Two HAProxy processes, one behind the other as frps and frpc are: with `splice-auto`, which leaves it to HAProxy when
//! to splice and often means copies, and with splice for everything.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Ends, Plan, loopback, write};
use crate::child::Launch;
use crate::{ports, tools};

/// The program, and whether it splices everything.
#[derive(Debug)]
pub(crate) struct Haproxy {
    program: PathBuf,
    always: bool,
}

impl Haproxy {
    pub(crate) fn find(always: bool) -> Result<Self> {
        Ok(Self { program: tools::find("haproxy").context("not installed")?, always })
    }

    pub(super) fn version(&self) -> String {
        tools::version(&self.program, &["-v"])
    }

    pub(super) fn plan(&self, folder: &Path, ends: Ends) -> Result<Plan> {
        let middle = ports::free();
        let inner = write(folder, "inner.cfg", &self.configuration(middle, ends.service))?;
        let outer = write(folder, "outer.cfg", &self.configuration(ends.public, middle))?;
        Ok(Plan {
            first: Launch::new(&self.program, &["-db", "-f", &inner]),
            listens: loopback(middle),
            second: Launch::new(&self.program, &["-db", "-f", &outer]),
        })
    }

    fn configuration(&self, from: u16, to: u16) -> String {
        let splice = if self.always {
            "option splice-request\n    option splice-response"
        } else {
            "option splice-auto"
        };
        format!(
            "global\n    maxconn 4000\n\
             defaults\n    mode tcp\n    {splice}\n    timeout connect 5s\n    timeout client 1m\n    \
             timeout server 1m\n\
             listen bench\n    bind 127.0.0.1:{from}\n    server next 127.0.0.1:{to}\n"
        )
    }
}
