//! Users of http proxies, as recorded from the original (`tests/data/http`).
//!
//! Each recorded setup runs, some of them several times, and plays its cases one after the other. Messages are judged by
//! what a reader of HTTP sees in them; `tests/data/http/README.md` says what is free.

mod http2;
mod message;
mod script;
mod wanted;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use frp_test_support::ports;
use frp_test_support::recorded::Recorded;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::message::{Side, messages};
use crate::script::Services;
use crate::wanted::Wanted;

/// The longest that a case may take; the slowest waits for a deadline of a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Setups of one kind at a time, each with its share of the cases.
const SHARES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn http() -> Result<()> {
    let corpus: Value = serde_json::from_str(&std::fs::read_to_string(corpus())?)?;
    let cases = corpus["cases"].as_array().context("cases")?;
    let only = std::env::var("FRP_CASE").ok();
    let mut running = JoinSet::new();
    for (name, setup) in corpus["setups"].as_object().context("setups")? {
        let cases: Vec<Value> = cases
            .iter()
            .filter(|case| case["setup"] == name.as_str())
            // Frames of HTTP/2 are judged in another test.
            .filter(|case| case["observed"]["user"][0]["frames"].is_null())
            .filter(|case| only.as_ref().is_none_or(|only| case["id"] == only.as_str()))
            .cloned()
            .collect();
        let share = cases.len().div_ceil(if cases.len() > 50 { SHARES } else { 1 }).max(1);
        for cases in cases.chunks(share) {
            let (name, setup, cases) = (name.clone(), setup.clone(), cases.to_vec());
            running
                .spawn(async move { replay(&setup, &cases).await.with_context(|| format!("setup {name}")) });
        }
    }
    let (mut played, mut failures) = (0, Vec::new());
    while let Some(share) = running.join_next().await {
        let (count, failed) = share??;
        played += count;
        failures.extend(failed);
    }
    ensure!(played > 440 || only.is_some(), "only {played} cases");
    failures.sort();
    ensure!(failures.is_empty(), "{} of {played} cases:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/http/cases.json")
}

/// Plays the cases one after the other. Where a connection to a service may come late, it must not meet the next case,
/// which gets programs of its own.
async fn replay(setup: &Value, cases: &[Value]) -> Result<(usize, Vec<String>)> {
    let mut programs = None;
    let mut failures = Vec::new();
    for case in cases {
        let id = case["id"].as_str().unwrap_or_default();
        let wanted = Wanted::of(id, case)?;
        let running = match programs.take() {
            Some(running) => running,
            None => Setup::start(setup).await?,
        };
        if let Err(error) = running.play(&wanted, case).await {
            failures.push(format!("{id}: {error:#}"));
        }
        programs = Some(running).filter(|_| !wanted.may_be_late());
    }
    Ok((cases.len(), failures))
}

/// The programs with the configuration of a setup, and the services behind them.
struct Setup {
    entrance: u16,
    services: Services,
    programs: Recorded,
}

impl Setup {
    async fn start(setup: &Value) -> Result<Self> {
        let services = Services::start().await?;
        let entrance = ports::free();
        let mut places = vec![("{http}".to_owned(), entrance.to_string())];
        places.extend(
            services.ports.iter().map(|(name, port)| (format!("{{backend:{name}}}"), port.to_string())),
        );
        let programs = Recorded::start(setup, &places).await?;
        Ok(Self { entrance, services, programs })
    }

    async fn play(&self, wanted: &Wanted, case: &Value) -> Result<()> {
        self.services.play(&case["backend"]).await?;
        // What is closed must be known to be before the next request may look for a connection.
        self.programs.settled().await?;
        let enough = |got: &[u8], visit: usize| {
            let got = messages(got, Side::Responses(wanted.methods(visit)), false);
            wanted.has_come(visit, &got)
        };
        let visits =
            script::user(self.entrance, case["user"].as_array().context("user")?, enough, PATIENCE).await?;
        for (number, visit) in visits.iter().enumerate() {
            let got = messages(&visit.got, Side::Responses(wanted.methods(number)), visit.ended);
            wanted.judge_user(number, &got, visit).with_context(|| format!("user {number}"))?;
        }
        wanted.judge_services(&self.services.served())
    }
}
