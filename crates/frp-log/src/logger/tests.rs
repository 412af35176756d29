use super::*;
use crate::clock::testing::ManualClock;
use crate::options::Level;
use chrono::TimeDelta;
use std::io::{PipeWriter, Read};
use tracing::{debug, error, info, info_span, trace, warn};

/// Longer than any of these tests should ever take.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);

impl Write for Console {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Console {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    console: Console,
    logger: Logger,
    _default: tracing::subscriber::DefaultGuard,
}

impl Fixture {
    fn new(options: &LogOptions) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-22T09:30:00.123+01:00"));
        let console = Console::default();
        let logger = Logger::start(clock.clone(), Box::new(console.clone())).unwrap();
        let default = tracing::subscriber::set_default(logger.subscriber());
        logger.apply(options);
        Self { clock, console, logger, _default: default }
    }

    fn plain(level: Level) -> Self {
        Self::new(&LogOptions { level, disable_print_color: true, ..LogOptions::default() })
    }

    /// All that was written so far.
    fn text(&self) -> String {
        assert!(self.logger.flush(PATIENCE));
        self.console.text()
    }

    /// The lines without time and caller: level letter and the rest.
    fn lines(&self) -> Vec<String> {
        self.text().lines().map(without_time_and_caller).collect()
    }
}

fn without_time_and_caller(line: &str) -> String {
    let (time, rest) = line.split_at(24);
    assert_eq!(time, "2026-11-22 09:30:00.123 ");
    let (level, rest) = rest.split_at(3);
    let rest = rest.strip_prefix(" [logger/tests.rs:").unwrap();
    let (line, rest) = rest.split_once("] ").unwrap();
    assert!(line.parse::<u32>().is_ok());
    format!("{level} {rest}")
}

#[test]
fn a_line_has_time_level_caller_and_message() {
    let fixture = Fixture::plain(Level::Trace);
    trace!("one");
    debug!("two");
    info!("frps tcp listen on {}", "127.0.0.1:7000");
    warn!("four");
    error!("five");
    assert_eq!(
        fixture.lines(),
        ["[T] one", "[D] two", "[I] frps tcp listen on 127.0.0.1:7000", "[W] four", "[E] five"]
    );
}

#[test]
fn colours_wrap_line_and_break_as_in_the_original() {
    let fixture = Fixture::new(&LogOptions { level: Level::Trace, ..LogOptions::default() });
    trace!("t");
    debug!("d");
    info!("i");
    warn!("w");
    error!("e");
    let mut expected = String::new();
    let text = fixture.text();
    let mut lines = text.split_inclusive('\n');
    // The reset follows the break, so it stands at the start of the next line.
    for (letter, colour, reset) in [
        ('T', "", ""),
        ('D', "\x1b[1;36m", ""),
        ('I', "\x1b[1;34m", "\x1b[0m"),
        ('W', "\x1b[1;33m", "\x1b[0m"),
        ('E', "\x1b[1;31m", "\x1b[0m"),
    ] {
        let start = format!("{reset}{colour}2026-11-22 09:30:00.123 [{letter}] [");
        let line = lines.next().unwrap();
        assert!(line.starts_with(&start), "{line:?}");
        assert!(line.ends_with(&format!("] {}\n", letter.to_ascii_lowercase())), "{line:?}");
        expected.push_str(line);
    }
    assert_eq!(lines.next(), Some("\x1b[0m"));
    assert_eq!(text, format!("{expected}\x1b[0m"));
}

#[test]
fn prefixes_come_from_spans_in_order_at_every_level() {
    let fixture = Fixture::plain(Level::Warn);
    let control = info_span!("control", run_id = "0123456789abcdef");
    control.in_scope(|| {
        warn!("heartbeat timeout");
        info_span!("work", connection = 7).in_scope(|| {
            info_span!("proxy", proxy = %"ssh").in_scope(|| {
                error!("a");
                info!("not at this level");
            });
        });
        info_span!("visitor", visitor = ?"v").in_scope(|| error!("b"));
    });
    error!(parent: &control, "c");
    error!("d");
    assert_eq!(
        fixture.lines(),
        [
            "[W] [0123456789abcdef] heartbeat timeout",
            "[E] [0123456789abcdef] [ssh] a",
            "[E] [0123456789abcdef] [\"v\"] b",
            "[E] [0123456789abcdef] c",
            "[E] d",
        ]
    );
}

#[test]
fn a_prefix_may_come_later_and_be_replaced() {
    let fixture = Fixture::plain(Level::Info);
    let span = info_span!("client", run_id = tracing::field::Empty);
    let _inside = span.enter();
    info!("try to connect to server...");
    span.record("run_id", "aaaa");
    info!("one");
    span.record("run_id", "bbbb");
    info!("two");
    assert_eq!(fixture.lines(), ["[I] try to connect to server...", "[I] [aaaa] one", "[I] [bbbb] two"]);
}

#[test]
fn a_peer_cannot_forge_a_line() {
    let fixture = Fixture::plain(Level::Info);
    info_span!("proxy", proxy = "a\nb")
        .in_scope(|| info!(port = 7, "hostname [{}]", "x\r\n2026 [I] \x1b[2J"));
    assert_eq!(fixture.lines(), ["[I] [a\\nb] hostname [x\\r\\n2026 [I] \\u{1b}[2J] port=7"]);
}

#[test]
fn other_crates_appear_from_warn_on() {
    let fixture = Fixture::plain(Level::Trace);
    info!(target: "rustls::client", "not wanted");
    warn!(target: "hickory_resolver", "wanted");
    fixture.logger.apply(&LogOptions {
        level: Level::Error,
        disable_print_color: true,
        ..LogOptions::default()
    });
    warn!(target: "hickory_resolver", "not any more");
    assert_eq!(fixture.lines(), ["[W] wanted"]);
}

#[test]
fn options_can_change_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/frpc.log");
    let fixture = Fixture::plain(Level::Info);
    info!("to the console");
    debug!("not at this level");
    fixture.logger.apply(&LogOptions {
        to: path.to_str().unwrap().to_owned(),
        level: Level::Debug,
        ..LogOptions::default()
    });
    debug!("to the file");
    fixture.logger.print("bare text\n");
    assert!(fixture.logger.flush(PATIENCE));
    fixture.logger.apply(&LogOptions { disable_print_color: true, ..LogOptions::default() });
    info!("to the console again");
    let text = fixture.text();
    let texts: Vec<_> = text.lines().map(|line| line.rsplit("] ").next().unwrap()).collect();
    assert_eq!(texts, ["to the console", "bare text", "to the console again"]);
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(file.lines().map(without_time_and_caller).collect::<Vec<_>>(), ["[D] to the file"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_silent() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let fixture = Fixture::new(&LogOptions {
        to: blocked.join("frps.log").to_str().unwrap().to_owned(),
        ..LogOptions::default()
    });
    info!("nowhere");
    assert_eq!(fixture.text(), "");
}

#[test]
fn warnings_of_one_callsite_are_limited_and_counted() {
    let fixture = Fixture::plain(Level::Info);
    let refuse = |number: u32| warn!("refused {number}");
    for number in 0..1000 {
        refuse(number);
    }
    warn!("another place");
    let lines = fixture.lines();
    assert_eq!(lines.len(), 202);
    assert_eq!(lines[199], "[W] refused 199");
    assert_eq!(lines[200], "[W] another place");
    assert_eq!(lines[201], "[W] suppressed 800 similar lines");

    // Twenty more pass after a second, and a count that was told is not told again.
    fixture.clock.advance(TimeDelta::seconds(1));
    for number in 0..30 {
        refuse(number);
    }
    fixture.clock.advance(TimeDelta::milliseconds(50));
    refuse(77);
    let text = fixture.text();
    let last: Vec<_> = text.lines().skip(202).map(|line| line.rsplit("] ").next().unwrap()).collect();
    assert_eq!(last.len(), 22);
    assert_eq!(last[19], "refused 19");
    assert_eq!(last[20], "suppressed 10 similar lines");
    assert_eq!(last[21], "refused 77");
}

#[test]
fn a_count_is_told_without_further_lines() {
    let fixture = Fixture::plain(Level::Info);
    for number in 0..201 {
        warn!("refused {number}");
    }
    // No flush: the writer wakes by itself.
    let deadline = std::time::SystemTime::now() + PATIENCE;
    while !fixture.console.text().contains("suppressed 1 similar lines") {
        assert!(std::time::SystemTime::now() < deadline);
        fixture.clock.advance(TimeDelta::seconds(2));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn lines_that_scripts_wait_for_are_never_left_out() {
    let fixture = Fixture::plain(Level::Info);
    for number in 0..10_000 {
        info!("[p{number}] start proxy success");
    }
    for number in 0..3000 {
        info!(target: crate::PEER, "from a peer {number}");
    }
    let lines = fixture.lines();
    assert_eq!(lines.iter().filter(|line| line.ends_with("start proxy success")).count(), 10_000);
    assert_eq!(lines.iter().filter(|line| line.contains("from a peer")).count(), 1000);
    assert!(lines.iter().any(|line| line == "[I] suppressed 2000 similar lines"));
}

fn stalled() -> (io::PipeReader, Logger, tracing::subscriber::DefaultGuard) {
    let (reader, writer): (_, PipeWriter) = io::pipe().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-22T09:30:00.123+01:00"));
    let logger = Logger::start(clock, Box::new(writer)).unwrap();
    let default = tracing::subscriber::set_default(logger.subscriber());
    logger.apply(&LogOptions { disable_print_color: true, ..LogOptions::default() });
    (reader, logger, default)
}

#[test]
fn a_stalled_stdout_blocks_nobody_and_what_was_dropped_is_counted() {
    let (mut reader, logger, default) = stalled();
    let text = "x".repeat(1000);
    // Far more than a pipe and the queue hold; were a caller to block, the test would hang here.
    for number in 0..20_000 {
        info!("{number} {text}");
    }
    assert!(!logger.flush(Duration::from_millis(20)), "nobody has read anything");
    logger.print("the end\n");

    drop(default);
    drop(logger);
    let mut all = String::new();
    reader.read_to_string(&mut all).unwrap();
    let dropped: usize = all
        .lines()
        .filter_map(|line| {
            line.split_once("] dropped ")?.1.strip_suffix(" log lines, the output does not keep up")
        })
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    let written = all.lines().filter(|line| line.ends_with(&text)).count();
    assert!(dropped > 10_000, "{dropped}");
    let printed = all.lines().filter(|line| *line == "the end").count();
    assert_eq!(written + dropped + printed, 20_001);
}

#[test]
fn a_closed_stdout_harms_nobody() {
    let (reader, logger, _default) = stalled();
    drop(reader);
    for number in 0..1000 {
        info!("{number}");
    }
    logger.print("text\n");
    assert!(logger.flush(PATIENCE));
}

#[test]
fn flushing_writes_everything_that_was_logged_before() {
    let fixture = Fixture::plain(Level::Info);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let dispatch = tracing::dispatcher::get_default(Clone::clone);
            scope.spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for number in 0..500 {
                        info!("{number}");
                    }
                });
            });
        }
    });
    assert_eq!(fixture.lines().len(), 2000);
}
