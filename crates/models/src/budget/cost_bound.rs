//! The maximum cost of a call, known before it is answered.

use baton_core::model::{ModelRequest, TokenUsage};
use baton_core::money::{PriceQuote, Usd};

use crate::catalogue::{ModelSpec, TokenPrices};
use crate::price;
use crate::requirements::REPLY_TOKENS;
use crate::router::RoutableModel;

/// Maximum reply tokens if neither the request nor the catalogue nor the provider's API limits the reply.
const REPLY_TOKENS_MAX: u64 = 16_384;
/// A reply limited to fewer tokens than this is not worth requesting.
const REPLY_TOKENS_MIN: u64 = 64;

/// The bounds on the price of one call at one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CostBound {
    /// An upper bound: no tokenizer produces more tokens for the input.
    input_tokens: u64,
    reply_tokens: u64,
    /// The reply has no limit yet: the request must set one.
    is_open: bool,
    /// The highest possible price of each kind of token, however much of the input is cached and however long it is.
    input: Usd,
    output: Usd,
}

impl CostBound {
    /// The bound of a request with at most this number of input tokens at a model; `None` if the model's price is
    /// unknown.
    pub fn of(model: &RoutableModel, request: &ModelRequest, input_tokens: u64) -> Option<Self> {
        let spec = model.spec.as_ref()?;
        let asked = request.max_tokens.map(u64::from);
        let usual = || model.served.as_ref()?.provider.reply_max(&model.upstream, Some(spec));
        Some(Self::new(spec, input_tokens, asked.or_else(usual)))
    }

    /// `reply_max` is the reply limit of the request or, failing that, of the provider's API.
    pub fn new(spec: &ModelSpec, input_tokens: u64, reply_max: Option<u64>) -> Self {
        let usual = spec.context_tokens.map_or(REPLY_TOKENS_MAX, |context| context.min(REPLY_TOKENS_MAX));
        let known = reply_max.or(spec.output_tokens);
        let (reply_tokens, is_open) = (known.unwrap_or(usual), known.is_none());
        let longer =
            spec.long_input_prices.iter().filter(|long| input_tokens > long.above_tokens).map(|long| &long.prices);
        let reached = || std::iter::once(&spec.prices).chain(longer.clone());
        let input = reached().map(dearest).max().unwrap_or_default();
        let output = reached().map(|prices| prices.output).max().unwrap_or_default();
        Self { input_tokens, reply_tokens, is_open, input, output }
    }

    pub fn quote(&self) -> PriceQuote {
        let with = |reply: u64| self.cost(self.input_tokens, reply.min(self.reply_tokens));
        PriceQuote { most: with(self.reply_tokens), usual: with(REPLY_TOKENS), least: with(REPLY_TOKENS_MIN) }
    }

    /// The reply limit that keeps the call within this amount; `None` if the limits of the request and the model
    /// already do.
    pub fn reply_within(&self, amount: Usd) -> Option<u64> {
        if self.output <= Usd::ZERO {
            return None;
        }
        if amount >= self.quote().most {
            return self.is_open.then_some(self.reply_tokens);
        }
        let left = (amount - self.cost(self.input_tokens, 0)).max(Usd::ZERO);
        let tokens = i128::from(left.as_nanos()) * 1_000_000 / i128::from(self.output.as_nanos());
        Some(u64::try_from(tokens).unwrap_or(u64::MAX).min(self.reply_tokens))
    }

    fn cost(&self, input_tokens: u64, output_tokens: u64) -> Usd {
        let prices = TokenPrices { input: self.input, output: self.output, ..TokenPrices::default() };
        price::of(&prices, &TokenUsage { input_tokens, output_tokens, ..TokenUsage::default() })
    }
}

fn dearest(prices: &TokenPrices) -> Usd {
    [Some(prices.input), prices.cached, prices.cache_write, prices.cache_write_hour]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::{LongInputPrices, ModelCatalogue};

    fn spec(name: &str) -> ModelSpec {
        ModelCatalogue::shipped().expect("a catalogue").find(name).expect(name).clone()
    }

    fn usd(usd: f64) -> Usd {
        Usd::from_f64(usd)
    }

    #[test]
    fn the_longest_reply_is_the_requests_else_the_models_else_a_usual_one() {
        // 30 and 60 dollars per million tokens.
        let most = |spec: &ModelSpec, reply_max| CostBound::new(spec, 1_000, reply_max).quote().most;
        let mut spec = spec("gpt-4");
        assert_eq!(most(&spec, Some(100)), usd(0.03 + 0.006));
        assert_eq!(most(&spec, None), usd(0.03 + 0.06 * 8.192));
        (spec.output_tokens, spec.context_tokens) = (None, None);
        assert_eq!(most(&spec, None), usd(0.03 + 0.06 * 16.384));
    }

    #[test]
    fn input_counts_at_its_dearest_price() {
        // Cache writes for an hour cost 30 dollars per million tokens at this model; its input costs 15.
        assert_eq!(CostBound::new(&spec("claude-3-opus"), 1_000_000, Some(0)).quote().most, usd(30.0));
        let mut spec = spec("gpt-4");
        let prices = TokenPrices { input: usd(60.0), output: usd(120.0), ..TokenPrices::default() };
        spec.long_input_prices = vec![LongInputPrices { above_tokens: 100, prices }];
        let most = |tokens| CostBound::new(&spec, tokens, Some(100)).quote().most;
        assert_eq!((most(100), most(101)), (usd(0.003 + 0.006), usd(0.006_06 + 0.012)));
    }

    #[test]
    fn with_less_money_the_reply_is_shorter() {
        let bound = CostBound::new(&spec("gpt-4"), 1_000, None);
        let PriceQuote { most, least, .. } = bound.quote();
        assert_eq!(bound.reply_within(most), None);
        assert_eq!(bound.reply_within(least), Some(REPLY_TOKENS_MIN));
        assert_eq!(bound.reply_within(usd(0.03 + 0.06)), Some(1_000));
        assert_eq!(bound.reply_within(Usd::ZERO), Some(0));
    }

    proptest! {
        #[test]
        fn no_usage_within_the_bound_costs_more_than_it(
            input in 0_u64..300_000, parts in (0.0..1.0_f64, 0.0..1.0_f64, 0.0..1.0_f64), output in 0_u64..10_000,
            name in prop::sample::select(vec!["gpt-4", "claude-3-opus", "gpt-4o", "gpt-5.1", "claude-haiku-4-5"]),
        ) {
            let catalogue = ModelCatalogue::shipped().expect("a catalogue");
            let spec = catalogue.find(name).expect("is shipped");
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of it")]
            let part = |whole: u64, part: f64| (whole as f64 * part) as u64;
            let cached_tokens = part(input, parts.0);
            let cache_write_tokens = part(input - cached_tokens, parts.1);
            let usage = TokenUsage {
                input_tokens: input - cached_tokens - cache_write_tokens, cached_tokens, cache_write_tokens,
                cache_write_hour_tokens: part(cache_write_tokens, parts.2), output_tokens: output,
            };
            let most = CostBound::new(spec, input, Some(output)).quote().most;
            prop_assert!(price::cost(spec, &usage) <= most);
        }
    }
}
