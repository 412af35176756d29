//! The file target: opened at the first line, rotated at midnight, old files deleted (upstream: `fatedier/golib`
//! v0.8.1, `log/output_rotatefile.go`).

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Timelike, Utc};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The time in the name of a rotated file, local.
const BACKUP_TIME: &str = "%Y%m%d-%H%M%S";
/// The file name that stands for an empty one.
const DEFAULT_NAME: &str = "default.log";

/// Where the times of a call come from: an instant, and how this place shows instants.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) now: DateTime<Utc>,
    pub(crate) local: &'a dyn Fn(DateTime<Utc>) -> DateTime<FixedOffset>,
}

/// A log file with its rotated predecessors `<stem>.<YYYYMMDD-HHMMSS><extension>` beside it.
pub(crate) struct LogFile {
    path: PathBuf,
    max_days: i64,
    file: Option<File>,
    /// The next full hour (UTC) at which to look whether it is midnight here.
    next_check: DateTime<Utc>,
}

impl LogFile {
    pub(crate) fn new(path: &str, max_days: i64, now: DateTime<Utc>) -> Self {
        let path = PathBuf::from(if path.is_empty() { DEFAULT_NAME } else { path });
        Self { path, max_days, file: None, next_check: next_hour(now) }
    }

    /// How long to wait at most until the next call of [`LogFile::tick`].
    pub(crate) fn until_next_check(&self, now: DateTime<Utc>) -> TimeDelta {
        (self.next_check - now).max(TimeDelta::zero())
    }

    /// Rotates if local midnight has passed since the last call. As in the original, midnight is looked for at full
    /// hours of UTC: with an offset of 30 or 45 minutes the file changes at the first of them after midnight.
    pub(crate) fn tick(&mut self, at: At<'_>) {
        if at.now < self.next_check {
            return;
        }
        let mut midnight = false;
        let mut hour = self.next_check;
        // One day is enough to meet a midnight, if a machine slept for longer.
        for _ in 0..24 {
            if hour > at.now {
                break;
            }
            midnight |= (at.local)(hour).hour() == 0;
            hour += TimeDelta::hours(1);
        }
        self.next_check = next_hour(at.now);
        if midnight {
            // The original drops these errors too: there is no better place to tell of them.
            let _ = self.rotate(at);
        }
    }

    /// Writes whole lines.
    pub(crate) fn write(&mut self, text: &[u8], at: At<'_>) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = self.open_existing_or_new(at)?;
                self.file.insert(file)
            }
        };
        file.write_all(text)
    }

    fn rotate(&mut self, at: At<'_>) -> io::Result<()> {
        self.file = None;
        self.file = Some(self.open_new(at)?);
        self.delete_old(at)
    }

    fn open_existing_or_new(&self, at: At<'_>) -> io::Result<File> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_new(at),
            Err(error) => Err(error),
            Ok(_) => OpenOptions::new().append(true).open(&self.path).or_else(|_| self.open_new(at)),
        }
    }

    /// Moves an existing file out of the way and makes a new one with its mode (0600 if there was none).
    fn open_new(&self, at: At<'_>) -> io::Result<File> {
        if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            create_directories(directory)?;
        }
        let mode = match fs::metadata(&self.path) {
            Ok(metadata) => {
                fs::rename(&self.path, self.backup((at.local)(at.now)))?;
                mode_of(&metadata)
            }
            Err(_) => 0o600,
        };
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        set_mode(&mut options, mode);
        options.open(&self.path)
    }

    /// File name without extension and extension with its dot, split at the last dot.
    fn name_parts(&self) -> (String, String) {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match name.rfind('.') {
            Some(dot) => (name[..dot].to_owned(), name[dot..].to_owned()),
            None => (name, String::new()),
        }
    }

    fn backup(&self, at: DateTime<FixedOffset>) -> PathBuf {
        let (stem, extension) = self.name_parts();
        self.path.with_file_name(format!("{stem}.{}{extension}", at.format(BACKUP_TIME)))
    }

    fn delete_old(&self, at: At<'_>) -> io::Result<()> {
        let Some(kept) = TimeDelta::try_days(self.max_days).filter(|_| self.max_days > 0) else {
            return Ok(());
        };
        let Some(oldest) = at.now.checked_sub_signed(kept) else { return Ok(()) };
        // Names carry whole seconds; the original allows 5 ms for the time between renaming and looking.
        let oldest = (at.local)(oldest + TimeDelta::milliseconds(5)).naive_local();
        let (stem, extension) = self.name_parts();
        let directory = match self.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        for entry in fs::read_dir(directory)?.flatten() {
            let name = entry.file_name();
            let time = name
                .to_str()
                .and_then(|name| name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(&extension))
                .and_then(|time| NaiveDateTime::parse_from_str(time, BACKUP_TIME).ok());
            let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
            if is_file && time.is_some_and(|time| time < oldest) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

fn next_hour(now: DateTime<Utc>) -> DateTime<Utc> {
    let into = i64::from(now.minute()) * 60_000_000_000
        + i64::from(now.second()) * 1_000_000_000
        + i64::from(now.nanosecond());
    now - TimeDelta::nanoseconds(into) + TimeDelta::hours(1)
}

#[cfg(unix)]
fn create_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

#[cfg(not(unix))]
fn create_directories(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode_of(_metadata: &fs::Metadata) -> u32 {
    0o600
}

#[cfg(unix)]
fn set_mode(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn set_mode(_options: &mut OpenOptions, _mode: u32) {}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        directory: tempfile::TempDir,
        file: LogFile,
    }

    fn zone(local: &str) -> FixedOffset {
        *DateTime::parse_from_rfc3339(local).unwrap().offset()
    }

    fn utc(local: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(local).unwrap().to_utc()
    }

    impl Fixture {
        fn new(name: &str, max_days: i64, start: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(name);
            Self { file: LogFile::new(path.to_str().unwrap(), max_days, utc(start)), directory }
        }

        fn tick(&mut self, at: &str) {
            let zone = zone(at);
            self.file.tick(At { now: utc(at), local: &|at| at.with_timezone(&zone) });
        }

        fn write(&mut self, at: &str, text: &str) -> io::Result<()> {
            let zone = zone(at);
            self.file.write(text.as_bytes(), At { now: utc(at), local: &|at| at.with_timezone(&zone) })
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(self.directory.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.directory.path().join(name)).unwrap()
        }

        fn create(&self, name: &str) {
            fs::write(self.directory.path().join(name), "old\n").unwrap();
        }
    }

    #[test]
    fn the_file_is_made_at_the_first_line_and_appended_to() {
        let at = "2026-11-22T09:30:00+00:00";
        let mut fixture = Fixture::new("frps.log", 3, at);
        assert!(fixture.names().is_empty());
        fixture.write(at, "one\n").unwrap();
        fixture.write(at, "two\n").unwrap();
        fixture.file = LogFile::new(fixture.file.path.clone().to_str().unwrap(), 3, utc(at));
        fixture.write(at, "three\n").unwrap();
        assert_eq!(fixture.names(), ["frps.log"]);
        assert_eq!(fixture.read("frps.log"), "one\ntwo\nthree\n");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private_and_directories_are_made() {
        use std::os::unix::fs::PermissionsExt;
        let at = "2026-11-22T09:30:00+00:00";
        let mut fixture = Fixture::new("logs/sub/frps.log", 3, at);
        fixture.write(at, "one\n").unwrap();
        let mode = |name: &str| {
            fs::metadata(fixture.directory.path().join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("logs/sub/frps.log"), 0o600);
        // Less what the umask of whoever runs the tests takes away.
        assert_eq!(mode("logs") & !0o755, 0);
        assert_eq!(mode("logs") & 0o700, 0o700);
    }

    #[cfg(unix)]
    #[test]
    fn a_rotated_file_hands_its_mode_on() {
        use std::os::unix::fs::PermissionsExt;
        let mut fixture = Fixture::new("frps.log", 3, "2026-11-22T23:30:00+00:00");
        fixture.create("frps.log");
        let path = fixture.directory.path().join("frps.log");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        fixture.tick("2026-11-23T00:00:00+00:00");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn it_rotates_once_at_local_midnight() {
        let mut fixture = Fixture::new("frps.log", 3, "2026-03-14T22:10:00+02:00");
        fixture.write("2026-03-14T22:10:00+02:00", "saturday\n").unwrap();
        fixture.tick("2026-03-14T23:59:59.999+02:00");
        assert_eq!(fixture.names(), ["frps.log"]);
        fixture.tick("2026-03-15T00:00:00+02:00");
        fixture.write("2026-03-15T00:00:01+02:00", "sunday\n").unwrap();
        fixture.tick("2026-03-15T00:30:00+02:00");
        fixture.tick("2026-03-15T01:00:00+02:00");
        assert_eq!(fixture.names(), ["frps.20260315-000000.log", "frps.log"]);
        assert_eq!(fixture.read("frps.20260315-000000.log"), "saturday\n");
        assert_eq!(fixture.read("frps.log"), "sunday\n");
    }

    #[test]
    fn a_zone_with_half_an_hour_rotates_at_the_full_hour_of_utc() {
        let mut fixture = Fixture::new("frps.log", 3, "2026-03-14T23:00:00+05:30");
        fixture.write("2026-03-14T23:00:00+05:30", "saturday\n").unwrap();
        fixture.tick("2026-03-15T00:29:59+05:30");
        assert_eq!(fixture.names(), ["frps.log"]);
        fixture.tick("2026-03-15T00:30:00+05:30");
        assert_eq!(fixture.names(), ["frps.20260315-003000.log", "frps.log"]);
    }

    #[test]
    fn a_machine_that_slept_over_midnight_rotates_when_it_wakes() {
        let mut fixture = Fixture::new("frps.log", 3, "2026-03-14T20:00:00+00:00");
        fixture.write("2026-03-14T20:00:00+00:00", "saturday\n").unwrap();
        fixture.tick("2026-03-20T09:13:00+00:00");
        assert_eq!(fixture.names(), ["frps.20260320-091300.log", "frps.log"]);
    }

    #[test]
    fn old_files_of_the_same_pattern_are_deleted() {
        let mut fixture = Fixture::new("frps.log", 3, "2026-03-14T23:30:00+01:00");
        let kept = [
            "frps.20260312-000001.log",
            "frps.20260314-000000.log",
            // Not the pattern.
            "frps.2026-03-01.log",
            "frps.20260101-000000.log.gz",
            "other.20260101-000000.log",
            "frps20260101-000000.log",
        ];
        for name in
            kept.into_iter().chain(["frps.20260312-000000.log", "frps.20250101-120000.log", "frps.log"])
        {
            fixture.create(name);
        }
        fs::create_dir(fixture.directory.path().join("frps.20240101-000000.log")).unwrap();
        fixture.tick("2026-03-15T00:00:00+01:00");
        let mut expected = kept.map(str::to_owned).to_vec();
        // A directory is left alone; the last is the one just rotated.
        expected
            .extend(["frps.log", "frps.20240101-000000.log", "frps.20260315-000000.log"].map(str::to_owned));
        expected.sort();
        assert_eq!(fixture.names(), expected);
    }

    #[test]
    fn without_days_nothing_is_deleted() {
        for max_days in [0, -1, i64::MIN, i64::MAX] {
            let mut fixture = Fixture::new("frps.log", max_days, "2026-03-14T23:30:00+00:00");
            fixture.create("frps.19990101-000000.log");
            fixture.create("frps.log");
            fixture.tick("2026-03-15T00:00:00+00:00");
            assert_eq!(fixture.names(), ["frps.19990101-000000.log", "frps.20260315-000000.log", "frps.log"]);
        }
    }

    #[test]
    fn names_without_extension_work_too() {
        let mut fixture = Fixture::new("log", 1, "2026-03-14T23:30:00+00:00");
        fixture.create("log");
        fixture.create("log.20260101-000000");
        fixture.tick("2026-03-15T00:00:00+00:00");
        assert_eq!(fixture.names(), ["log", "log.20260315-000000"]);
    }

    #[test]
    fn a_path_that_cannot_be_is_an_error_each_time() {
        let at = "2026-03-14T23:30:00+00:00";
        let mut fixture = Fixture::new("file/frps.log", 1, at);
        fixture.create("file");
        fixture.write(at, "one\n").unwrap_err();
        fs::remove_file(fixture.directory.path().join("file")).unwrap();
        // It is tried anew with every line.
        fixture.write(at, "two\n").unwrap();
        assert_eq!(fixture.read("file/frps.log"), "two\n");
    }
}
