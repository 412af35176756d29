//! Runs every target for a while on a stable compiler, with seeded random mutations.
//!
//! `smoke [--seconds N] [--seed S] [--target NAME] [--write-seeds] [FILE...]`

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use frp_fuzz::Target;
use frp_fuzz::mutate::{Random, mutate};

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(200);

/// An input that the watchdog sees this often in a row (20 seconds) is a finding, too. Sightings, not a clock:
/// when the machine stalls, the watchdog stalls along.
const TOO_OFTEN: u32 = 100;

struct Arguments {
    seconds: f64,
    seed: u64,
    target: Option<String>,
    write_seeds: bool,
    files: Vec<PathBuf>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments { seconds: 5.0, seed: 1, target: None, write_seeds: false, files: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => found.seconds = value()?.parse().map_err(|error| format!("--seconds: {error}"))?,
            "--seed" => found.seed = value()?.parse().map_err(|error| format!("--seed: {error}"))?,
            "--target" => found.target = Some(value()?),
            "--write-seeds" => found.write_seeds = true,
            _ if word.starts_with('-') => return Err(format!("unknown option {word}")),
            _ => found.files.push(word.into()),
        }
    }
    if !found.seconds.is_finite() || found.seconds < 0.0 {
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
    for target in &targets {
        let outcome = if arguments.write_seeds {
            write_seeds(target)
        } else if arguments.files.is_empty() {
            attack(target, &arguments)
        } else {
            replay(target, &arguments.files)
        };
        match outcome {
            Ok(done) => println!("{:<24} ok   {done}", target.name),
            Err(error) => {
                failed += 1;
                println!("{:<24} FAIL {error}", target.name);
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The input at work and its number, for the watchdog.
type AtWork = Arc<Mutex<(u64, Option<Vec<u8>>)>>;

#[expect(clippy::disallowed_methods, reason = "no runtime whose clock could be asked")]
fn now() -> Instant {
    Instant::now()
}

fn attack(target: &Target, arguments: &Arguments) -> Result<String, String> {
    let seeds = (target.seeds)();
    if seeds.is_empty() {
        return Err("no seeds".to_owned());
    }
    let at_work = AtWork::default();
    watch(target.name, &at_work);
    let end = now() + Duration::from_secs_f64(arguments.seconds);
    let mut random = Random::new(arguments.seed ^ name_seed(target.name));
    let mut count = 0_u64;
    let mut run = |input: Vec<u8>| {
        count += 1;
        run_one(target, input, &at_work)
    };
    for seed in &seeds {
        run(seed.clone())?;
    }
    while now() < end {
        for _ in 0..64 {
            run(mutate(&seeds, &mut random))?;
        }
    }
    Ok(format!("{count} inputs, seed {}", arguments.seed))
}

fn run_one(target: &Target, input: Vec<u8>, at_work: &AtWork) -> Result<(), String> {
    let hold = |work| {
        let mut at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        *at_work = (at_work.0.wrapping_add(1), work);
    };
    hold(Some(input.clone()));
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
    hold(None);
    outcome.map_err(|_| format!("panicked; input kept as {}", keep(target.name, &input)))
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

fn replay(target: &Target, files: &[PathBuf]) -> Result<String, String> {
    let at_work = AtWork::default();
    watch(target.name, &at_work);
    for file in files {
        let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        run_one(target, input, &at_work)?;
    }
    Ok(format!("{} files", files.len()))
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

/// Keeps an input below `artifacts/`; gives the file's name.
fn keep(name: &str, input: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
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
