//! What tokens cost. Money is whole millionths of a currency's unit: sums of them do not drift.

use std::collections::BTreeMap;

use crate::message::Usage;

/// Tokens that a price is for.
const TOKENS: u128 = 1_000_000;

/// What a model's tokens cost: millionths of the currency's unit for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of the request, but for what came from the provider's cache.
    pub input: u64,
    /// Of the request, from the provider's cache.
    pub cached: u64,
    /// Of the answer, reasoning with it.
    pub output: u64,
}

impl Price {
    /// What an answer costs, to the nearest millionth; a half is one.
    #[must_use]
    pub fn of(&self, usage: Usage) -> u64 {
        let cached = usage.cached_tokens.min(usage.input_tokens);
        let parts = [
            (usage.input_tokens - cached, self.input),
            (cached, self.cached),
            (usage.output_tokens, self.output),
        ];
        let sum = parts.iter().fold(0_u128, |sum, (tokens, price)| {
            sum.saturating_add(u128::from(*tokens) * u128::from(*price))
        });
        u64::try_from(sum.saturating_add(TOKENS / 2) / TOKENS).unwrap_or(u64::MAX)
    }
}

/// What models cost, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    currency: String,
    models: BTreeMap<String, Price>,
}

impl Prices {
    /// Of these models, in this currency, such as `CNY`.
    #[must_use]
    pub fn new(currency: impl Into<String>, models: impl IntoIterator<Item = (String, Price)>) -> Self {
        Self { currency: currency.into(), models: models.into_iter().collect() }
    }

    /// The currency, if any price is known.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        (!self.models.is_empty()).then_some(self.currency.as_str())
    }

    /// The usage with what it costs; as it is where the model has no price.
    #[must_use]
    pub fn priced(&self, model: &str, usage: Usage) -> Usage {
        match self.models.get(model) {
            Some(price) => Usage { cost_micros: price.of(usage), ..usage },
            None => usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage { input_tokens: input, cached_tokens: cached, output_tokens: output, ..Usage::default() }
    }

    /// 0.60, 0.11 and 2.20 for a million.
    const PRICE: Price = Price { input: 600_000, cached: 110_000, output: 2_200_000 };

    #[test]
    fn cached_tokens_cost_what_cached_ones_do_and_are_counted_once() {
        assert_eq!(PRICE.of(usage(1_000_000, 0, 0)), 600_000);
        assert_eq!(PRICE.of(usage(1_000_000, 400_000, 0)), 360_000 + 44_000);
        assert_eq!(PRICE.of(usage(0, 0, 1_000_000)), 2_200_000);
        // A provider that counts cached ones beside the others takes nothing below zero.
        assert_eq!(PRICE.of(usage(10, 1_000_000, 0)), PRICE.of(usage(10, 10, 0)));
    }

    #[test]
    fn what_is_small_is_rounded_and_what_is_large_stops() {
        assert_eq!(
            [1, 2, 3].map(|tokens| Price { input: 500_000, ..PRICE }.of(usage(tokens, 0, 0))),
            [1, 1, 2]
        );
        assert_eq!(Price { input: u64::MAX, ..PRICE }.of(usage(u64::MAX, 0, u64::MAX)), u64::MAX);
    }

    #[test]
    fn a_model_without_a_price_costs_nothing_that_is_known() {
        let prices = Prices::new("CNY", [("glm-4.6".to_owned(), PRICE)]);
        assert_eq!(prices.priced("glm-4.6", usage(1_000_000, 0, 0)).cost_micros, 600_000);
        assert_eq!(prices.priced("glm-4.6-air", usage(1_000_000, 0, 0)).cost_micros, 0);
        assert_eq!((prices.currency(), Prices::default().currency()), (Some("CNY"), None));
    }
}
