//! Runs every target for a while on a stable compiler, with seeded random mutations.
//!
//! `smoke [--seconds N] [--seed S] [--target NAME] [--write-seeds] [FILE...]`
//!
//! Each target runs in a process of its own, so that an overflow of the stack or an allocation that is refused is a
//! finding like others. Such a process is run once more with the same seed; this time it keeps each input in a file
//! before it tries it.

#![forbid(unsafe_code)]

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cap::Cap;
use frp_fuzz::Target;
use frp_fuzz::mutate::{Random, mutate};

/// What a target may hold at any time in bytes, its seeds included. Beyond it an allocation fails, which ends the
/// process.
const MEMORY_LIMIT: usize = 1 << 30;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, MEMORY_LIMIT);

/// The stack that targets run on, in bytes: that of tokio's threads.
const STACK: usize = 2 << 20;

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(200);

/// An input that the watchdog sees this often in a row (10 seconds) is a finding, too. Sightings, not a clock:
/// when the machine stalls, the watchdog stalls along.
const TOO_OFTEN: u32 = 50;

/// How much longer than the first run the one may take that keeps its inputs.
const TRACING_COSTS: f64 = 20.0;

struct Arguments {
    seconds: f64,
    seed: u64,
    target: Option<String>,
    write_seeds: bool,
    /// This is the process of one target.
    inside: bool,
    /// Keep each input before it is tried.
    trace: bool,
    files: Vec<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        seconds: 5.0,
        seed: 1,
        target: None,
        write_seeds: false,
        inside: false,
        trace: false,
        files: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => found.seconds = value()?.parse().map_err(|error| format!("--seconds: {error}"))?,
            "--seed" => found.seed = value()?.parse().map_err(|error| format!("--seed: {error}"))?,
            "--target" => found.target = Some(value()?),
            "--write-seeds" => found.write_seeds = true,
            "--inside" => found.inside = true,
            "--trace" => found.trace = true,
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => found.files.push(word.into()),
        }
    }
    if !(0.0..1e6).contains(&found.seconds) {
        return Err("--seconds must be a number of seconds".to_owned());
    }
    Ok(found)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("smoke: {error}");
            return ExitCode::from(2);
        }
    };
    let mut targets = frp_fuzz::targets();
    if let Some(name) = &arguments.target {
        targets.retain(|target| target.name == name);
        if targets.is_empty() {
            eprintln!("smoke: no target {name}");
            return ExitCode::from(2);
        }
    }
    let mut failed = 0;
    for target in targets {
        let name = target.name;
        let outcome = if arguments.write_seeds {
            write_seeds(&target)
        } else if arguments.inside {
            inside(target, &arguments)
        } else {
            outside(&target, &arguments).map(|()| String::new())
        };
        match outcome {
            Ok(done) if done.is_empty() => {}
            Ok(done) => println!("{name:<24} ok   {done}"),
            Err(error) => {
                failed += 1;
                if !error.is_empty() {
                    println!("{name:<24} FAIL {error}");
                }
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one target in a process of its own, which says itself how it went unless it died. An empty error has been
/// printed already.
fn outside(target: &Target, arguments: &Arguments) -> Result<(), String> {
    let run = |seconds: f64, trace: bool| {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["--inside", "--target", target.name, "--seed", &arguments.seed.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        if trace {
            command.arg("--trace");
        }
        command.args(&arguments.files).status().map_err(|error| error.to_string())
    };
    let status = run(arguments.seconds, false)?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(String::new()),
        _ => {
            println!("{:<24} died ({status}); once more, to find the input", target.name);
            let again = run(arguments.seconds * TRACING_COSTS, true)?;
            if matches!(again.code(), Some(0 | 1)) {
                return Err(format!("died ({status}) and did not do so again, seed {}", arguments.seed));
            }
            let input = std::fs::read(trace_file(target.name)).map_err(|error| error.to_string())?;
            Err(format!("died ({status}); input kept as {}", keep(target.name, &input)))
        }
    }
}

/// Runs one target on a thread with a stack of the usual size.
fn inside(target: Target, arguments: &Arguments) -> Result<String, String> {
    let &Arguments { seconds, seed, trace, .. } = arguments;
    let files = arguments.files.clone();
    let name = target.name;
    let work = move || {
        let run = Run { at_work: AtWork::default(), trace, target };
        watch(run.target.name, &run.at_work);
        if files.is_empty() { attack(&run, seconds, seed) } else { replay(&run, &files) }
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work);
    let thread = thread.map_err(|error| error.to_string())?;
    thread.join().unwrap_or_else(|_| Err("the run itself panicked".to_owned()))
}

/// The input at work and its number, for the watchdog.
type AtWork = Arc<Mutex<(u64, Option<Vec<u8>>)>>;

struct Run {
    target: Target,
    at_work: AtWork,
    trace: bool,
}

#[expect(clippy::disallowed_methods, reason = "no runtime whose clock could be asked")]
fn now() -> Instant {
    Instant::now()
}

fn attack(run: &Run, seconds: f64, seed: u64) -> Result<String, String> {
    let Target { name, words, seeds, .. } = run.target;
    let seeds = seeds();
    if seeds.is_empty() {
        return Err("no seeds".to_owned());
    }
    let end = now() + Duration::from_secs_f64(seconds);
    let mut random = Random::new(seed ^ name_seed(name));
    let mut count = 0_u64;
    let mut slowest = Duration::ZERO;
    let mut last = now();
    let mut next = |input: Vec<u8>| {
        count += 1;
        run.one(input)?;
        let after = now();
        slowest = slowest.max(after - last);
        last = after;
        Ok::<bool, String>(after < end)
    };
    for input in &seeds {
        next(input.clone())?;
    }
    while next(mutate(&seeds, words, &mut random))? {}
    let peak = MEMORY.max_allocated() >> 20;
    Ok(format!("{count} inputs, slowest {} ms, peak {peak} MiB, seed {seed}", slowest.as_millis()))
}

fn replay(run: &Run, files: &[PathBuf]) -> Result<String, String> {
    for file in files {
        let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        run.one(input)?;
    }
    Ok(format!("{} files, peak {} MiB", files.len(), MEMORY.max_allocated() >> 20))
}

impl Run {
    fn one(&self, input: Vec<u8>) -> Result<(), String> {
        let Target { name, run, memory, .. } = self.target;
        if self.trace {
            let file = trace_file(name);
            let folder = file.parent().unwrap_or_else(|| Path::new("."));
            let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, &input));
            kept.map_err(|error| error.to_string())?;
        }
        let hold = |work| {
            let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
            *at_work = (at_work.0.wrapping_add(1), work);
        };
        hold(Some(input.clone()));
        let before = MEMORY.allocated();
        let known = MEMORY.max_allocated();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input)));
        let peak = MEMORY.max_allocated();
        hold(None);
        // A new peak is this input's.
        let took = if peak > known { peak.saturating_sub(before) } else { 0 };
        if outcome.is_err() {
            Err(format!("panicked; input kept as {}", keep(name, &input)))
        } else if took > memory {
            Err(format!("took {took} bytes of memory; input kept as {}", keep(name, &input)))
        } else {
            Ok(())
        }
    }
}

/// Ends the process when one input takes too long: nothing else can end a loop.
fn watch(name: &'static str, at_work: &AtWork) {
    let at_work = Arc::downgrade(at_work);
    let watchdog = move || {
        let (mut last, mut seen) = (0, 0);
        while let Some(at_work) = at_work.upgrade() {
            let at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner).clone();
            seen = if at_work.0 == last { seen + 1 } else { 0 };
            last = at_work.0;
            if let (TOO_OFTEN.., Some(input)) = (seen, at_work.1) {
                let file = keep(name, &input);
                println!("{name:<24} FAIL no end after {:?}; input kept as {file}", TICK * TOO_OFTEN);
                std::process::exit(1);
            }
            std::thread::park_timeout(TICK);
        }
    };
    let _ = std::thread::Builder::new().name("watchdog".to_owned()).spawn(watchdog);
}

fn write_seeds(target: &Target) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let seeds = (target.seeds)();
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for (index, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{index:03}")), seed).map_err(|error| error.to_string())?;
    }
    Ok(format!("{} seeds", seeds.len()))
}

fn artifacts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name)
}

/// The input that a traced run tries.
fn trace_file(name: &str) -> PathBuf {
    artifacts(name).join("last")
}

/// Keeps an input below `artifacts/`; gives the file's name.
fn keep(name: &str, input: &[u8]) -> String {
    let folder = artifacts(name);
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = folder.join(format!("smoke-{hash:016x}"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input));
    match kept {
        Ok(()) => file.display().to_string(),
        Err(error) => format!("(not kept: {error}) {input:02x?}"),
    }
}

/// Different targets get different inputs from one seed.
fn name_seed(name: &str) -> u64 {
    name.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
