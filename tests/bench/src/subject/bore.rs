//! bore. Its control port is fixed, so that only one bore server can run on an address.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Ends, Plan, loopback};
use crate::child::Launch;
use crate::tools;

/// The port of bore's control connections.
const CONTROL_PORT: u16 = 7835;

/// The program.
#[derive(Debug)]
pub(crate) struct Bore {
    program: PathBuf,
}

impl Bore {
    pub(crate) fn find() -> Result<Self> {
        Ok(Self { program: tools::find("bore").context("not installed")? })
    }

    pub(super) fn version(&self) -> String {
        tools::version(&self.program, &["--version"])
    }

    pub(super) fn plan(&self, ends: Ends) -> Plan {
        let (service, public) = (ends.service.to_string(), ends.public.to_string());
        let local = ["local", &service, "--local-host", "127.0.0.1", "--to", "127.0.0.1", "--port", &public];
        Plan {
            first: Launch::new(&self.program, &["server", "--bind-addr", "127.0.0.1"]),
            listens: loopback(CONTROL_PORT),
            second: Launch::new(&self.program, &local),
        }
    }
}
