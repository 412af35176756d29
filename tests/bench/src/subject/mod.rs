//! Who is measured: our programs and every peer that is installed. One file per kind, and the list of them here.

mod bore;
mod frp;
mod haproxy;
mod nginx;
mod rathole;
mod running;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use frp_test_support::impairment::Impairment;
use tokio::time::Instant;

pub(crate) use self::running::{Ready, Running};
use crate::child::Launch;
use crate::mode::Mode;
use crate::ports;
use crate::step::Phase;

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Id {
    Ours,
    /// Our programs a second time: its ratios to the first are the noise of the run.
    Again,
    Original,
    Rathole,
    RatholeNoise,
    Bore,
    Haproxy,
    HaproxySplice,
    Nginx,
    /// No proxy at all: what load and service reach by themselves.
    Direct,
}

impl Id {
    /// Everyone, in the order of the report.
    pub(crate) const ALL: [Self; 10] = [
        Self::Ours,
        Self::Again,
        Self::Original,
        Self::Rathole,
        Self::RatholeNoise,
        Self::Bore,
        Self::Haproxy,
        Self::HaproxySplice,
        Self::Nginx,
        Self::Direct,
    ];

    /// The word that chooses it on the command line.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Again => "again",
            Self::Original => "original",
            Self::Rathole => "rathole",
            Self::RatholeNoise => "rathole-noise",
            Self::Bore => "bore",
            Self::Haproxy => "haproxy",
            Self::HaproxySplice => "haproxy-splice",
            Self::Nginx => "nginx",
            Self::Direct => "direct",
        }
    }

    /// What the report calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Again => "ours again",
            Self::RatholeNoise => "rathole noise",
            Self::Haproxy => "HAProxy pair",
            Self::HaproxySplice => "HAProxy pair, splice",
            Self::Nginx => "nginx pair",
            Self::Direct => "no proxy",
            other => other.slug(),
        }
    }

    /// Whether it is measured in `mode`: peers that know one transport stand beside the mode that gives the same
    /// protection.
    pub(crate) fn runs_in(self, mode: Mode) -> bool {
        match self {
            Self::Ours | Self::Again => true,
            // Two of the original do not come together over wss, for example.
            Self::Original => frp::original_goes(mode.way()),
            Self::RatholeNoise => mode == Mode::Default,
            Self::Rathole | Self::Bore | Self::Haproxy | Self::HaproxySplice | Self::Nginx | Self::Direct => {
                mode == Mode::Plain
            }
        }
    }
}

impl Id {
    /// Whether its tunnels can be `ready` in that way: virtual hosts are frp's, and datagrams are measured with it only.
    pub(crate) fn can(self, ready: Ready) -> bool {
        match ready {
            Ready::Answers | Ready::Listens => true,
            Ready::Returns => matches!(self, Self::Ours | Self::Again | Self::Original | Self::Direct),
            Ready::Serves | Ready::Handshakes => matches!(self, Self::Ours | Self::Again | Self::Original),
        }
    }
}

/// One of them, with its programs.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) id: Id,
    /// The version of its programs, for the report; empty without programs.
    pub(crate) version: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Frp(frp::Frp),
    Rathole(rathole::Rathole),
    Bore(bore::Bore),
    Haproxy(haproxy::Haproxy),
    Nginx(nginx::Nginx),
    Direct,
}

/// What to start, after the configuration has been written: the program that stands towards whoever connects later,
/// where it listens once it is up, and the other program.
struct Plan {
    first: Launch,
    listens: SocketAddr,
    second: Launch,
}

/// The public and the local port of one tunnel.
#[derive(Debug, Clone, Copy)]
struct Ends {
    public: u16,
    service: u16,
}

/// Our programs, and those of `wanted` that are installed; for the others, why they are left out.
///
/// # Errors
/// Our own programs cannot be built.
pub(crate) fn find(wanted: &dyn Fn(Id) -> bool) -> Result<(Vec<Subject>, Vec<String>)> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for id in Id::ALL.into_iter().filter(|&id| wanted(id)) {
        let kind = match id {
            Id::Ours | Id::Again => Ok(Kind::Frp(frp::Frp::ours()?)),
            Id::Original => frp::Frp::original().map(Kind::Frp),
            Id::Rathole => rathole::Rathole::find(false).map(Kind::Rathole),
            Id::RatholeNoise => rathole::Rathole::find(true).map(Kind::Rathole),
            Id::Bore => bore::Bore::find().map(Kind::Bore),
            Id::Haproxy => haproxy::Haproxy::find(false).map(Kind::Haproxy),
            Id::HaproxySplice => haproxy::Haproxy::find(true).map(Kind::Haproxy),
            Id::Nginx => nginx::Nginx::find().map(Kind::Nginx),
            Id::Direct => Ok(Kind::Direct),
        };
        match kind {
            Ok(kind) => found.push(Subject { id, version: kind.version(), kind }),
            Err(error) => absent.push(format!("{}: {error:#}", id.title())),
        }
    }
    Ok((found, absent))
}

impl Kind {
    fn version(&self) -> String {
        match self {
            Self::Frp(frp) => frp.version.clone(),
            Self::Rathole(rathole) => rathole.version(),
            Self::Bore(bore) => bore.version(),
            Self::Haproxy(haproxy) => haproxy.version(),
            Self::Nginx(nginx) => nginx.version(),
            Self::Direct => String::new(),
        }
    }
}

impl Subject {
    /// Starts its two programs as a tunnel to `service`, and waits until it is `ready`.
    ///
    /// # Errors
    /// It does not come up; the error holds what its programs printed.
    pub(crate) async fn start(&self, mode: Mode, service: u16, phase: &Phase, log: &str) -> Result<Running> {
        if matches!(self.kind, Kind::Direct) {
            return Ok(Running::without_programs(service));
        }
        let ready = phase.ready;
        let folder = tempfile::tempdir()?;
        let mut line = None;
        let ends = Ends { public: ports::free(), service };
        let plan = match &self.kind {
            Kind::Frp(frp) => {
                let port = ports::free();
                line = phase.line.map(|line| line.start(mode, port)).transpose()?;
                let doors = frp::Doors { server: port, client: line.as_ref().map_or(port, Impairment::port) };
                frp.plan(folder.path(), mode, ends, doors, ready, log)?
            }
            Kind::Rathole(rathole) => rathole.plan(folder.path(), ends)?,
            Kind::Bore(bore) => bore.plan(ends),
            Kind::Haproxy(haproxy) => haproxy.plan(folder.path(), ends)?,
            Kind::Nginx(nginx) => nginx.plan(folder.path(), ends)?,
            Kind::Direct => anyhow::bail!("nothing to start"),
        };
        let running = Running::start(&plan, ends.public, folder, ready, Instant::now()).await?;
        Ok(running.over(line))
    }
}

/// Writes a configuration file and gives its path as an argument.
fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path: PathBuf = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
