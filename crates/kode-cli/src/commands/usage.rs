//! `kode usage`: what keys have spent, as a running server's store counts it.

use serde::Deserialize;

use crate::args::{Target, Usage};
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access};
use crate::out::{Out, money};
use crate::safe;

#[derive(Deserialize)]
struct Spending {
    currency: Option<String>,
    days: Vec<Day>,
}

#[derive(Deserialize)]
struct Day {
    day: String,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    name: String,
    tokens: u64,
    cost_micros: u64,
}

pub(crate) fn run(usage: &Usage) -> Result<(), Failure> {
    let target = Target { server: Some(usage.server.clone()), ..Target::default() };
    let body = commands::block_on(async {
        let operator = operator::open(&target, Access::Read).await?;
        Ok(operator.request(http::Method::GET, "/api/usage", None).await?)
    })?;
    let mut out = Out::new();
    if usage.json {
        out.line(body)?;
    } else {
        out.table(&rows(&operator::read(&body)?))?;
    }
    out.flush()
}

fn rows(spending: &Spending) -> Vec<Vec<String>> {
    let currency = spending.currency.as_deref().map(safe::line);
    let row = |day: &Day, key: &Key| {
        let cost = currency.as_ref().map(|currency| format!("{} {currency}", money(key.cost_micros)));
        [safe::line(&day.day), safe::line(&key.name), key.tokens.to_string(), cost.unwrap_or_default()]
    };
    let spent = spending.days.iter().flat_map(|day| day.keys.iter().map(move |key| row(day, key)));
    [["DAY", "KEY", "TOKENS", "COST"].map(str::to_owned)].into_iter().chain(spent).map(Vec::from).collect()
}
