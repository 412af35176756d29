//! The limit of open files: raised for us, given back to the programs we execute.
//!
//! Most systems start programs with a soft limit of 1,024 descriptors, kept that low for programs that use
//! `select(2)`, and a far higher hard one. Each tunnelled connection takes one or two. Go's runtime raises the
//! soft limit at start and restores it in children (Go `syscall/rlimit.go`); so do we.
//!
//! The one unsafe block of this crate is here.

use std::io;
use std::process::Command;

#[cfg(unix)]
use {
    rustix::process::{Resource, Rlimit, getrlimit, setrlimit},
    std::sync::OnceLock,
};

/// The limits as we were started with, if [`raise`] changed them.
#[cfg(unix)]
static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();

/// What [`raise`] found and did. `None` stands for "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The soft limit at start.
    pub before: Option<u64>,
    /// The soft limit now, which is the hard limit.
    pub after: Option<u64>,
}

/// Raises the soft limit of open files to the hard one, once, at program start.
///
/// # Errors
/// When the system refuses; the program runs on with what it has.
#[cfg(unix)]
pub fn raise() -> io::Result<Limit> {
    let found = getrlimit(Resource::Nofile);
    let unchanged = Limit { before: found.current, after: found.current };
    if found.current == found.maximum {
        return Ok(unchanged);
    }
    setrlimit(Resource::Nofile, Rlimit { current: found.maximum, maximum: found.maximum })?;
    let original = ORIGINAL.get_or_init(|| found);
    Ok(Limit { before: original.current, after: found.maximum })
}

/// Does nothing: there is no such limit.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn raise() -> io::Result<Limit> {
    Ok(Limit { before: None, after: None })
}

/// Gives the child of `command` the soft limit that we were started with, because programs that use
/// `select(2)` write out of bounds with descriptors above 1,023. No effect if [`raise`] changed nothing.
/// (For tokio's command, pass `as_std_mut()`.)
#[cfg(unix)]
#[expect(unsafe_code, reason = "the only way to act in the child before the program starts")]
pub fn restore_in_child(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    let Some(original) = ORIGINAL.get().copied() else { return };
    let restore = move || setrlimit(Resource::Nofile, original).map_err(io::Error::from);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is sound, since another
    // thread may have held any lock at the fork. It copies an integer pair and makes the one system call
    // `prlimit`; it does not allocate, lock or panic, and an errno becomes an `io::Error` without allocating.
    unsafe {
        command.pre_exec(restore);
    }
}

/// Does nothing: [`raise`] changed nothing.
#[cfg(not(unix))]
pub fn restore_in_child(_command: &mut Command) {}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    /// Set for the process in which [`child`] does its work, because limits are the process's.
    const CHILD: &str = "FRP_NET_TEST_CHILD";

    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let hard = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit { current: Some(64), maximum: hard };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise().unwrap(), Limit { before: Some(64), after: hard });
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
        assert_eq!(raise().unwrap(), Limit { before: hard, after: hard }, "a second call changes nothing");

        let ulimit = |restore: bool| {
            let mut command = Command::new("sh");
            command.args(["-c", "ulimit -n"]);
            if restore {
                restore_in_child(&mut command);
            }
            String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
        };
        assert_eq!(ulimit(true), "64");
        assert_ne!(ulimit(false), "64");
        assert_eq!(getrlimit(Resource::Nofile).current, hard, "ours stays raised");
    }

    #[test]
    fn children_get_the_original_limit_back() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "open_files::tests::child", "--quiet"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
    }
}
