//! The programs of a recorded setup: configurations with places for what differs from run to run.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::programs::{Maker, Role};
use crate::service::Service;
use crate::{ports, traffic};

/// An frps and an frpc, started and ready.
pub struct Recorded {
    _frps: Process,
    _frpc: Process,
    _folder: TempDir,
    /// Of a tcp proxy beside the recorded ones, and what serves it.
    barrier: u16,
    _echo: Service,
}

impl Recorded {
    /// Starts the programs of `setup` with each place replaced by its value. The ports `{bind}` and `{dead}` and the
    /// folder `{tmp}` need not be given.
    ///
    /// # Errors
    /// A configuration is missing, or a program does not become ready.
    pub async fn start(setup: &Value, places: &[(String, String)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = [
            ("{bind}".to_owned(), ports::free().to_string()),
            ("{dead}".to_owned(), ports::free().to_string()),
            ("{tmp}".to_owned(), folder.path().display().to_string()),
        ];
        let fill = |program: &str| -> Result<String> {
            let text = setup[program].as_str().context("a configuration")?.to_owned();
            Ok(places
                .iter()
                .chain(&own)
                .fold(text, |text, (place, value)| text.replace(place.as_str(), value)))
        };
        for (name, text) in setup["files"].as_object().into_iter().flatten() {
            fs::write(folder.path().join(name), text.as_str().unwrap_or_default())?;
        }
        let (echo, barrier) = (Service::echo().await?, ports::free());
        let client = format!(
            "{}\n[[proxies]]\nname = \"barrier\"\ntype = \"tcp\"\nlocalPort = {}\nremotePort = {barrier}\n",
            fill("frpc")?,
            echo.port()
        );
        fs::write(folder.path().join("frps.toml"), fill("frps")?)?;
        fs::write(folder.path().join("frpc.toml"), &client)?;
        let start = |role: Role| {
            let file = format!("{}.toml", role.name());
            Process::start(&Maker::from_env(role).executable(role)?, &["-c", &file], folder.path())
        };
        let mut frps = start(Role::Frps)?;
        frps.line("frps started successfully").await?;
        let mut frpc = start(Role::Frpc)?;
        frpc.lines("start proxy success", client.matches("[[proxies]]").count()).await?;
        Ok(Self { _frps: frps, _frpc: frpc, _folder: folder, barrier, _echo: echo })
    }

    /// Waits until the server has got what the client had sent it before: bytes that went the same way, behind it, have
    /// come out.
    ///
    /// # Errors
    /// They do not come.
    pub async fn settled(&self) -> Result<()> {
        traffic::echo(self.barrier, b"all before this").await.context("the barrier")
    }
}
