//! `kode doctor`: what the sandbox can enforce here, found out by trying it, and whether the store and the model can be
//! reached. Writes nothing but two short-lived files in the workspace.

use std::collections::BTreeSet;
use std::time::Duration;

use kode_core::sandbox::SandboxReport;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::args::Doctor;
use crate::commands;
use crate::compose;
use crate::config::{Settings, StoreUrl, glm_key, process_env};
use crate::failure::Failure;
use crate::out::Out;

/// Every level that a template can ask for, strongest first.
const LEVELS: [&str; 6] = ["strict", "metered", "isolated", "confined", "hygiene", "none"];
/// How long the model's host may take to answer a connection.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(doctor: &Doctor) -> Result<(), Failure> {
    let settings = Settings::resolve(None, &doctor.places, &process_env)?;
    let found = commands::block_on(look(&settings, &doctor.without))?;
    let mut out = Out::new();
    if doctor.json {
        out.line(found.json())?;
    } else {
        found.print(&mut out)?;
    }
    out.flush()?;
    found.verdict()
}

async fn look(settings: &Settings, without: &[String]) -> Result<Found, Failure> {
    let sandbox = compose::sandbox(settings, without)?;
    let mut levels = Vec::new();
    for level in LEVELS {
        levels.push((level, sandbox.prove(level).await.map_err(Failure::failed)?));
    }
    Ok(Found { levels, store: store(&settings.store).await, model: model(settings).await })
}

/// Whether the store can be used; one that is not there yet can be made.
async fn store(url: &StoreUrl) -> Result<String, String> {
    let there = compose::is_made(url).await.map_err(|failure| failure.why().to_owned())?;
    if !there {
        return Ok(format!("{url} is not there yet and will be made"));
    }
    match compose::store_to_read(url).await {
        Ok(_) => Ok(format!("{url} can be read")),
        Err(failure) => Err(failure.why().to_owned()),
    }
}

/// Whether there is a key, and whether the host behind the API's base takes a connection. Nothing is sent.
async fn model(settings: &Settings) -> Result<String, String> {
    let key = match glm_key(&process_env) {
        Ok(Some(_)) => "a key is set",
        Ok(None) => return Err("no model key: set ZHIPUAI_API_KEY, or use --demo".into()),
        Err(failure) => return Err(failure.why().to_owned()),
    };
    let Some((host, port)) = compose::model_host(settings) else {
        return Err("the model's base URL has no host".into());
    };
    let met = tokio::time::timeout(PATIENCE, TcpStream::connect((host.as_str(), port))).await;
    match met {
        Ok(Ok(_)) => Ok(format!("{key}, {host}:{port} takes connections")),
        Ok(Err(error)) => Err(format!("{key}, but {host}:{port} cannot be reached: {}", error.kind())),
        Err(_) => Err(format!("{key}, but {host}:{port} did not answer within {} s", PATIENCE.as_secs())),
    }
}

struct Found {
    levels: Vec<(&'static str, SandboxReport)>,
    store: Result<String, String>,
    model: Result<String, String>,
}

impl Found {
    fn json(&self) -> Value {
        let levels: serde_json::Map<String, Value> =
            self.levels.iter().map(|(level, report)| ((*level).to_owned(), json!(report))).collect();
        let told = |found: &Result<String, String>| match found {
            Ok(text) => json!({ "ok": true, "text": text }),
            Err(text) => json!({ "ok": false, "text": text }),
        };
        json!({ "sandbox": levels, "store": told(&self.store), "model": told(&self.model) })
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        out.line("sandbox: what a template gets that asks for a level")?;
        for (level, report) in &self.levels {
            out.line(format!("  {level:<9} {}", verdict(report)))?;
        }
        // `strict` is what templates get that say nothing.
        if let Some((_, report)) = self.levels.first() {
            out.line("\nlayers in force at strict")?;
            for (layer, on) in &report.layers {
                out.line(format!("  {} {layer}", mark(*on)))?;
            }
            out.line("\nattempts to break out of it, each made just now")?;
            for (probe, stopped) in &report.probes {
                out.line(format!("  {} {probe}", if *stopped { "stopped  " } else { "SUCCEEDED" }))?;
            }
            out.line("\nwhat it does not stop, or lacks")?;
            for gap in report.gaps.iter().collect::<BTreeSet<_>>() {
                out.line(format!("  - {gap}"))?;
            }
        }
        out.line(format!("\nstore: {}", either(&self.store)))?;
        out.line(format!("model: {}", either(&self.model)))
    }

    /// Fails where agents could not do their work here.
    fn verdict(&self) -> Result<(), Failure> {
        let strict = self.levels.first().is_some_and(|(_, report)| is_had(report));
        match (&self.store, strict) {
            (Err(why), _) => Err(Failure::failed(format!("the store cannot be used: {why}"))),
            (Ok(_), false) => Err(Failure::failed(
                "the level strict cannot be had here, so tools that run processes are refused (see above); deploy/ \
                 has recipes under which it can, or a template may ask for less with sandbox.level",
            )),
            (Ok(_), true) => Ok(()),
        }
    }
}

fn is_had(report: &SandboxReport) -> bool {
    report.level != "files"
}

fn verdict(report: &SandboxReport) -> String {
    let stopped = report.probes.values().filter(|stopped| **stopped).count();
    match is_had(report) {
        true => format!("{}: {stopped} of {} attempts stopped", report.level, report.probes.len()),
        false => format!("refused: {}", report.gaps.first().map_or("nothing is known", String::as_str)),
    }
}

fn mark(on: bool) -> &'static str {
    if on { "yes" } else { "NO " }
}

fn either(found: &Result<String, String>) -> &str {
    match found {
        Ok(text) | Err(text) => text,
    }
}
