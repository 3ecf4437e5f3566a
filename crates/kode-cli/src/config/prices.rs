//! `[prices."MODEL"]` of `kode.toml`: what a million tokens cost, as people write it, into whole millionths.

use std::collections::BTreeMap;

use kode_core::price::{Price, Prices};
use serde::Deserialize;

use crate::failure::Failure;

/// The keys of one model's table.
pub(super) const KEYS: [&str; 4] = ["input", "cached", "output", "currency"];
/// The highest price that is believed, for a million tokens.
const MOST: f64 = 1_000_000_000.0;

/// One model's table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Priced {
    input: f64,
    /// What `input` is, if absent.
    cached: Option<f64>,
    output: f64,
    currency: String,
}

/// All tables. Sums would mean nothing over several currencies.
pub(super) fn prices(tables: &BTreeMap<String, Priced>) -> Result<Prices, Failure> {
    let Some(first) = tables.values().next() else { return Ok(Prices::default()) };
    let mut models = Vec::new();
    for (model, table) in tables {
        let good = table.currency.len() == 3 && table.currency.bytes().all(|b| b.is_ascii_uppercase());
        if !good {
            return Err(wrong(model, "currency is three capital letters, such as \"CNY\""));
        }
        if table.currency != first.currency {
            return Err(wrong(model, "all prices are in one currency: costs are added up"));
        }
        let micros = |name: &str, price: f64| {
            micros(price).ok_or_else(|| {
                wrong(model, &format!("{name} is the price of a million tokens, from 0 to {MOST:.0}"))
            })
        };
        models.push((
            model.clone(),
            Price {
                input: micros("input", table.input)?,
                cached: micros("cached", table.cached.unwrap_or(table.input))?,
                output: micros("output", table.output)?,
            },
        ));
    }
    Ok(Prices::new(first.currency.clone(), models))
}

fn wrong(model: &str, why: &str) -> Failure {
    Failure::usage(format!("the configuration is wrong: prices.{model:?}: {why}"))
}

/// To the nearest millionth: here alone is a price a broken number.
fn micros(price: f64) -> Option<u64> {
    let told = (0.0..=MOST).contains(&price);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 10^15")]
    told.then(|| (price * 1_000_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use kode_core::message::Usage;

    use super::*;

    fn read(text: &str) -> Result<Prices, String> {
        let tables: BTreeMap<String, Priced> = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        prices(&tables).map_err(|failure| failure.why().to_owned())
    }

    #[test]
    fn prices_are_whole_millionths() {
        let text = "[\"glm-4.6\"]\ninput = 0.6\ncached = 0.11\noutput = 2\ncurrency = \"CNY\"";
        let price = Price { input: 600_000, cached: 110_000, output: 2_000_000 };
        assert_eq!(read(text), Ok(Prices::new("CNY", [("glm-4.6".to_owned(), price)])));
        let plain = read("[m]\ninput = 0.1\noutput = 0\ncurrency = \"USD\"").unwrap();
        let usage = Usage { input_tokens: 20_000_000, cached_tokens: 10_000_000, ..Usage::default() };
        assert_eq!(plain.priced("m", usage).cost_micros, 2_000_000, "cached ones cost as much as others");
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_model() {
        for (table, says) in [
            ("input = -1\noutput = 0\ncurrency = \"CNY\"", "input is the price"),
            ("input = 1\noutput = nan\ncurrency = \"CNY\"", "output is the price"),
            ("input = 1\noutput = 1\ncurrency = \"yuan\"", "currency is three"),
        ] {
            let said = read(&format!("[odd]\n{table}")).unwrap_err();
            assert!(said.contains("\"odd\"") && said.contains(says), "{said}");
        }
        let two = "[a]\ninput=1\noutput=1\ncurrency=\"CNY\"\n[b]\ninput=1\noutput=1\ncurrency=\"USD\"";
        assert!(read(two).unwrap_err().contains("one currency"));
    }
}
