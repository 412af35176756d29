//! Two nginx instances with the stream module, one behind the other as frps and frpc are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Ends, Plan, loopback, write};
use crate::child::Launch;
use crate::{ports, tools};

/// The program, and the stream module where it is a file of its own.
#[derive(Debug)]
pub(crate) struct Nginx {
    program: PathBuf,
    module: Option<PathBuf>,
}

impl Nginx {
    pub(crate) fn find() -> Result<Self> {
        let program = tools::find("nginx").context("not installed")?;
        let built = tools::says(&program, &["-V"]);
        let option = |name: &str| built.split_whitespace().find_map(|word| word.strip_prefix(name));
        let module = if built.split_whitespace().any(|word| word == "--with-stream") {
            None
        } else {
            ensure!(option("--with-stream=") == Some("dynamic"), "built without the stream module");
            let folder = option("--modules-path=").context("nginx -V names no --modules-path")?;
            let module = Path::new(folder).join("ngx_stream_module.so");
            ensure!(module.is_file(), "{} is not installed", module.display());
            Some(module)
        };
        Ok(Self { program, module })
    }

    pub(super) fn version(&self) -> String {
        tools::version(&self.program, &["-v"])
    }

    pub(super) fn plan(&self, folder: &Path, ends: Ends) -> Result<Plan> {
        let middle = ports::free();
        let inner = write(folder, "inner.conf", &self.configuration("inner", middle, ends.service))?;
        let outer = write(folder, "outer.conf", &self.configuration("outer", ends.public, middle))?;
        let folder = format!("{}/", folder.display());
        Ok(Plan {
            first: Launch::new(&self.program, &["-e", "stderr", "-p", &folder, "-c", &inner]),
            listens: loopback(middle),
            second: Launch::new(&self.program, &["-e", "stderr", "-p", &folder, "-c", &outer]),
        })
    }

    fn configuration(&self, name: &str, from: u16, to: u16) -> String {
        let load = self
            .module
            .as_ref()
            .map_or_else(String::new, |module| format!("load_module {};\n", module.display()));
        format!(
            "{load}daemon off;\nworker_processes auto;\npid {name}.pid;\nerror_log stderr error;\n\
             events {{ worker_connections 4096; }}\n\
             stream {{ server {{ listen 127.0.0.1:{from}; proxy_pass 127.0.0.1:{to}; }} }}\n"
        )
    }
}
