//! What a call costs, exactly.

use baton_core::model::Usage;
use baton_core::money::Usd;

use crate::catalogue::Spec;

/// Cached tokens at their own price, the rest of the input and the output at theirs, summed before it is rounded once
/// to the nearest nano-dollar.
pub fn cost(spec: &Spec, usage: &Usage) -> Usd {
    let parts = [
        (usage.input_tokens, spec.input_per_1k),
        (usage.cached_tokens, spec.cached_per_1k.unwrap_or(spec.input_per_1k)),
        (usage.output_tokens, spec.output_per_1k),
    ];
    let thousandths: i128 =
        parts.iter().map(|&(tokens, per_1k)| i128::from(tokens) * i128::from(per_1k.as_nanos())).sum();
    Usd::from_nanos(i64::try_from((thousandths + 500).div_euclid(1_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalogue::Catalogue;

    fn spec(name: &str) -> Spec {
        Catalogue::with(&BTreeMap::new()).find(name).expect(name).clone()
    }

    fn usage(input_tokens: u64, output_tokens: u64, cached_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, cached_tokens, ..Usage::default() }
    }

    #[test]
    fn input_and_output_have_their_own_prices() {
        assert_eq!(cost(&spec("gpt-4"), &usage(1_000, 500, 0)), Usd::from_f64(0.06));
        assert_eq!(cost(&spec("claude-3-haiku"), &usage(1, 0, 0)), Usd::from_nanos(250));
        assert_eq!(cost(&spec("gpt-4"), &Usage::default()), Usd::ZERO);
    }

    #[test]
    fn cached_input_is_cheaper_where_the_catalogue_says_so() {
        let mut spec = spec("gpt-3.5-turbo");
        assert_eq!(cost(&spec, &usage(0, 0, 1_000)), Usd::from_f64(0.0005));
        spec.cached_per_1k = Some(Usd::from_f64(0.000_05));
        assert_eq!(cost(&spec, &usage(1_000, 0, 1_000)), Usd::from_f64(0.000_55));
    }

    #[test]
    fn rounding_happens_once_and_never_overflows() {
        let spec = Spec { input_per_1k: Usd::from_nanos(1), output_per_1k: Usd::from_nanos(1), ..spec("gpt-4") };
        assert_eq!(cost(&spec, &usage(250, 250, 0)), Usd::from_nanos(1));
        assert_eq!(cost(&spec, &usage(249, 250, 0)), Usd::ZERO);
        assert_eq!(
            cost(&Spec { input_per_1k: Usd::from_nanos(i64::MAX), ..spec }, &usage(u64::MAX, 0, 0)).as_nanos(),
            i64::MAX
        );
    }
}
