//! The exact cost of a call.

use baton_core::model::TokenUsage;
use baton_core::money::Usd;

use crate::catalogue::{ModelSpec, TokenPrices};

/// Prices each kind of token separately, by the size of the whole input. The sum is rounded once, to the nearest
/// nano-dollar.
pub fn cost(spec: &ModelSpec, usage: &TokenUsage) -> Usd {
    let whole_input = [usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens];
    of(spec.prices_at(whole_input.iter().fold(0, |sum: u64, tokens| sum.saturating_add(*tokens))), usage)
}

/// The cost at these prices.
pub(crate) fn of(prices: &TokenPrices, usage: &TokenUsage) -> Usd {
    let cache_write = prices.cache_write.unwrap_or(prices.input);
    let for_an_hour = usage.cache_write_hour_tokens.min(usage.cache_write_tokens);
    let parts = [
        (usage.input_tokens, prices.input),
        (usage.cached_tokens, prices.cached.unwrap_or(prices.input)),
        (usage.cache_write_tokens - for_an_hour, cache_write),
        (for_an_hour, prices.cache_write_hour.unwrap_or(cache_write)),
        (usage.output_tokens, prices.output),
    ];
    let millionths: i128 = parts.iter().map(|&(tokens, price)| i128::from(tokens) * i128::from(price.as_nanos())).sum();
    Usd::from_nanos(i64::try_from((millionths + 500_000).div_euclid(1_000_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{LongInputPrices, ModelCatalogue};

    fn spec(name: &str) -> ModelSpec {
        ModelCatalogue::shipped().expect("a catalogue").find(name).expect(name).clone()
    }

    fn usage(input_tokens: u64, output_tokens: u64, cached_tokens: u64) -> TokenUsage {
        TokenUsage { input_tokens, output_tokens, cached_tokens, ..TokenUsage::default() }
    }

    #[test]
    fn input_and_output_have_their_own_prices() {
        assert_eq!(cost(&spec("gpt-4"), &usage(1_000, 500, 0)), Usd::from_f64(0.06));
        assert_eq!(cost(&spec("claude-3-haiku"), &usage(1, 0, 0)), Usd::from_nanos(250));
        assert_eq!(cost(&spec("gpt-4"), &TokenUsage::default()), Usd::ZERO);
    }

    #[test]
    fn cached_input_is_cheaper_where_the_catalogue_says_so() {
        let mut spec = spec("gpt-3.5-turbo");
        assert_eq!(cost(&spec, &usage(0, 0, 1_000)), Usd::from_f64(0.0005));
        spec.prices.cached = Some(Usd::from_f64(0.05));
        assert_eq!(cost(&spec, &usage(1_000, 0, 1_000)), Usd::from_f64(0.000_55));
    }

    #[test]
    fn input_that_is_put_into_the_cache_has_its_own_price() {
        let written = TokenUsage { cache_write_tokens: 1_000_000, ..TokenUsage::default() };
        assert_eq!(cost(&spec("claude-3-opus"), &written), Usd::from_f64(18.75));
        assert_eq!(cost(&spec("gpt-4"), &written), Usd::from_f64(30.0));
    }

    #[test]
    fn what_is_put_there_for_an_hour_is_dearer() {
        let written =
            TokenUsage { cache_write_tokens: 1_000_000, cache_write_hour_tokens: 400_000, ..TokenUsage::default() };
        assert_eq!(cost(&spec("claude-sonnet-5-5"), &written), Usd::from_f64(0.6 * 2.5 + 0.4 * 4.0));
        assert_eq!(cost(&spec("gpt-4"), &written), Usd::from_f64(30.0), "where no such price is known");
        let more = TokenUsage { cache_write_hour_tokens: u64::MAX, ..written };
        assert_eq!(cost(&spec("claude-sonnet-5-5"), &more), Usd::from_f64(4.0), "never more than was written");
    }

    #[test]
    fn all_tokens_of_a_long_call_have_its_prices() {
        let long = TokenPrices { input: Usd::from_f64(2.0), output: Usd::from_f64(4.0), ..TokenPrices::default() };
        let mut spec = spec("gpt-4");
        spec.long_input_prices = vec![LongInputPrices { above_tokens: 100, prices: long }];
        assert_eq!(cost(&spec, &usage(60, 0, 40)), Usd::from_nanos(100 * 30_000));
        assert_eq!(cost(&spec, &usage(60, 10, 41)), Usd::from_nanos(101 * 2_000 + 10 * 4_000));
    }

    #[test]
    fn rounding_happens_once_and_never_overflows() {
        let prices =
            TokenPrices { input: Usd::from_nanos(1_000), output: Usd::from_nanos(1_000), ..TokenPrices::default() };
        let spec = ModelSpec { prices, ..spec("gpt-4") };
        assert_eq!(cost(&spec, &usage(250, 250, 0)), Usd::from_nanos(1));
        assert_eq!(cost(&spec, &usage(249, 250, 0)), Usd::ZERO);
        let dear = ModelSpec { prices: TokenPrices { input: Usd::from_nanos(i64::MAX), ..prices }, ..spec };
        assert_eq!(cost(&dear, &usage(u64::MAX, 0, 0)).as_nanos(), i64::MAX);
    }
}
