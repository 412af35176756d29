//! rathole, over plain TCP or its Noise transport.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Ends, Plan, loopback, write};
use crate::child::Launch;
use crate::{ports, tools};

/// The program and, for the Noise transport, a key pair.
#[derive(Debug)]
pub(crate) struct Rathole {
    program: PathBuf,
    keys: Option<Keys>,
}

#[derive(Debug)]
struct Keys {
    private: String,
    public: String,
}

impl Rathole {
    pub(crate) fn find(noise: bool) -> Result<Self> {
        let program = tools::find("rathole").context("not installed")?;
        let keys = if noise {
            let printed = tools::says(&program, &["--genkey"]);
            Some(Keys::parse(&printed).context("this build has no Noise transport")?)
        } else {
            None
        };
        Ok(Self { program, keys })
    }

    pub(super) fn version(&self) -> String {
        tools::version(&self.program, &["--version"])
    }

    pub(super) fn plan(&self, folder: &Path, ends: Ends) -> Result<Plan> {
        let port = ports::free();
        let transport = |side: &str, key: &dyn Fn(&Keys) -> String| {
            self.keys.as_ref().map_or_else(String::new, |keys| {
                format!("[{side}.transport]\ntype = \"noise\"\n[{side}.transport.noise]\n{}\n", key(keys))
            })
        };
        let server = format!(
            "[server]\nbind_addr = \"127.0.0.1:{port}\"\ndefault_token = \"bench\"\n{}\
             [server.services.bench]\nbind_addr = \"127.0.0.1:{}\"\n",
            transport("server", &|keys| format!("local_private_key = \"{}\"", keys.private)),
            ends.public
        );
        let client = format!(
            "[client]\nremote_addr = \"127.0.0.1:{port}\"\ndefault_token = \"bench\"\n{}\
             [client.services.bench]\nlocal_addr = \"127.0.0.1:{}\"\n",
            transport("client", &|keys| format!("remote_public_key = \"{}\"", keys.public)),
            ends.service
        );
        Ok(Plan {
            first: Launch::new(&self.program, &["--server", &write(folder, "server.toml", &server)?]),
            listens: loopback(port),
            second: Launch::new(&self.program, &["--client", &write(folder, "client.toml", &client)?]),
        })
    }
}

impl Keys {
    /// From what `rathole --genkey` prints: each key on a line after its heading.
    fn parse(printed: &str) -> Option<Self> {
        let after = |heading: &str| {
            let mut lines = printed.lines().map(str::trim).skip_while(|line| *line != heading).skip(1);
            lines.next().filter(|key| !key.is_empty()).map(str::to_owned)
        };
        Some(Self { private: after("Private Key:")?, public: after("Public Key:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_they_are_printed() {
        let keys = Keys::parse("Private Key:\ncHJpdmF0ZQ==\n\nPublic Key:\ncHVibGlj\n").unwrap();
        assert_eq!((keys.private.as_str(), keys.public.as_str()), ("cHJpdmF0ZQ==", "cHVibGlj"));
        assert!(Keys::parse("error: unexpected argument '--genkey'").is_none());
    }
}
