//! What the machine has, and what fits into it.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit};

/// Public ports are taken from here: below the usual range of ports for outgoing connections.
pub(crate) const PUBLIC_PORTS: RangeInclusive<u16> = 10_000..=31_999;
/// Files that a process has open besides what it is measured with: its own, connections kept ready, and users that are
/// being served.
const SPARE_FILES: usize = 400;
/// Memory that one of them takes at most, in all processes and the kernel together.
const KIB_EACH: u64 = 256;

/// The limits that decide how much of a scene fits.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Open files of one process.
    files: usize,
    /// The kernel's cap on a listener's backlog.
    backlog: usize,
    /// Ports for outgoing connections from one address.
    ports: RangeInclusive<u16>,
    cores: usize,
    /// What programs can have without anything being swapped out.
    available_mib: u64,
    kernel: String,
}

impl Machine {
    /// Reads the limits.
    ///
    /// # Errors
    /// This is no Linux.
    pub(crate) fn look() -> Result<Self> {
        let text = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
        let files = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
        let range = text("/proc/sys/net/ipv4/ip_local_port_range")?;
        let mut range = range.split_whitespace().filter_map(|port| port.parse().ok());
        let memory = text("/proc/meminfo")?;
        let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let available = available.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(Self {
            files: usize::try_from(files)?,
            backlog: text("/proc/sys/net/core/somaxconn")?.trim().parse()?,
            ports: range.next().context("no range of ports")?..=range.next().context("no range of ports")?,
            cores: std::thread::available_parallelism()?.get(),
            available_mib: available.context("no MemAvailable")? / 1024,
            kernel: text("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// `wanted`, or as many as fit when the busiest process needs `files_each` files for one of them. Says so when
    /// that is fewer.
    pub(crate) fn fit(&self, wanted: usize, files_each: usize, what: &str) -> usize {
        let by_files = self.files.saturating_sub(SPARE_FILES) / files_each.max(1);
        if wanted > by_files {
            crate::table::note(&format!(
                "{by_files} instead of {wanted} {what}: {files_each} files each, and a process may open {}",
                self.files
            ));
        }
        let wanted = wanted.min(by_files);
        let by_memory = usize::try_from(self.available_mib * 1024 / KIB_EACH).unwrap_or(usize::MAX);
        if wanted > by_memory {
            crate::table::note(&format!("{by_memory} instead of {wanted} {what}: {KIB_EACH} KiB for each"));
        }
        wanted.min(by_memory).max(1)
    }

    /// As [`Self::fit`], where each of them is also a connection between the same address and port.
    pub(crate) fn fit_ports(&self, wanted: usize, files_each: usize, what: &str) -> usize {
        let ports = usize::from(self.ports.end().saturating_sub(*self.ports.start()));
        // Some are in use by others.
        let most = ports - ports / 10;
        if wanted > most {
            crate::table::note(&format!("{most} instead of {wanted} {what}: {ports} ports for connections"));
        }
        self.fit(wanted.min(most), files_each, what)
    }
}

/// An address to connect from: `count` of them in turns.
pub(crate) fn source(number: usize, count: usize) -> Ipv4Addr {
    let index = u8::try_from(number % count.clamp(1, 200)).unwrap_or_default();
    Ipv4Addr::new(127, 0, 2, 1 + index)
}

/// Public ports that nobody has: `count` of them, or as many as there are, which is said.
pub(crate) fn free_public_ports(count: usize) -> Vec<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = PUBLIC_PORTS.filter(free).take(count).collect();
    if ports.len() < count {
        crate::table::note(&format!("{} instead of {count} free ports in {PUBLIC_PORTS:?}", ports.len()));
    }
    ports
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Linux {}, {} cores, {} MiB free; files per process {}, somaxconn {}, ports for connections {}-{}",
            self.kernel,
            self.cores,
            self.available_mib,
            self.files,
            self.backlog,
            self.ports.start(),
            self.ports.end()
        )
    }
}
