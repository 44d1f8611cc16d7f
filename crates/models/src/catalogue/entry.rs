//! Facts about one model as a file states them. Every key is optional; missing ones come from the layers below.

use baton_core::money::Usd;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};

use super::{LongInputPrices, ModelSpec, PROVIDER, StructuredOutput, TokenPrices};

/// Above any realistic price; keeps sums far from overflow.
const USD_PER_MILLION_MAX: f64 = 1e6;
/// Maximum number of price tiers by input size.
const STEPS_MAX: usize = 16;
const QUALITY_MAX: f64 = 10.0;
const TOKENS_MAX: u64 = 1 << 40;
/// A million tokens is this many times a thousand.
const THOUSANDS: f64 = 1_000.0;

/// US dollars per some number of tokens, as written: not negative, and within a sane range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct TokenPrice(f64);

impl TokenPrice {
    /// Checks the range.
    ///
    /// # Errors
    /// Names the allowed range.
    pub fn new(usd: f64) -> Result<Self, String> {
        if (0.0..=USD_PER_MILLION_MAX).contains(&usd) {
            return Ok(Self(usd));
        }
        Err(format!("a price is from 0 to {USD_PER_MILLION_MAX} USD, not {usd}"))
    }

    fn usd(self) -> Usd {
        Usd::from_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for TokenPrice {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// One model of a layer. The keys are the same in `models.yaml` and under `[models.catalogue.NAME]` of the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogueEntry {
    /// The provider: a name of the settings' providers. Default: `openai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model's name at the provider, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_usd_per_million: Option<TokenPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_usd_per_million: Option<TokenPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_usd_per_million: Option<TokenPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_usd_per_million: Option<TokenPrice>,
    /// The price of input that is cached for an hour, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_hour_usd_per_million: Option<TokenPrice>,
    /// Prices per thousand tokens; use one of the two forms.
    #[serde(skip_serializing)]
    pub input_usd_per_1k: Option<TokenPrice>,
    #[serde(skip_serializing)]
    pub output_usd_per_1k: Option<TokenPrice>,
    #[serde(skip_serializing)]
    pub cached_usd_per_1k: Option<TokenPrice>,
    /// Other prices for calls with a larger input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<Vec<PriceTier>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured: Option<StructuredOutput>,
    /// Whether the model accepts a temperature. By default its name decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<Date>,
}

/// Prices of all tokens of a call whose input is larger than `tokens`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTier {
    pub tokens: u64,
    pub input_usd_per_million: TokenPrice,
    pub output_usd_per_million: TokenPrice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_usd_per_million: Option<TokenPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_usd_per_million: Option<TokenPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_hour_usd_per_million: Option<TokenPrice>,
}

/// The keys of an entry, for "did you mean" hints.
pub(super) const KEYS: [&str; 21] = [
    "provider",
    "upstream",
    "input_usd_per_million",
    "output_usd_per_million",
    "cached_usd_per_million",
    "cache_write_usd_per_million",
    "cache_write_hour_usd_per_million",
    "input_usd_per_1k",
    "output_usd_per_1k",
    "cached_usd_per_1k",
    "above",
    "context_tokens",
    "output_tokens",
    "latency_ms",
    "quality",
    "structured",
    "sampling",
    "tools",
    "vision",
    "streaming",
    "retires",
];

impl CatalogueEntry {
    /// Overlays another entry: its values replace those of this one; missing ones stay.
    pub(super) fn overlay(&mut self, over: &Self) {
        let over = over.clone().per_million();
        // A new base price makes the tiers of the old price meaningless.
        let is_repriced = over.input_usd_per_million.is_some() || over.output_usd_per_million.is_some();
        if is_repriced && over.above.is_none() {
            self.above = None;
        }
        macro_rules! lay {
            ($($field:ident)+) => {
                *self = Self { $($field: over.$field.or(self.$field.take()),)+ ..Self::default() }
            };
        }
        lay!(provider upstream input_usd_per_million output_usd_per_million cached_usd_per_million
            cache_write_usd_per_million cache_write_hour_usd_per_million above context_tokens output_tokens latency_ms
            quality structured sampling tools vision streaming retires);
    }

    /// Converts all prices to dollars per million tokens.
    fn per_million(mut self) -> Self {
        let scaled = |price: TokenPrice| TokenPrice(price.0 * THOUSANDS);
        self.input_usd_per_million = self.input_usd_per_million.or(self.input_usd_per_1k.take().map(scaled));
        self.output_usd_per_million = self.output_usd_per_million.or(self.output_usd_per_1k.take().map(scaled));
        self.cached_usd_per_million = self.cached_usd_per_million.or(self.cached_usd_per_1k.take().map(scaled));
        self
    }

    /// Returns what is wrong with the entry by itself, whatever the layers below contain.
    pub(super) fn problem(&self) -> Option<String> {
        let twice = [
            ("input", self.input_usd_per_million, self.input_usd_per_1k),
            ("output", self.output_usd_per_million, self.output_usd_per_1k),
            ("cached", self.cached_usd_per_million, self.cached_usd_per_1k),
        ];
        if let Some((which, ..)) = twice.iter().find(|(_, million, thousand)| million.is_some() && thousand.is_some()) {
            return Some(format!("write `{which}_usd_per_million` or `{which}_usd_per_1k`, not both"));
        }
        if let Some(quality) = self.quality.filter(|quality| !(0.0..=QUALITY_MAX).contains(quality)) {
            return Some(format!("`quality` is from 0 to {QUALITY_MAX}, not {quality}"));
        }
        let tokens = [self.context_tokens, self.output_tokens].into_iter().flatten().find(|count| *count > TOKENS_MAX);
        if let Some(count) = tokens {
            return Some(format!("{count} tokens are more than any model takes ({TOKENS_MAX})"));
        }
        let above = self.above.as_deref().unwrap_or_default();
        if above.len() > STEPS_MAX {
            return Some(format!("`above` has {} steps, over the limit of {STEPS_MAX}", above.len()));
        }
        let rises = above.windows(2).all(|pair| pair[0].tokens < pair[1].tokens);
        (!rises).then(|| "`above` is written with its smallest `tokens` first".to_owned())
    }

    /// Returns the facts, if the entry is complete.
    pub(super) fn spec(&self) -> Result<ModelSpec, String> {
        let entry = self.clone().per_million();
        let (Some(input), Some(output)) = (entry.input_usd_per_million, entry.output_usd_per_million) else {
            return Err("it has no price: write `input_usd_per_million` and `output_usd_per_million`, 0 where it \
                        costs nothing"
                .to_owned());
        };
        let prices = TokenPrices {
            input: input.usd(),
            output: output.usd(),
            cached: entry.cached_usd_per_million.map(TokenPrice::usd),
            cache_write: entry.cache_write_usd_per_million.map(TokenPrice::usd),
            cache_write_hour: entry.cache_write_hour_usd_per_million.map(TokenPrice::usd),
        };
        Ok(ModelSpec {
            provider: entry.provider.unwrap_or_else(|| PROVIDER.to_owned()),
            upstream: entry.upstream,
            prices,
            long_input_prices: entry.above.unwrap_or_default().iter().map(PriceTier::long_input_prices).collect(),
            context_tokens: entry.context_tokens.filter(|count| *count > 0),
            output_tokens: entry.output_tokens.filter(|count| *count > 0),
            latency_ms: entry.latency_ms.unwrap_or_default(),
            quality: entry.quality.unwrap_or_default(),
            structured: entry.structured.unwrap_or_default(),
            sampling: entry.sampling,
            tools: entry.tools.unwrap_or(true),
            vision: entry.vision.unwrap_or(false),
            streaming: entry.streaming.unwrap_or(true),
            retires: entry.retires,
        })
    }
}

impl PriceTier {
    fn long_input_prices(&self) -> LongInputPrices {
        let prices = TokenPrices {
            input: self.input_usd_per_million.usd(),
            output: self.output_usd_per_million.usd(),
            cached: self.cached_usd_per_million.map(TokenPrice::usd),
            cache_write: self.cache_write_usd_per_million.map(TokenPrice::usd),
            cache_write_hour: self.cache_write_hour_usd_per_million.map(TokenPrice::usd),
        };
        LongInputPrices { above_tokens: self.tokens, prices }
    }
}

/// The facts in the form of a file, for lists that programs read.
impl From<&ModelSpec> for CatalogueEntry {
    fn from(spec: &ModelSpec) -> Self {
        let price = |usd: Usd| TokenPrice(usd.as_f64());
        let above = |long: &LongInputPrices| PriceTier {
            tokens: long.above_tokens,
            input_usd_per_million: price(long.prices.input),
            output_usd_per_million: price(long.prices.output),
            cached_usd_per_million: long.prices.cached.map(price),
            cache_write_usd_per_million: long.prices.cache_write.map(price),
            cache_write_hour_usd_per_million: long.prices.cache_write_hour.map(price),
        };
        Self {
            provider: Some(spec.provider.clone()),
            upstream: spec.upstream.clone(),
            input_usd_per_million: Some(price(spec.prices.input)),
            output_usd_per_million: Some(price(spec.prices.output)),
            cached_usd_per_million: spec.prices.cached.map(price),
            cache_write_usd_per_million: spec.prices.cache_write.map(price),
            cache_write_hour_usd_per_million: spec.prices.cache_write_hour.map(price),
            above: (!spec.long_input_prices.is_empty()).then(|| spec.long_input_prices.iter().map(above).collect()),
            context_tokens: spec.context_tokens,
            output_tokens: spec.output_tokens,
            latency_ms: Some(spec.latency_ms),
            quality: Some(spec.quality),
            structured: Some(spec.structured),
            sampling: spec.sampling,
            tools: Some(spec.tools),
            vision: Some(spec.vision),
            streaming: Some(spec.streaming),
            retires: spec.retires,
            ..Self::default()
        }
    }
}
