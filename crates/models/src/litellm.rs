//! Imports the public price map of LiteLLM (`model_prices_and_context_window.json`) as a layer of the catalogue. Prices
//! in the map are per token; tiers by input size and the prices of both kinds of cached tokens are imported. The map
//! has no latency or quality.

use std::collections::BTreeMap;

use baton_core::money::Usd;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::catalogue::{CatalogueEntry, CatalogueLayer, PriceTier, StructuredOutput, TokenPrice};

/// The map's row that documents the others.
const SAMPLE: &str = "sample_spec";
/// The mode of models that answer chat completions, the API that this crate speaks.
const CHAT: &str = "chat";
/// Modes that answer similar requests at another path of the provider.
const OF_OTHER_PATHS: [&str; 2] = ["responses", "completion"];
/// Prices are kept to the nano-dollar.
const PER_MILLION: f64 = 1e6;
const CACHE_WRITE_HOUR: &str = "cache_creation_input_token_cost_above_1hr";
/// The end of keys with prices for longer inputs.
const STEP_END: &str = "k_tokens";

/// The result of importing a price map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceImport {
    pub layer: CatalogueLayer,
    /// The number of rows that were skipped, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
}

/// Imports a price map. `wanted` lists providers by their names in the map; an empty list means all.
///
/// # Errors
/// The text is not a JSON object of objects.
pub fn import(text: &[u8], wanted: &[String]) -> Result<PriceImport, String> {
    let rows: BTreeMap<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("it is no price map: {error}"))?;
    let mut imported = PriceImport::default();
    for (name, row) in &rows {
        match row.as_object().map(|row| read(name, row, wanted)) {
            Some(Ok(entry)) => {
                imported.layer.models.insert(name.clone(), entry);
            }
            Some(Err(why)) => *imported.left_out.entry(why).or_default() += 1,
            None => return Err(format!("it is no price map: `{name}` is no object")),
        }
    }
    Ok(imported)
}

fn read(name: &str, row: &Map<String, Value>, wanted: &[String]) -> Result<CatalogueEntry, &'static str> {
    if name == SAMPLE {
        return Err("the sample");
    }
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    match text("mode") {
        Some(CHAT) => {}
        Some(mode) if OF_OTHER_PATHS.contains(&mode) => return Err("not at chat completions"),
        Some(_) | None => return Err("not for chats"),
    }
    let provider = text("litellm_provider").ok_or("no provider")?;
    if !wanted.is_empty() && !wanted.iter().any(|name| name == provider) {
        return Err("another provider");
    }
    let tiers = tiers(row);
    let base = TierPrices::of(row, "").or(tiers.first().map(|(_, prices)| *prices)).ok_or("no price per token")?;
    let count = |key: &str| row.get(key).and_then(whole).filter(|count| *count > 0);
    let can = |key: &str| row.get(key).and_then(Value::as_bool);
    Ok(CatalogueEntry {
        provider: Some(provider.to_owned()),
        upstream: name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned),
        input_usd_per_million: Some(base.input),
        output_usd_per_million: Some(base.output),
        cached_usd_per_million: base.cached,
        cache_write_usd_per_million: base.cache_write,
        cache_write_hour_usd_per_million: base.cache_write_hour,
        above: steps(row, &base, &tiers),
        context_tokens: count("max_input_tokens").or_else(|| count("max_tokens")),
        output_tokens: count("max_output_tokens"),
        structured: Some(if can("supports_response_schema") == Some(true) {
            StructuredOutput::JsonSchema
        } else {
            StructuredOutput::Prompt
        }),
        tools: Some(can("supports_function_calling").unwrap_or(false)),
        vision: Some(can("supports_vision").unwrap_or(false)),
        streaming: can("supports_native_streaming"),
        retires: text("deprecation_date").and_then(|date| date.parse::<Date>().ok()),
        ..CatalogueEntry::default()
    })
}

/// The prices of one tier.
#[derive(Clone, Copy, Debug)]
struct TierPrices {
    input: TokenPrice,
    output: TokenPrice,
    cached: Option<TokenPrice>,
    cache_write: Option<TokenPrice>,
    cache_write_hour: Option<TokenPrice>,
}

impl TierPrices {
    /// Reads the prices of the keys with this suffix.
    fn of(row: &Map<String, Value>, end: &str) -> Option<Self> {
        let price = |key: &str| row.get(&format!("{key}{end}")).and_then(per_million);
        Some(Self {
            input: price("input_cost_per_token")?,
            output: price("output_cost_per_token")?,
            cached: price("cache_read_input_token_cost"),
            cache_write: price("cache_creation_input_token_cost"),
            cache_write_hour: price(CACHE_WRITE_HOUR),
        })
    }

    /// Reads the prices for a longer input; missing ones are those of the tier before.
    fn after(&self, row: &Map<String, Value>, end: &str) -> Self {
        let price = |key: &str| row.get(&format!("{key}{end}")).and_then(per_million);
        Self {
            input: price("input_cost_per_token").unwrap_or(self.input),
            output: price("output_cost_per_token").unwrap_or(self.output),
            cached: price("cache_read_input_token_cost").or(self.cached),
            cache_write: price("cache_creation_input_token_cost").or(self.cache_write),
            cache_write_hour: price(CACHE_WRITE_HOUR).or(self.cache_write_hour),
        }
    }

    fn above(&self, tokens: u64) -> PriceTier {
        PriceTier {
            tokens,
            input_usd_per_million: self.input,
            output_usd_per_million: self.output,
            cached_usd_per_million: self.cached,
            cache_write_usd_per_million: self.cache_write,
            cache_write_hour_usd_per_million: self.cache_write_hour,
        }
    }
}

/// Reads both forms of tiers in the map: keys that end in `_above_200k_tokens`, and a list of tiers.
fn steps(row: &Map<String, Value>, base: &TierPrices, tiers: &[(u64, TierPrices)]) -> Option<Vec<PriceTier>> {
    let named = |key: &String| {
        let thousands = key.strip_prefix("input_cost_per_token_above_")?.strip_suffix(STEP_END)?;
        Some((thousands.parse::<u64>().ok()?.checked_mul(1_000)?, format!("_above_{thousands}{STEP_END}")))
    };
    let mut ends: Vec<(u64, String)> = row.keys().filter_map(named).collect();
    ends.sort();
    let mut before = *base;
    let mut steps: Vec<PriceTier> = Vec::new();
    for (tokens, end) in ends {
        before = before.after(row, &end);
        steps.push(before.above(tokens));
    }
    if steps.is_empty() {
        steps = tiers.iter().filter(|(from, _)| *from > 0).map(|(from, prices)| prices.above(*from)).collect();
    }
    (!steps.is_empty()).then_some(steps)
}

/// Reads `tiered_pricing`: where each tier begins, and its prices.
fn tiers(row: &Map<String, Value>) -> Vec<(u64, TierPrices)> {
    let tier = |tier: &Value| {
        let from = whole(tier.get("range")?.get(0)?)?;
        Some((from, TierPrices::of(tier.as_object()?, "")?))
    };
    let list = row.get("tiered_pricing").and_then(Value::as_array);
    let mut tiers: Vec<_> = list.into_iter().flatten().filter_map(tier).collect();
    tiers.sort_by_key(|(from, _)| *from);
    tiers.dedup_by_key(|(from, _)| *from);
    tiers
}

/// Some counts are written as fractions.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and not negative")]
fn whole(value: &Value) -> Option<u64> {
    let fraction = value.as_f64().filter(|count| *count >= 0.0 && count.fract() == 0.0);
    value.as_u64().or(fraction.map(|count| count as u64))
}

fn per_million(value: &Value) -> Option<TokenPrice> {
    // Rounded to nano-dollars, so that 1.5e-7 becomes 0.15 and not 0.15000000000000002.
    TokenPrice::new(Usd::from_f64(value.as_f64()? * PER_MILLION).as_f64()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::ModelCatalogue;

    fn imported(rows: Value) -> PriceImport {
        import(rows.to_string().as_bytes(), &[]).expect("a price map")
    }

    fn luna() -> Value {
        json!({"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-7,
            "output_cost_per_token": 6e-7, "cache_read_input_token_cost": 7.5e-8, "max_input_tokens": 128_000,
            "max_output_tokens": 16_384, "supports_function_calling": true, "supports_vision": true,
            "supports_response_schema": true, "deprecation_date": "2027-01-14"})
    }

    #[test]
    fn a_row_becomes_an_entry() {
        let imported = imported(json!({"sample_spec": {"mode": "one of chat, …"}, "gpt-4o-mini": luna()}));
        let catalogue = ModelCatalogue::with([&imported.layer]).expect("a catalogue");
        let spec = catalogue.find("gpt-4o-mini").expect("it is there");
        let usd = |usd| Some(Usd::from_f64(usd));
        assert_eq!(
            (Some(spec.prices.input), Some(spec.prices.output), spec.prices.cached),
            (usd(0.15), usd(0.6), usd(0.075))
        );
        assert_eq!((spec.context_tokens, spec.output_tokens), (Some(128_000), Some(16_384)));
        assert!(spec.tools && spec.vision && spec.structured == StructuredOutput::JsonSchema);
        assert_eq!(spec.retires.map(|date| date.to_string()).as_deref(), Some("2027-01-14"));
        assert_eq!(spec.quality, 7.8, "what the map does not say stays");
        assert_eq!(imported.left_out, BTreeMap::from([("the sample", 1)]));
    }

    #[test]
    fn prices_of_both_kinds_of_cached_tokens_and_of_longer_inputs_come_along() {
        let imported = imported(json!({"claude-4-sonnet-20250514": {
            "litellm_provider": "anthropic", "mode": "chat",
            "input_cost_per_token": 3e-6, "output_cost_per_token": 1.5e-5,
            "cache_read_input_token_cost": 3e-7, "cache_creation_input_token_cost": 3.75e-6,
            "cache_creation_input_token_cost_above_1hr": 6e-6,
            "input_cost_per_token_above_200k_tokens": 6e-6, "output_cost_per_token_above_200k_tokens": 2.25e-5,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-5,
            "cache_read_input_token_cost_above_200k_tokens": 6e-7}}));
        let catalogue = ModelCatalogue::with([&imported.layer]).expect("a catalogue");
        let spec = catalogue.find("claude-4-sonnet-20250514").expect("it is there");
        let usd = |prices: &crate::catalogue::TokenPrices| {
            let or = |price: Option<Usd>| price.map(Usd::as_f64);
            let written = [prices.cache_write, prices.cache_write_hour].map(or);
            (prices.input.as_f64(), prices.output.as_f64(), or(prices.cached), written)
        };
        assert_eq!(usd(spec.prices_at(200_000)), (3.0, 15.0, Some(0.3), [Some(3.75), Some(6.0)]));
        assert_eq!(usd(spec.prices_at(200_001)), (6.0, 22.5, Some(0.6), [Some(3.75), Some(12.0)]));
    }

    #[test]
    fn tiers_are_steps() {
        let imported = imported(json!({"dashscope/qwen-plus": {
            "litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
                {"range": [256_000.0, 1e6], "input_cost_per_token": 1.2e-6, "output_cost_per_token": 3.6e-6},
                {"range": [0, 256_000.0], "input_cost_per_token": 4e-7, "output_cost_per_token": 1.2e-6}]}}));
        let entry = &imported.layer.models["dashscope/qwen-plus"];
        assert_eq!(entry.upstream.as_deref(), Some("qwen-plus"));
        let catalogue = ModelCatalogue::with([&imported.layer]).expect("a catalogue");
        let spec = catalogue.find("dashscope/qwen-plus").expect("it is there");
        assert_eq!([0, 256_000, 256_001].map(|tokens| spec.prices_at(tokens).input.as_f64()), [0.4, 0.4, 1.2]);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let rows = json!({"a": luna(), "b": {"litellm_provider": "openai", "mode": "embedding"},
            "c": {"litellm_provider": "openai", "mode": "chat"}, "d": {"mode": "chat"},
            "f": {"litellm_provider": "openai", "mode": "responses", "input_cost_per_token": 1e-6},
            "g": {"litellm_provider": "openai", "mode": "completion", "input_cost_per_token": 1e-6},
            "e": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0}});
        let imported = import(rows.to_string().as_bytes(), &["openai".into()]).expect("a price map");
        assert_eq!(imported.layer.models.keys().collect::<Vec<_>>(), ["a"]);
        let expect = [("another provider", 1), ("no price per token", 1), ("no provider", 1), ("not for chats", 1)];
        let of_other_paths = ("not at chat completions", 2);
        assert_eq!(imported.left_out, expect.into_iter().chain([of_other_paths]).collect());
    }

    #[test]
    fn what_is_no_price_map_is_refused() {
        for text in ["[1]", "{\"a\": 1}", "nonsense", ""] {
            assert!(import(text.as_bytes(), &[]).expect_err("refused").starts_with("it is no price map"), "{text}");
        }
    }
}
