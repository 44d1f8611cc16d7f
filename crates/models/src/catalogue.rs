//! What is known about models: price, context, speed, quality (seed 004), and how each can be held to a schema.

use std::collections::BTreeMap;

use baton_core::money::Usd;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Facts of one model. Prices are per 1,000 tokens, as the seed writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Who makes it.
    #[serde(default)]
    pub provider: String,
    #[serde(rename = "input_usd_per_1k", with = "usd")]
    pub input_per_1k: Usd,
    #[serde(rename = "output_usd_per_1k", with = "usd")]
    pub output_per_1k: Usd,
    /// Input the provider had in its cache; unless written, at the price of other input.
    #[serde(default, rename = "cached_usd_per_1k", with = "usd_or_none", skip_serializing_if = "Option::is_none")]
    pub cached_per_1k: Option<Usd>,
    /// The most tokens of input and output together.
    pub context_tokens: u64,
    /// What a call usually takes.
    #[serde(default)]
    pub latency_ms: u64,
    /// From 0 to 10.
    #[serde(default)]
    pub quality: f64,
    #[serde(default)]
    pub structured: Structured,
}

/// How a model can be held to a JSON Schema. The prompt says it in any case, and agents check what comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structured {
    /// The provider enforces the schema.
    #[default]
    JsonSchema,
    /// The provider enforces that it is a JSON object.
    JsonObject,
    /// Only the prompt asks for it.
    Prompt,
}

/// Models by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue(BTreeMap<String, Spec>);

impl Catalogue {
    /// The six models of seed 004, changed and completed by what the settings say.
    pub fn with(more: &BTreeMap<String, Spec>) -> Self {
        let mut models: BTreeMap<String, Spec> = SEED.iter().map(|row| (row.0.to_owned(), spec(row))).collect();
        models.extend(more.iter().map(|(name, spec)| (name.clone(), spec.clone())));
        Self(models)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn find(&self, model: &str) -> Option<&Spec> {
        self.0.get(model)
    }
}

/// Name, provider, nano-dollars per 1,000 tokens in and out, context, latency in ms, quality, schemas.
type Row = (&'static str, &'static str, i64, i64, u64, u64, f64, Structured);

const SEED: [Row; 6] = [
    ("gpt-4", "openai", 30_000_000, 60_000_000, 8_192, 4_000, 10.0, Structured::Prompt),
    ("gpt-4-turbo", "openai", 10_000_000, 30_000_000, 128_000, 3_000, 9.5, Structured::JsonObject),
    ("gpt-3.5-turbo", "openai", 500_000, 1_500_000, 16_385, 800, 7.0, Structured::JsonObject),
    ("claude-3-opus", "anthropic", 15_000_000, 75_000_000, 200_000, 3_500, 9.8, Structured::Prompt),
    ("claude-3-sonnet", "anthropic", 3_000_000, 15_000_000, 200_000, 2_000, 8.5, Structured::Prompt),
    ("claude-3-haiku", "anthropic", 250_000, 1_250_000, 200_000, 600, 7.5, Structured::Prompt),
];

fn spec(&(_, provider, input, output, context_tokens, latency_ms, quality, structured): &Row) -> Spec {
    Spec {
        provider: provider.to_owned(),
        input_per_1k: Usd::from_nanos(input),
        output_per_1k: Usd::from_nanos(output),
        cached_per_1k: None,
        context_tokens,
        latency_ms,
        quality,
        structured,
    }
}

/// Prices in settings: dollars, not negative.
mod usd {
    use serde::de::Error as _;

    use super::{Deserialize, Deserializer, Serializer, Usd};

    /// Above any price; keeps sums far from overflow.
    const USD_PER_1K_MAX: f64 = 1_000.0;

    pub fn serialize<S: Serializer>(usd: &Usd, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(usd.as_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Usd, D::Error> {
        let usd = f64::deserialize(d)?;
        if !(0.0..=USD_PER_1K_MAX).contains(&usd) {
            return Err(D::Error::custom(format!(
                "a price per 1,000 tokens is from 0 to {USD_PER_1K_MAX} USD, not {usd}"
            )));
        }
        Ok(Usd::from_f64(usd))
    }
}

mod usd_or_none {
    use super::{Deserializer, Serializer, Usd, usd};

    pub fn serialize<S: Serializer>(usd: &Option<Usd>, s: S) -> Result<S::Ok, S::Error> {
        usd::serialize(&usd.unwrap_or_default(), s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Usd>, D::Error> {
        usd::deserialize(d).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_seeds_prices_are_exact() {
        let catalogue = Catalogue::with(&BTreeMap::new());
        for (name, input, output) in [
            ("gpt-4", 0.03, 0.06),
            ("gpt-4-turbo", 0.01, 0.03),
            ("gpt-3.5-turbo", 0.0005, 0.0015),
            ("claude-3-opus", 0.015, 0.075),
            ("claude-3-sonnet", 0.003, 0.015),
            ("claude-3-haiku", 0.00025, 0.00125),
        ] {
            let spec = catalogue.find(name).expect(name);
            assert_eq!(
                (spec.input_per_1k, spec.output_per_1k),
                (Usd::from_f64(input), Usd::from_f64(output)),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_add_models_and_change_prices() {
        let written = json!({"input_usd_per_1k": 0.001, "output_usd_per_1k": 0.002, "context_tokens": 32000});
        let spec: Spec = serde_json::from_value(written.clone()).expect("a model");
        let catalogue = Catalogue::with(&BTreeMap::from([("gpt-4".into(), spec.clone()), ("mine".into(), spec)]));
        assert_eq!(catalogue.find("gpt-4").map(|spec| spec.input_per_1k), Some(Usd::from_f64(0.001)));
        assert_eq!(catalogue.find("mine").map(|spec| spec.structured), Some(Structured::JsonSchema));
        let negative = json!({"input_usd_per_1k": -1, "output_usd_per_1k": 0.002, "context_tokens": 1});
        assert!(serde_json::from_value::<Spec>(negative).is_err());
    }
}
